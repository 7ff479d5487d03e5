/** By what clients sort rooms: where something was said last. Source: MSC4186, `bump_stamp`. */
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt, timelineBackwards } from '#projections/rooms/queries.ts';
import { Lru } from '#src/sync/lru.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';

const BUMP_TYPES: ReadonlySet<string> = new Set([
  'm.room.create',
  'm.room.message',
  'm.room.encrypted',
  'm.sticker',
  'm.call.invite',
  'm.poll.start',
  'org.matrix.msc3381.poll.start',
  'm.beacon_info',
  'org.matrix.msc3672.beacon_info',
]);

/** Most events of a room that are looked at; where nothing was said in all of them, the oldest of them counts. */
const MAX_EVENTS_SCANNED = 1000;
/** Rooms whose stamp is remembered. */
const MAX_ROOMS_REMEMBERED = 50_000;

interface Remembered {
  readonly stamp: Position;
  /** The timeline was looked at up to here. */
  readonly upTo: Position;
}

export class BumpStamps {
  readonly #remembered = new Lru<Position, Remembered>(MAX_ROOMS_REMEMBERED);

  /** Place on the timeline of the last event, up to a position, with which something was said. Never 0. */
  of(
    reader: Reader,
    room: Position,
    upTo: Position,
    read: (reader: Reader, position: Position) => Event | undefined = eventAt,
  ): Position {
    const known = this.#remembered.get(room);
    const isOld = known !== undefined && known.upTo > upTo;
    const after = known === undefined || isOld ? BEFORE_FIRST : known.upTo;
    const stamp = findStamp(reader, room, after, upTo, read) ?? known?.stamp ?? room;
    if (!isOld) this.#remembered.set(room, { stamp, upTo });
    return Math.max(stamp, 1);
  }
}

function findStamp(
  reader: Reader,
  room: Position,
  after: Position,
  upTo: Position,
  read: (reader: Reader, position: Position) => Event | undefined,
): Position | undefined {
  let scanned = 0;
  for (const { place, position } of timelineBackwards(reader, room, after, upTo)) {
    if (BUMP_TYPES.has(read(reader, position)?.type ?? '')) return place;
    if (++scanned >= MAX_EVENTS_SCANNED) return place;
  }
  return undefined;
}
