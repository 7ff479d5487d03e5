/**
 * When the events of a room were sent, by their own account: to find the one nearest to a time. It lies in the environment of
 * the search, since nobody waits for it.
 */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, raw, str, tuple, u48 } from '#projections/engine/table.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import type { Position } from '#streams/event-log.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

/** Events of one row. */
export const EVENTS_PER_ROW = 64;

/** An event and when it was sent, in milliseconds since the epoch. */
export interface TimedEvent {
  readonly position: Position;
  readonly sentAtMs: number;
}

const times = defineTable({
  name: 'times.events',
  key: tuple<[roomId: string, last: number]>(str, u48),
  value: raw,
  why: 'A row has the earliest and the latest time of 64 events that came in a row, and each: nearly all rows are passed over by the first two.',
});

const latest = defineTable({
  name: 'times.latest',
  key: tuple<[roomId: string]>(str),
  value: raw,
  why: 'The row that still grows is apart, so that it is found at once.',
});

/** Greatest time that a row can hold. */
const MAX_TIME_MS = 2 ** 48 - 1;

export const timesProjection: Projection = {
  name: 'times',
  version: 1,
  tables: [times, latest],
  apply(tx, record) {
    if (record.kind !== PDU_KIND) return;
    const read = readPduRecord(record);
    if (read === undefined) return;
    const { roomId, disposition } = read.meta;
    if (disposition !== 'accepted' && disposition !== 'backfilled') return;
    const sentAtMs = Math.min(Math.max(0, read.pdu.origin_server_ts), MAX_TIME_MS);
    const row = extended(tx.get(latest, [roomId]), { position: record.position, sentAtMs });
    if (headOf(row).count < EVENTS_PER_ROW) {
      tx.put(latest, [roomId], row);
      return;
    }
    tx.remove(latest, [roomId]);
    tx.put(times, [roomId, record.position], row);
  },
};

/**
 * The events of a room from a time on, or before it, the nearest first; an event of that very time counts for both. Those that
 * say the same are in the order of their coming.
 */
export function* eventsNear(
  reader: Reader,
  roomId: string,
  timeMs: number,
  direction: 'f' | 'b',
): Generator<TimedEvent> {
  const sign = direction === 'f' ? 1 : -1;
  // Distances in the direction asked for: what is behind is negative.
  const rows: { readonly nearest: number; readonly value: Buffer }[] = [];
  const growing = reader.get(latest, [roomId]);
  const whole = Array.from(reader.range(times, { prefix: [roomId] }), ({ value }) => value);
  for (const value of growing === undefined ? whole : [...whole, growing]) {
    const head = headOf(value);
    const [near, far] = direction === 'f' ? [head.earliest, head.latest] : [head.latest, head.earliest];
    if (sign * (far - timeMs) >= 0) rows.push({ nearest: sign * (near - timeMs), value });
  }
  rows.sort((a, b) => a.nearest - b.nearest);
  let pool: TimedEvent[] = [];
  const distance = ({ sentAtMs }: TimedEvent): number => sign * (sentAtMs - timeMs);
  let index = 0;
  for (;;) {
    let row = rows[index];
    let added = false;
    for (
      let head = pool[0];
      row !== undefined && (head === undefined || row.nearest <= distance(head));
      head = pool[0]
    ) {
      pool.push(...decodeTimes(row.value).filter((event) => distance(event) >= 0));
      pool.sort((a, b) => distance(a) - distance(b) || sign * (a.position - b.position));
      index += 1;
      row = rows[index];
      added = true;
    }
    const [next, ...rest] = pool;
    if (next === undefined && !added) return;
    if (next === undefined) continue;
    pool = rest;
    yield next;
  }
}

/** A row is its head, then for each event the distance of its position to the one before and of its time to the base. */
interface RowHead {
  readonly count: number;
  readonly earliest: number;
  readonly latest: number;
  /** Position of the last event. */
  readonly last: number;
}

const EARLIEST_AT = 1;
const LATEST_AT = 7;
const LAST_AT = 13;
/** The time of the first event. */
const BASE_AT = 19;
const ROW_HEAD_BYTES = 25;
/** What is written is copied out of it before anything else is. */
const writer = new ByteWriter();

function extended(row: Buffer | undefined, { position, sentAtMs }: TimedEvent): Buffer {
  const head = row === undefined ? { count: 0, earliest: sentAtMs, latest: sentAtMs, last: 0 } : headOf(row);
  const base = row === undefined ? sentAtMs : row.readUIntBE(BASE_AT, 6);
  writer.clear();
  if (row !== undefined) writer.bytes(row);
  else for (let left = ROW_HEAD_BYTES; left > 0; left -= 1) writer.byte(0);
  writer.varint(position - head.last);
  const later = sentAtMs - base;
  writer.varint(later < 0 ? -2 * later - 1 : 2 * later);
  const bytes = writer.taken();
  bytes[0] = head.count + 1;
  bytes.writeUIntBE(Math.min(head.earliest, sentAtMs), EARLIEST_AT, 6);
  bytes.writeUIntBE(Math.max(head.latest, sentAtMs), LATEST_AT, 6);
  bytes.writeUIntBE(position, LAST_AT, 6);
  bytes.writeUIntBE(base, BASE_AT, 6);
  return bytes;
}

function headOf(row: Buffer): RowHead {
  return {
    count: row[0] ?? 0,
    earliest: row.readUIntBE(EARLIEST_AT, 6),
    latest: row.readUIntBE(LATEST_AT, 6),
    last: row.readUIntBE(LAST_AT, 6),
  };
}

function decodeTimes(row: Buffer): TimedEvent[] {
  const reader = new ByteReader(row, ROW_HEAD_BYTES);
  const base = row.readUIntBE(BASE_AT, 6);
  const events: TimedEvent[] = [];
  let position = 0;
  while (!reader.isAtEnd) {
    position += reader.varint();
    const packed = reader.varint();
    const later = packed % 2 === 0 ? packed / 2 : -(packed + 1) / 2;
    events.push({ position, sentAtMs: base + later });
  }
  return events;
}
