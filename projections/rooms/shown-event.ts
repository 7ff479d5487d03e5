import type { Reader } from '#projections/engine/reader.ts';
import type { LogRecord } from '#streams/event-log.ts';
import { PDU_KIND, readPduRecord } from './pdu-record.ts';
import { type Event, eventAt } from './queries.ts';

/** An event that people in its room can see from a record on. */
export interface ShownEvent {
  readonly event: Event;
  /** Whether it came onto the timeline as something new; false for history that was fetched later. */
  readonly isNew: boolean;
}

/**
 * The event that a record makes visible to the people in its room; undefined for a record that shows nothing: one of another
 * kind, or an event that was rejected, soft-failed or only kept aside. For projections that come after the rooms projection
 * in the catalogue, so that its row of the event is there.
 */
export function shownEvent(tx: Reader, record: LogRecord): ShownEvent | undefined {
  if (record.kind !== PDU_KIND) return undefined;
  if (readPduRecord(record)?.meta.disposition !== 'accepted') return undefined;
  const event = eventAt(tx, record.position);
  return event && { event, isNew: true };
}
