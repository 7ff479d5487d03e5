/**
 * Filters, compiled: what `/sync`, `/messages` and `/context` ask of an event, a room, an update.
 * https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
import type { JsonObject } from '#protocol/pdu.ts';
import { compileEventFields } from './event-fields.ts';
import {
  type EventFilterJson,
  filterSchema,
  type RoomEventFilterJson,
  roomEventFilterSchema,
} from './filter-schema.ts';
import { compileGlobs, type Matcher } from './glob.ts';

/** The parts of an event that a filter looks at. */
export interface FilteredEvent {
  readonly type: string;
  /** Missing where there is none, as in account data; a `senders` list then admits it no more than an unknown sender. */
  readonly sender?: string;
  /** Whether its content has a `url`; missing for false. */
  readonly hasUrl?: boolean;
}

/** An EventFilter: for presence and global account data. */
export interface EventFilter {
  /** Most events, as asked for; the endpoint puts its own default and maximum to it. */
  readonly limit: number | undefined;
  /** Every event passes: there is no need to look at them. */
  readonly passesAll: boolean;
  /** No event passes, whatever it is: there is no need to fetch any. */
  readonly passesNone: boolean;
  matches(event: FilteredEvent): boolean;
  /** The conditions on the type and the sender alone, for where the content is not at hand. */
  matchesTypeAndSender(type: string, sender: string | undefined): boolean;
}

/** A RoomEventFilter. */
export interface RoomEventFilter extends EventFilter {
  /** True: only events with a `url` in their content; false: only those without; undefined: either. */
  readonly containsUrl: boolean | undefined;
  readonly lazyLoadMembers: boolean;
  readonly includeRedundantMembers: boolean;
  readonly unreadThreadNotifications: boolean;
  /** Conditions on what relates to the event; undefined for none. */
  readonly relatedBy: RelatedBy | undefined;
  /** Condition on how the event relates to another one, if it does; undefined for none. */
  readonly matchesRelType: ((relType: string | undefined) => boolean) | undefined;
  matchesRoom(roomId: string): boolean;
}

/** What relates to an event: it takes one event that fits both lists, where they are given. */
export interface RelatedBy {
  readonly senders: readonly string[] | undefined;
  readonly relTypes: readonly string[] | undefined;
}

/** A whole filter. What the filter leaves out has the specification's default. */
export interface Filter {
  /** Reduces an event, in the form that clients get, to the `event_fields`; undefined to send events whole. */
  readonly selectFields: ((event: JsonObject) => JsonObject) | undefined;
  readonly eventFormat: 'client' | 'federation';
  readonly presence: EventFilter;
  readonly accountData: EventFilter;
  readonly room: {
    readonly includeLeave: boolean;
    /** Comes before the `matchesRoom` of the four below. */
    matchesRoom(roomId: string): boolean;
    readonly ephemeral: RoomEventFilter;
    readonly state: RoomEventFilter;
    readonly timeline: RoomEventFilter;
    readonly accountData: RoomEventFilter;
  };
}

/**
 * Checks and compiles a filter.
 * @throws {ZodError} if it is none.
 */
export function compileFilter(value: unknown): Filter {
  const json = filterSchema.parse(value);
  const room = json.room ?? {};
  return {
    selectFields: json.event_fields && compileEventFields(json.event_fields),
    eventFormat: json.event_format ?? 'client',
    presence: eventFilterOf(json.presence ?? {}),
    accountData: eventFilterOf(json.account_data ?? {}),
    room: {
      includeLeave: room.include_leave ?? false,
      matchesRoom: listMatcher(room.rooms, room.not_rooms, oneOf) ?? always,
      ephemeral: roomEventFilterOf(room.ephemeral ?? {}),
      state: roomEventFilterOf(room.state ?? {}),
      timeline: roomEventFilterOf(room.timeline ?? {}),
      accountData: roomEventFilterOf(room.account_data ?? {}),
    },
  };
}

/**
 * Checks and compiles a RoomEventFilter.
 * @throws {ZodError} if it is none.
 */
export function compileRoomEventFilter(value: unknown): RoomEventFilter {
  return roomEventFilterOf(roomEventFilterSchema.parse(value));
}

/** What a request without a filter gets: everything. */
export const NO_FILTER: Filter = compileFilter({});
/** The same for `/messages` and `/context`. */
export const NO_ROOM_EVENT_FILTER: RoomEventFilter = NO_FILTER.room.timeline;

function eventFilterOf(json: EventFilterJson, containsUrl?: boolean): EventFilter {
  const matchesType = listMatcher(json.types, json.not_types, compileGlobs);
  const matchesSender = listMatcher(json.senders, json.not_senders, oneOf);
  const matchesTypeAndSender = (type: string, sender: string | undefined): boolean =>
    (matchesType === undefined || matchesType(type)) &&
    (matchesSender === undefined || (sender === undefined ? json.senders === undefined : matchesSender(sender)));
  return {
    limit: json.limit,
    passesAll: matchesType === undefined && matchesSender === undefined && containsUrl === undefined,
    passesNone: admitsNone(json.types, json.not_types) || json.senders?.length === 0,
    matchesTypeAndSender,
    matches: ({ type, sender, hasUrl = false }) =>
      matchesTypeAndSender(type, sender) && (containsUrl === undefined || containsUrl === hasUrl),
  };
}

function roomEventFilterOf(json: RoomEventFilterJson): RoomEventFilter {
  const { related_by_senders: senders, related_by_rel_types: relTypes } = json;
  const relatedBy = senders === undefined && relTypes === undefined ? undefined : { senders, relTypes };
  const matchesRelType = relTypeMatcher(json['org.matrix.msc3874.rel_types'], json['org.matrix.msc3874.not_rel_types']);
  const filter = eventFilterOf(json, json.contains_url);
  return {
    ...filter,
    passesAll: filter.passesAll && relatedBy === undefined && matchesRelType === undefined,
    relatedBy,
    matchesRelType,
    containsUrl: json.contains_url,
    lazyLoadMembers: json.lazy_load_members ?? false,
    includeRedundantMembers: json.include_redundant_members ?? false,
    unreadThreadNotifications: json.unread_thread_notifications ?? false,
    matchesRoom: listMatcher(json.rooms, json.not_rooms, oneOf) ?? always,
  };
}

/** An event that relates to nothing is none of those that are listed. */
function relTypeMatcher(
  included: readonly string[] | undefined,
  excluded: readonly string[] | undefined,
): RoomEventFilter['matchesRelType'] {
  if (included === undefined && excluded === undefined) return undefined;
  const isIncluded = included && oneOf(included);
  const isExcluded = oneOf(excluded ?? []);
  return (relType) =>
    relType === undefined
      ? isIncluded === undefined
      : (isIncluded === undefined || isIncluded(relType)) && !isExcluded(relType);
}

/** Undefined where neither list is there and everything matches. What both lists name is out. */
function listMatcher(
  included: readonly string[] | undefined,
  excluded: readonly string[] | undefined,
  compile: (entries: readonly string[]) => Matcher,
): Matcher | undefined {
  const isIncluded = included && compile(included);
  const isExcluded = excluded && excluded.length > 0 ? compile(excluded) : undefined;
  if (isIncluded === undefined) return isExcluded && ((text) => !isExcluded(text));
  if (isExcluded === undefined) return isIncluded;
  return (text) => isIncluded(text) && !isExcluded(text);
}

function admitsNone(types: readonly string[] | undefined, notTypes: readonly string[] | undefined): boolean {
  return types?.length === 0 || notTypes?.includes('*') === true;
}

function oneOf(entries: readonly string[]): Matcher {
  const set = new Set(entries);
  return (text) => set.has(text);
}

function always(): boolean {
  return true;
}
