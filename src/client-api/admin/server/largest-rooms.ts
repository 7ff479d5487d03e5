import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, headOf, timelineBackwards } from '#projections/rooms/queries.ts';
import { rooms } from '#projections/rooms/tables.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { gathered, ordered } from '../paging.ts';

const LISTED = 10;
/** Events whose size is taken for that of all of a room. */
const SAMPLE = 20;
/** What an event takes beside its content: its record, its rows and their keys. A rough figure: rooms are compared with it. */
const BYTES_BESIDE_CONTENT = 1_500;

/**
 * `GET /_synapse/admin/v1/statistics/database/rooms`: the rooms that take most room, by an estimate: how many records a room has, and how large its
 * latest events are.
 * https://element-hq.github.io/synapse/latest/admin_api/statistics.html#get-largest-rooms-by-size-in-database
 */
export const largestRooms = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/statistics/database/rooms',
  auth: 'admin',
  may: 'server.read',
  audit: { action: 'statistics.read' },
  rateLimit: 'none',
  handler: async (_, { reader }: Pick<Context, 'reader'>) => {
    const all = await gathered(reader, rooms, sharedPacer, ([id], { roomId }) => ({
      room_id: roomId,
      estimated_size: estimateOf(reader, id),
    }));
    return { rooms: ordered(all, ({ estimated_size }) => estimated_size, 'b').slice(0, LISTED) };
  },
});

function estimateOf(reader: Reader, room: Position): number {
  const head = headOf(reader, room);
  if (head === undefined) return 0;
  let events = 0;
  let characters = 0;
  for (const { position } of timelineBackwards(reader, room, BEFORE_FIRST, reader.frontier)) {
    characters += eventAt(reader, position)?.contentJson.length ?? 0;
    events += 1;
    if (events === SAMPLE) break;
  }
  const content = events === 0 ? 0 : characters / events;
  return Math.round((head.revision + 1) * (content + BYTES_BESIDE_CONTENT));
}
