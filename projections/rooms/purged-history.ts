import { readComplianceRecord } from '#projections/compliance/records.ts';
import { unpackSections } from '#projections/compliance/section-list.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import type { Arrival } from './arrival.ts';
import { readDisposition } from './disposition-record.ts';
import { type EventRow, stateAfter, stateBefore, versionAfter } from './event-row.ts';
import { eventIdKey } from './keys.ts';
import type { KnownEvent } from './known-events.ts';
import { noteRevision } from './place-event.ts';
import { eventIds, events, purgedEvents, timeline, topology } from './tables.ts';

/** Largest depth that a key has. */
const MAX_DEPTH = 2 ** 48 - 1;

export const DESTRUCTION_DECIDED_KIND = 'destruction.decided';

/**
 * Takes off the timeline what an administrator purged of a room's history, and up to the first message that was kept the state events
 * and empty messages among it: they stay known, the messages as what is left of them, the state as it is, for whoever names them.
 * What a hold keeps stays where it is, with the state that changed after it, which readers of the timeline find there; and what is
 * destroyed for other reasons keeps its place, so that people see that something was there. Only what is taken off may come back,
 * see {@link applyReturn}.
 */
export function applyHistoryPurged(tx: Writer, record: LogRecord): void {
  const read = readComplianceRecord(record);
  if (read?.kind !== DESTRUCTION_DECIDED_KIND || read.fields.cause !== 'history_purge') return;
  /** By room: the last place that was purged. */
  const purged = new Map<Position, Position>();
  let last = -1;
  for (const { position } of unpackSections(read.fields.items)) {
    if (position === last) continue;
    last = position;
    const event = tx.get(events, [position]);
    if (event === undefined || event.stateKey !== undefined) continue;
    purged.set(event.room, Math.max(purged.get(event.room) ?? -1, takeOff(tx, position, event)));
    tx.put(purgedEvents, [event.room, event.depth, position], true);
  }
  for (const [room, place] of purged) {
    for (const { value: position } of [...tx.range(timeline, { prefix: [room], lt: [room, place] })]) {
      const event = tx.get(events, [position]);
      if (event === undefined || (event.stateKey === undefined && event.contentJson !== '{}')) break;
      takeOff(tx, position, event);
      // What else is empty here was destroyed for another reason.
      if (event.stateKey !== undefined) tx.put(purgedEvents, [room, event.depth, position], true);
    }
  }
}

/** Gives the place on the timeline that the event had. */
function takeOff(tx: Writer, position: Position, { room, depth, fork }: EventRow): Position {
  const place = fork?.place ?? position;
  tx.remove(timeline, [room, place]);
  tx.remove(topology, [room, depth, position]);
  return place;
}

/** Whether an event was taken off the timeline by a purge of history. */
export function isPurged(reader: Reader, { position, row }: Pick<KnownEvent, 'position' | 'row'>): boolean {
  return reader.has(purgedEvents, [row.room, row.depth, position]);
}

/** What was purged of a room within some depths, and right below the events that are shown of these: the deepest first. */
export function* purgedWithin(
  reader: Reader,
  room: Position,
  { from, to }: { readonly from: number; readonly to: number },
): Generator<Position> {
  const end = to + 1;
  const bounds = { prefix: [room] as const, ...(end <= MAX_DEPTH && { lt: [room, end] as const }), reverse: true };
  for (const [, depth, position] of reader.keys(purgedEvents, bounds)) {
    const isBelow = depth < from;
    if (isBelow && reader.count(topology, { prefix: [room], gte: [room, depth], lt: [room, from], limit: 1 }) > 0)
      return;
    yield position;
  }
}

/**
 * Applies the record of an event that was purged before, and that another server has told again: it is part of the history once more,
 * with the state that it had. The record from before stays what is left of it; from now on the event is that of this one.
 *
 * @returns false for any other event.
 */
export function applyReturn(tx: Writer, { room, position, revision, disposition, row }: Arrival): boolean {
  const before = disposition === 'backfilled' ? tx.get(eventIds, eventIdKey(row.eventId)) : undefined;
  const known = before === undefined ? undefined : tx.get(events, [before]);
  if (before === undefined || known === undefined || !isPurged(tx, { position: before, row: known })) return false;
  const { stateVersion, depth } = known;
  const fork = {
    before: stateBefore(known),
    after: stateAfter(known),
    versionAfter: versionAfter(known),
    ...(known.fork?.isTold && { isTold: true }),
  };
  tx.remove(purgedEvents, [room.id, depth, before]);
  tx.put(eventIds, eventIdKey(row.eventId), position);
  tx.put(events, [position], { ...row, stateVersion, fork });
  tx.put(topology, [room.id, depth, position], true);
  noteRevision(tx, room.id, revision);
  return true;
}

/** Applies the record that says of an event which a purge took off the timeline, but left as it was, that it is told again. */
export function applyReturnAsItIs(tx: Writer, record: LogRecord): void {
  const told = readDisposition(record);
  const position = told?.disposition === 'backfilled' ? tx.get(eventIds, eventIdKey(told.eventId)) : undefined;
  const row = position === undefined ? undefined : tx.get(events, [position]);
  if (position === undefined || row === undefined || !isPurged(tx, { position, row })) return;
  tx.remove(purgedEvents, [row.room, row.depth, position]);
  tx.put(topology, [row.room, row.depth, position], true);
  noteRevision(tx, row.room, record.revision);
}
