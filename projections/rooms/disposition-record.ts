/**
 * The `pdu.disposition` record of a room stream: the server thinks otherwise of an event that it recorded before. An outlier
 * got its place in the graph, a rejected event turned out valid.
 */

import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import type { Disposition } from './pdu-record.ts';

export const DISPOSITION_KIND = 'pdu.disposition';
const DISPOSITION_RECORD_VERSION = 1;

/** What is thought of an event now. */
export interface NewDisposition {
  readonly eventId: string;
  readonly disposition: Disposition;
  /** Why, where it is not accepted: the rule and a sentence. */
  readonly reason?: string;
  /** As in `PduMeta`. */
  readonly hasGivenState?: boolean;
  /** As in `PduMeta`. */
  readonly startsAnew?: boolean;
}

const packr = new Packr({ useRecords: false });

/** The record that says what is thought of an event now. */
export function dispositionRecord(id: Uint8Array, disposition: NewDisposition): RecordDraft {
  const { eventId, disposition: now, reason, hasGivenState, startsAnew } = disposition;
  return {
    id,
    kind: DISPOSITION_KIND,
    version: DISPOSITION_RECORD_VERSION,
    sections: [packr.pack([eventId, now, reason ?? null, hasGivenState ?? false, startsAnew ?? false])],
    decoded: disposition,
  };
}

/** What a `pdu.disposition` record says; undefined where its key was destroyed. Throws if it is of an unknown version. */
export function readDisposition(record: LogRecord): NewDisposition | undefined {
  if (record.decoded !== undefined) return record.decoded as NewDisposition;
  if (record.version !== DISPOSITION_RECORD_VERSION) {
    throw new RangeError(`pdu.disposition record version ${record.version} is unknown`);
  }
  const [section] = record.sections;
  if (!section) return undefined;
  const [eventId, disposition, reason, hasGivenState, startsAnew] = packr.unpack(section) as [
    string,
    Disposition,
    string | null,
    boolean,
    boolean,
  ];
  return {
    eventId,
    disposition,
    ...(reason !== null && { reason }),
    ...(hasGivenState && { hasGivenState }),
    ...(startsAnew && { startsAnew }),
  };
}
