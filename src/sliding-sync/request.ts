/**
 * What a client asks for. Two dialects are understood: that of the clients of today, and that of the text of MSC4186 that was
 * accepted (`range`, `is_invited`, `required_state` with `include` and `exclude`).
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md
 */
import { z } from 'zod';
import { PRESENCE_STATES } from '#src/ephemeral/presence.ts';
import { MAX_ELEMENTS, type RequiredStatePart, type StatePattern } from './required-state.ts';

/** Most lists, and most subscriptions, of one request. Source: MSC4186, "Request Body". */
export const MAX_RULES = 100;
/** Most ranges of one list. */
const MAX_RANGES = 100;
/** Most entries of one list in a filter. */
const MAX_FILTER_ENTRIES = 1000;
/** Most names in `lists` and `rooms` of an extension. */
const MAX_EXTENSION_NAMES = 1000;
const MAX_NAME_CHARACTERS = 255;
/** Events of a room's timeline when a rule does not say. */
const DEFAULT_TIMELINE_LIMIT = 10;
/** Most events of a room's timeline, whatever a rule says. */
export const MAX_TIMELINE_LIMIT = 500;

/** The extension of MSC4308, by the name that clients have for it today. */
export const THREAD_SUBSCRIPTIONS = 'io.element.msc4308.thread_subscriptions';

const WILDCARD = '*';
const LAZY = '$LAZY';
const ME = '$ME';

const whole = z.number().int().min(0);
const names = z.array(z.string()).max(MAX_FILTER_ENTRIES);

const elementSchema = z.object({ type: z.string().optional(), state_key: z.string().optional() });

const requiredStateSchema = z.union([
  z.array(z.tuple([z.string(), z.string()])).max(MAX_ELEMENTS),
  z.object({
    include: z.array(elementSchema).max(MAX_ELEMENTS).optional(),
    exclude: z.array(elementSchema).max(MAX_ELEMENTS).optional(),
    lazy_members: z.boolean().optional(),
  }),
]);

const ruleShape = {
  timeline_limit: whole.optional(),
  required_state: requiredStateSchema.nullish(),
};

const filtersSchema = z.object({
  is_dm: z.boolean().nullish(),
  spaces: names.nullish(),
  is_encrypted: z.boolean().nullish(),
  is_invite: z.boolean().nullish(),
  is_invited: z.boolean().nullish(),
  room_types: z.array(z.string().nullable()).max(MAX_FILTER_ENTRIES).nullish(),
  not_room_types: z.array(z.string().nullable()).max(MAX_FILTER_ENTRIES).nullish(),
  room_name_like: z.string().nullish(),
  tags: names.nullish(),
  not_tags: names.nullish(),
});

const rangeSchema = z.tuple([whole, whole]);

const listSchema = z.object({
  ...ruleShape,
  ranges: z.array(rangeSchema).max(MAX_RANGES).nullish(),
  range: rangeSchema.nullish(),
  slow_get_all_rooms: z.boolean().nullish(),
  filters: filtersSchema.nullish(),
});

const scopeShape = {
  enabled: z.boolean().nullish(),
  lists: z.array(z.string()).max(MAX_EXTENSION_NAMES).nullish(),
  rooms: z.array(z.string()).max(MAX_EXTENSION_NAMES).nullish(),
};

const extensionsSchema = z.object({
  to_device: z
    .object({ enabled: z.boolean().nullish(), limit: whole.nullish(), since: z.string().nullish() })
    .nullish(),
  e2ee: z.object({ enabled: z.boolean().nullish() }).nullish(),
  account_data: z.object(scopeShape).nullish(),
  receipts: z.object(scopeShape).nullish(),
  typing: z.object(scopeShape).nullish(),
  [THREAD_SUBSCRIPTIONS]: z.object({ enabled: z.boolean().nullish(), limit: whole.nullish() }).nullish(),
});

/** The body of a request. */
export const slidingSyncBody = z.object({
  conn_id: z.string().max(MAX_NAME_CHARACTERS).nullish(),
  txn_id: z.string().max(MAX_NAME_CHARACTERS).nullish(),
  pos: z.string().nullish(),
  timeout: whole.nullish(),
  set_presence: z.enum(PRESENCE_STATES).nullish(),
  lists: z.record(z.string().max(MAX_NAME_CHARACTERS), listSchema).nullish(),
  room_subscriptions: z.record(z.string(), z.object(ruleShape)).nullish(),
  extensions: extensionsSchema.nullish(),
});

export type SlidingSyncBody = z.output<typeof slidingSyncBody>;

/** What to tell of a room. */
export interface RoomConfig {
  readonly timelineLimit: number;
  readonly requiredState: RequiredStatePart;
}

/** First and last place in a list, both included, counted from 0. */
export type Range = readonly [first: number, last: number];

export interface ListFilters {
  readonly isDm: boolean | undefined;
  readonly isEncrypted: boolean | undefined;
  readonly isInvite: boolean | undefined;
  readonly spaces: readonly string[] | undefined;
  /** Null stands for rooms without a type. */
  readonly roomTypes: ReadonlySet<string | null> | undefined;
  readonly notRoomTypes: ReadonlySet<string | null> | undefined;
  /** In lower case. */
  readonly nameLike: string | undefined;
  readonly tags: ReadonlySet<string> | undefined;
  readonly notTags: ReadonlySet<string> | undefined;
}

export interface List {
  readonly name: string;
  /** Undefined for the whole list. */
  readonly ranges: readonly Range[] | undefined;
  readonly config: RoomConfig;
  readonly filters: ListFilters | undefined;
}

/** Which rooms an extension is to tell of. */
export interface Scope {
  /** Names of lists; undefined for all of the request. */
  readonly lists: ReadonlySet<string> | undefined;
  /** Room ids; undefined for all subscriptions of the request. */
  readonly rooms: ReadonlySet<string> | undefined;
}

export interface Extensions {
  readonly toDevice: { readonly limit: number | undefined; readonly since: string | undefined } | undefined;
  readonly hasE2ee: boolean;
  readonly accountData: Scope | undefined;
  readonly receipts: Scope | undefined;
  readonly typing: Scope | undefined;
  readonly threadSubscriptions: { readonly limit: number | undefined } | undefined;
}

/** The rules of a request. */
export interface Rules {
  readonly lists: readonly List[];
  /** By room id. */
  readonly subscriptions: ReadonlyMap<string, RoomConfig>;
  readonly extensions: Extensions;
}

/** The rules in a body, for the user who sent it. */
export function rulesOf(body: SlidingSyncBody, userId: string): Rules {
  return {
    lists: Object.entries(body.lists ?? {}).map(([name, list]) => ({
      name,
      ranges: rangesOf(list),
      config: configOf(list, userId),
      filters: list.filters ? filtersOf(list.filters) : undefined,
    })),
    subscriptions: new Map(
      Object.entries(body.room_subscriptions ?? {}).map(([roomId, rule]) => [roomId, configOf(rule, userId)]),
    ),
    extensions: extensionsOf(body.extensions ?? {}),
  };
}

function rangesOf({ ranges, range, slow_get_all_rooms: isEverything }: z.output<typeof listSchema>): List['ranges'] {
  if (isEverything === true) return undefined;
  if (ranges) return ranges;
  return range ? [range] : undefined;
}

interface Rule {
  readonly timeline_limit?: number | undefined;
  readonly required_state?: z.output<typeof requiredStateSchema> | null | undefined;
}

function configOf({ timeline_limit: limit, required_state: wanted }: Rule, userId: string): RoomConfig {
  return {
    timelineLimit: Math.min(limit ?? DEFAULT_TIMELINE_LIMIT, MAX_TIMELINE_LIMIT),
    requiredState: partOf(wanted ?? [], userId),
  };
}

function partOf(wanted: z.output<typeof requiredStateSchema>, userId: string): RequiredStatePart {
  if (!Array.isArray(wanted)) {
    const patternOf = ({ type, state_key: stateKey }: z.output<typeof elementSchema>): StatePattern => ({
      type,
      stateKey,
    });
    return {
      include: (wanted.include ?? []).map(patternOf),
      exclude: (wanted.exclude ?? []).map(patternOf),
      isLazy: wanted.lazy_members === true,
    };
  }
  const include: StatePattern[] = [];
  let isLazy = false;
  for (const [type, stateKey] of wanted) {
    if (stateKey === LAZY) {
      if (type === 'm.room.member') isLazy = true;
      continue;
    }
    include.push({
      type: type === WILDCARD ? undefined : type,
      stateKey: stateKey === WILDCARD ? undefined : stateKey === ME ? userId : stateKey,
    });
  }
  return { include, exclude: [], isLazy };
}

function filtersOf(filters: z.output<typeof filtersSchema>): ListFilters {
  const setOf = <T>(entries: readonly T[] | null | undefined): ReadonlySet<T> | undefined =>
    entries ? new Set(entries) : undefined;
  return {
    isDm: filters.is_dm ?? undefined,
    isEncrypted: filters.is_encrypted ?? undefined,
    isInvite: filters.is_invite ?? filters.is_invited ?? undefined,
    spaces: filters.spaces ?? undefined,
    roomTypes: setOf(filters.room_types),
    notRoomTypes: setOf(filters.not_room_types),
    nameLike: filters.room_name_like?.toLowerCase(),
    tags: setOf(filters.tags),
    notTags: setOf(filters.not_tags),
  };
}

function extensionsOf(extensions: z.output<typeof extensionsSchema>): Extensions {
  const { to_device: toDevice, e2ee, account_data: accountData, receipts, typing } = extensions;
  const threads = extensions[THREAD_SUBSCRIPTIONS];
  return {
    toDevice:
      toDevice?.enabled === true
        ? { limit: toDevice.limit ?? undefined, since: toDevice.since ?? undefined }
        : undefined,
    hasE2ee: e2ee?.enabled === true,
    accountData: scopeOf(accountData),
    receipts: scopeOf(receipts),
    typing: scopeOf(typing),
    threadSubscriptions: threads?.enabled === true ? { limit: threads.limit ?? undefined } : undefined,
  };
}

interface ScopeJson {
  readonly enabled?: boolean | null | undefined;
  readonly lists?: readonly string[] | null | undefined;
  readonly rooms?: readonly string[] | null | undefined;
}

function scopeOf(json: ScopeJson | null | undefined): Scope | undefined {
  if (json?.enabled !== true) return undefined;
  const setOf = (given: readonly string[] | null | undefined): ReadonlySet<string> | undefined =>
    given && !given.includes(WILDCARD) ? new Set(given) : undefined;
  return { lists: setOf(json.lists), rooms: setOf(json.rooms) };
}
