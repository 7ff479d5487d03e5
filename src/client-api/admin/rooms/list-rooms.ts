/**
 * Rooms that this server knows. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#list-room-api
 */
import { z } from 'zod';
import { roomById } from '#projections/rooms/queries.ts';
import { rooms } from '#projections/rooms/tables.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { queryChoice, queryFlag, queryText } from '#src/http/query.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { gathered, ordered, pageOf, pageQuery } from '../paging.ts';
import { type ListedRoom, listedRoom } from './room-json.ts';

/** What rooms are ordered by; `alphabetical` and `size` are old names of `name` and `joined_members`. */
const ORDERS = [
  'name',
  'alphabetical',
  'size',
  'canonical_alias',
  'joined_members',
  'joined_local_members',
  'version',
  'creator',
  'encryption',
  'federatable',
  'public',
  'join_rules',
  'guest_access',
  'history_visibility',
  'state_events',
] as const;
const OLD_NAMES: Readonly<Record<string, keyof ListedRoom>> = { alphabetical: 'name', size: 'joined_members' };
/** What is more of itself comes first, unless it is asked otherwise. */
const LARGEST_FIRST: ReadonlySet<string> = new Set(['joined_members', 'joined_local_members', 'state_events']);

/** `GET /_synapse/admin/v1/rooms`. */
export const listRooms = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'room.list', isScopedInHandler: true },
  rateLimit: 'none',
  query: z.object({
    ...pageQuery,
    order_by: queryChoice(ORDERS).default('name'),
    search_term: queryText().optional(),
    public_rooms: queryFlag().optional(),
    empty_rooms: queryFlag().optional(),
  }),
  handler: async ({ query, requester }, { reader, serverName }: Pick<Context, 'reader' | 'serverName'>) => {
    const scope = standingOf(requester).rooms;
    const all = await gathered(reader, rooms, sharedPacer, ([id], { roomId }) => {
      const room = scope === undefined || scope.includes(roomId) ? roomById(reader, id) : undefined;
      return room && listedRoom(reader, serverName, room);
    });
    const found = all.filter((room) => isAskedFor(room, query));
    const by = OLD_NAMES[query.order_by] ?? (query.order_by as keyof ListedRoom);
    const dir = LARGEST_FIRST.has(by) === (query.dir === 'f') ? 'b' : 'f';
    const { page, next } = pageOf(
      ordered(found, (room) => room[by], dir),
      query,
    );
    return {
      rooms: page,
      offset: query.from,
      total_rooms: found.length,
      ...(next !== undefined && { next_batch: next }),
      ...(query.from > 0 && { prev_batch: Math.max(0, query.from - query.limit) }),
    };
  },
});

function isAskedFor(
  room: ListedRoom,
  query: {
    readonly search_term?: string | undefined;
    readonly public_rooms?: boolean | undefined;
    readonly empty_rooms?: boolean | undefined;
  },
): boolean {
  if (query.public_rooms !== undefined && room.public !== query.public_rooms) return false;
  if (query.empty_rooms !== undefined && (room.joined_local_members === 0) !== query.empty_rooms) return false;
  const term = query.search_term?.toLowerCase();
  if (term === undefined) return true;
  return (
    room.room_id === query.search_term ||
    [room.name, room.canonical_alias].some((text) => text?.toLowerCase().includes(term) === true)
  );
}
