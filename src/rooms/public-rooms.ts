import { z } from 'zod';
import { listedRoomIds } from '#projections/directory/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, headOf, type Room, stateContent } from '#projections/rooms/queries.ts';
import { MatrixError } from '#src/http/errors.ts';

/** How the list is asked for with a filter, by clients and by other servers. Source: client-server API, `POST /publicRooms`. */
export const publicRoomsBody = z.object({
  limit: z.number().int().nonnegative().nullish(),
  since: z.string().nullish(),
  filter: z
    .object({
      generic_search_term: z.string().nullish(),
      room_types: z.array(z.string().nullable()).nullish(),
    })
    .nullish(),
  include_all_networks: z.boolean().nullish(),
  third_party_instance_id: z.string().nullish(),
});

export interface PublicRoomsQuery {
  /** Most rooms to give; default and most {@link MAX_ROOMS_PER_PAGE}. */
  readonly limit?: number | undefined;
  /** Where an earlier answer said to go on. */
  readonly since?: string | undefined;
  /** In name, topic or alias, whatever the case. */
  readonly searchTerm?: string | undefined;
  /** Room types to give, null for rooms without one; default all. */
  readonly roomTypes?: readonly (string | null)[] | undefined;
}

/** A room as the list shows it. Source: client-server API, `GET /publicRooms`, `PublishedRoomsChunk`. */
export interface PublicRoom {
  readonly room_id: string;
  readonly name?: string;
  readonly topic?: string;
  readonly canonical_alias?: string;
  readonly avatar_url?: string;
  readonly join_rule?: string;
  readonly room_type?: string;
  readonly num_joined_members: number;
  readonly world_readable: boolean;
  readonly guest_can_join: boolean;
}

export interface PublicRoomsPage {
  readonly chunk: readonly PublicRoom[];
  readonly next_batch?: string;
  readonly prev_batch?: string;
  readonly total_room_count_estimate: number;
}

/** What there is of other networks: nothing. */
export const NO_ROOMS: PublicRoomsPage = { chunk: [], total_room_count_estimate: 0 };

const MAX_ROOMS_PER_PAGE = 500;
/** Rooms whose entries are remembered from one request to the next. */
const MAX_REMEMBERED_ROOMS = 20_000;

type Remembered = Map<string, { readonly revision: number; readonly entry: PublicRoom }>;

/** For each reader its entries by room, each good until the room's next event: a redaction changes them too. */
const rememberedOf = new WeakMap<Reader, Remembered>();

/**
 * A page of the list of public rooms, those with the most members first.
 * @throws {MatrixError} M_INVALID_PARAM for a `since` that is none of ours.
 */
export function listPublicRooms(reader: Reader, query: PublicRoomsQuery): PublicRoomsPage {
  const offset = offsetOf(query.since);
  const limit = Math.min(query.limit ?? MAX_ROOMS_PER_PAGE, MAX_ROOMS_PER_PAGE);
  const rooms = listedRoomIds(reader)
    .map((roomId) => findRoom(reader, roomId))
    .filter((room) => room !== undefined)
    .map((room) => publicRoom(reader, room))
    .filter((room) => matches(room, query))
    .sort((a, b) => b.num_joined_members - a.num_joined_members || (a.room_id < b.room_id ? -1 : 1));
  return {
    chunk: rooms.slice(offset, offset + limit),
    ...(offset + limit < rooms.length && { next_batch: `o${offset + limit}` }),
    ...(offset > 0 && { prev_batch: `o${Math.max(0, offset - limit)}` }),
    total_room_count_estimate: rooms.length,
  };
}

/** Forgets what is remembered of the rooms of a reader. */
export function forgetPublicRooms(reader: Reader): void {
  rememberedOf.delete(reader);
}

function offsetOf(since: string | undefined): number {
  if (since === undefined || since === '') return 0;
  if (!/^o\d{1,9}$/.test(since)) throw new MatrixError('M_INVALID_PARAM', 'since is not a token of this list.');
  return Number(since.slice(1));
}

/** A room as the list shows it, whether or not it is on it. */
export function publicRoom(reader: Reader, room: Room): PublicRoom {
  const revision = headOf(reader, room.id)?.revision;
  if (revision === undefined) return readPublicRoom(reader, room);
  const remembered = rememberedOf.get(reader) ?? (new Map() as Remembered);
  rememberedOf.set(reader, remembered);
  const known = remembered.get(room.roomId);
  if (known?.revision === revision) return known.entry;
  const entry = readPublicRoom(reader, room);
  if (remembered.size >= MAX_REMEMBERED_ROOMS) remembered.clear();
  remembered.set(room.roomId, { revision, entry });
  return entry;
}

function readPublicRoom(reader: Reader, room: Room): PublicRoom {
  const text = (type: string, key: string): string | undefined => {
    const value = stateContent(reader, room.id, type)?.[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const optional = {
    name: text('m.room.name', 'name'),
    topic: text('m.room.topic', 'topic'),
    canonical_alias: text('m.room.canonical_alias', 'alias'),
    avatar_url: text('m.room.avatar', 'url'),
    join_rule: text('m.room.join_rules', 'join_rule'),
    room_type: text('m.room.create', 'type'),
  };
  return {
    room_id: room.roomId,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    num_joined_members: headOf(reader, room.id)?.joined ?? 0,
    world_readable: text('m.room.history_visibility', 'history_visibility') === 'world_readable',
    guest_can_join: text('m.room.guest_access', 'guest_access') === 'can_join',
  };
}

function matches(room: PublicRoom, { searchTerm, roomTypes }: PublicRoomsQuery): boolean {
  if (roomTypes && !roomTypes.includes(room.room_type ?? null)) return false;
  if (searchTerm === undefined || searchTerm === '') return true;
  const term = searchTerm.toLowerCase();
  return [room.name, room.topic, room.canonical_alias].some((text) => text?.toLowerCase().includes(term));
}
