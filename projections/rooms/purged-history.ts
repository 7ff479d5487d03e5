import { readComplianceRecord } from '#projections/compliance/records.ts';
import { unpackSections } from '#projections/compliance/section-list.ts';
import type { Writer } from '#projections/engine/reader.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import type { EventRow } from './event-row.ts';
import { events, timeline, topology } from './tables.ts';

export const DESTRUCTION_DECIDED_KIND = 'destruction.decided';

/**
 * Takes off the timeline what an administrator purged of a room's history, and up to the first message that was kept the state events
 * and empty messages among it: they stay known, the messages as what is left of them, the state as it is, for whoever names them.
 * What a hold keeps stays where it is, with the state that changed after it, which readers of the timeline find there; and what is
 * destroyed for other reasons keeps its place, so that people see that something was there.
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
  }
  for (const [room, place] of purged) {
    for (const { value: position } of [...tx.range(timeline, { prefix: [room], lt: [room, place] })]) {
      const event = tx.get(events, [position]);
      if (event === undefined || (event.stateKey === undefined && event.contentJson !== '{}')) break;
      takeOff(tx, position, event);
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
