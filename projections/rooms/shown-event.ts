import type { Reader } from '#projections/engine/reader.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { DISPOSITION_KIND, readDisposition } from './disposition-record.ts';
import { contentOf } from './event-content.ts';
import { type Disposition, PDU_KIND, readPduRecord } from './pdu-record.ts';
import { type Event, eventAt, eventById } from './queries.ts';

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
  if (record.kind !== PDU_KIND && record.kind !== DISPOSITION_KIND) return undefined;
  const { frontier } = tx;
  if (lastAnswer?.record !== record || lastAnswer.tx !== tx || lastAnswer.frontier !== frontier) {
    lastAnswer = { tx, record, frontier, shown: find(tx, record) };
  }
  return lastAnswer.shown;
}

/** The last answer: one projection after the other asks the same. Of one reader at one moment there is one answer. */
let lastAnswer:
  | {
      readonly tx: Reader;
      readonly record: LogRecord;
      readonly frontier: Position;
      readonly shown: ShownEvent | undefined;
    }
  | undefined;

function find(tx: Reader, record: LogRecord): ShownEvent | undefined {
  switch (record.kind) {
    case PDU_KIND: {
      const disposition = readPduRecord(record)?.meta.disposition;
      return shown(tx, disposition, disposition && eventAt(tx, record.position));
    }
    case DISPOSITION_KIND: {
      const now = readDisposition(record);
      return shown(tx, now?.disposition, now && eventById(tx, now.eventId));
    }
    default:
      return undefined;
  }
}

function shown(tx: Reader, disposition: Disposition | undefined, event: Event | undefined): ShownEvent | undefined {
  if (event === undefined || (disposition !== 'accepted' && disposition !== 'backfilled')) return undefined;
  if (event.type === 'm.room.redaction' && !hasEffect(tx, event)) return undefined;
  return { event, isNew: disposition === 'accepted' };
}

/** A redaction without effect is held back. */
function hasEffect(tx: Reader, redaction: Event): boolean {
  const { redacts } = contentOf(redaction);
  return typeof redacts !== 'string' || eventById(tx, redacts)?.redactedBy !== undefined;
}
