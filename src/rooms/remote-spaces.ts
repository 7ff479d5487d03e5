import { isRoomId } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { type FederationClient, federationPath } from '#src/federation/client.ts';
import { FederationError } from '#src/federation/errors.ts';
import { Lru } from '#src/sync/lru.ts';
import type { RoomSummary } from './room-summary.ts';
import { type ChildLink, childLink, MAX_CHILDREN } from './space-children.ts';

/** For how long what another server said of a space is not asked again. */
const FRESH_FOR_MS = 5 * 60_000;
/** Rooms of which it is remembered what another server said, and in all so many rooms and links in them. */
const MAX_REMEMBERED = 20_000;
/** Servers that are asked about one room, one after the other. */
const MAX_SERVERS_ASKED = 3;
const DEADLINE_MS = 5_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_TEXT_CHARACTERS = 65_536;

/** A room as another server tells of it. */
export interface RemoteRoom {
  readonly summary: RoomSummary;
  /** Its links to its rooms, in no order. */
  readonly links: readonly ChildLink[];
  /** What that server said of these rooms, by room id; those that nobody here may see are not there. */
  readonly children: ReadonlyMap<string, RoomSummary>;
  /** Rooms that nobody of this server may see, whoever is asked. */
  readonly inaccessible: ReadonlySet<string>;
}

export interface RemoteSpacesOptions {
  readonly client: Pick<FederationClient, 'request'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly serverName: string;
}

interface Remembered {
  readonly untilMs: number;
  readonly room: RemoteRoom | undefined;
}

/** Asks other servers about spaces, and rooms, that this one is not in; what was said is remembered for a few minutes. */
export class RemoteSpaces {
  readonly #options: RemoteSpacesOptions;
  readonly #remembered = new Lru<string, Remembered>(MAX_REMEMBERED, ({ room }) =>
    room === undefined ? 1 : 1 + room.links.length + room.children.size + room.inaccessible.size,
  );
  /** What is being asked now. */
  readonly #asking = new Map<string, Promise<RemoteRoom | undefined>>();

  constructor(options: RemoteSpacesOptions) {
    this.#options = options;
  }

  /**
   * What one of some servers says of a room; undefined if none of them tells.
   * @param isFresh asks them even if it is known what was said a while ago.
   */
  async room(
    roomId: string,
    via: readonly string[],
    suggestedOnly: boolean,
    isFresh = false,
  ): Promise<RemoteRoom | undefined> {
    const key = `${suggestedOnly} ${roomId}`;
    const known = isFresh ? undefined : this.#remembered.get(key);
    if (known !== undefined && known.untilMs > this.#options.clock()) return known.room;
    const asking =
      this.#asking.get(key) ??
      this.#ask(roomId, via, suggestedOnly).finally(() => {
        this.#asking.delete(key);
      });
    this.#asking.set(key, asking);
    const room = await asking;
    this.#remembered.set(key, { untilMs: this.#options.clock() + FRESH_FOR_MS, room });
    return room;
  }

  async #ask(roomId: string, via: readonly string[], suggestedOnly: boolean): Promise<RemoteRoom | undefined> {
    const path = federationPath`/_matrix/federation/v1/hierarchy/${roomId}?suggested_only=${String(suggestedOnly)}`;
    const servers = via.filter((server) => server !== this.#options.serverName).slice(0, MAX_SERVERS_ASKED);
    for (const destination of servers) {
      try {
        const answer = await this.#options.client.request({
          destination,
          method: 'GET',
          path,
          deadlineMs: DEADLINE_MS,
          maxAnswerBytes: MAX_ANSWER_BYTES,
        });
        const room = remoteRoom(roomId, answer);
        if (room !== undefined) return room;
      } catch (error) {
        if (!(error instanceof FederationError)) throw error;
      }
    }
    return undefined;
  }
}

function remoteRoom(roomId: string, answer: JsonObject): RemoteRoom | undefined {
  const summary = remoteSummary(answer['room']);
  if (summary === undefined || summary.room_id !== roomId || !isJsonObject(answer['room'])) return undefined;
  const children = listIn(answer['children']).flatMap((child): [string, RoomSummary][] => {
    const read = remoteSummary(child);
    return read === undefined ? [] : [[read.room_id, read]];
  });
  return {
    summary,
    links: listIn(answer['room']['children_state']).flatMap((link) => childLink(link) ?? []),
    children: new Map(children),
    inaccessible: new Set(listIn(answer['inaccessible_children']).filter((id) => typeof id === 'string')),
  };
}

/** A summary as another server wrote it: what clients are given of it, each member of its right type. */
export function remoteSummary(given: JsonValue | undefined): RoomSummary | undefined {
  if (!isJsonObject(given)) return undefined;
  const { room_id, num_joined_members, world_readable, guest_can_join } = given;
  if (typeof room_id !== 'string' || !isRoomId(room_id)) return undefined;
  const texts: { [key: string]: string } = {};
  for (const key of TEXTS) {
    const text = given[key];
    if (typeof text === 'string' && text.length <= MAX_TEXT_CHARACTERS) texts[key] = text;
  }
  const allowed = listIn(given['allowed_room_ids']).filter((id) => typeof id === 'string');
  return {
    ...texts,
    room_id,
    num_joined_members: Number.isSafeInteger(num_joined_members) ? Math.max(0, num_joined_members as number) : 0,
    world_readable: world_readable === true,
    guest_can_join: guest_can_join === true,
    ...(allowed.length > 0 && { allowed_room_ids: allowed }),
  };
}

const TEXTS = [
  'name',
  'topic',
  'canonical_alias',
  'avatar_url',
  'join_rule',
  'room_type',
  'encryption',
  'room_version',
] as const;

function listIn(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]).slice(0, MAX_CHILDREN) : [];
}
