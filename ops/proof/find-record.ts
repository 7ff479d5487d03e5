/** Finds the record that `stele proof` is asked about. */
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import type { ReadOnlyLog } from '#streams/raw-log.ts';

/** What {@link findRecordOfEvent} looks in, and whom it tells how far it is. */
export interface FindOptions {
  readonly onProgress?: (records: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * The position of the record of an event, or undefined. Reads the log from its beginning, so it needs no projections and
 * works on a copy of the log alone; an event whose skeleton is erased cannot be found so.
 */
export async function findRecordOfEvent(
  log: Pick<ReadOnlyLog, 'head' | 'readAll'>,
  eventId: string,
  { onProgress, signal }: FindOptions = {},
): Promise<Position | undefined> {
  const idBytes = Buffer.from(eventId);
  const total = log.head() + 1;
  for await (const records of log.readAll(BEFORE_FIRST)) {
    for (const record of records) {
      // The id stands in the skeleton as it is; what merely mentions it is decoded and passed over.
      const [skeleton] = record.sections;
      if (
        record.kind !== PDU_KIND ||
        !skeleton ||
        Buffer.from(skeleton.buffer, skeleton.byteOffset, skeleton.length).indexOf(idBytes) < 0
      )
        continue;
      if (readPduRecord(record)?.meta.eventId === eventId) return record.position;
    }
    signal?.throwIfAborted();
    onProgress?.((records.at(-1)?.position ?? 0) + 1, total);
  }
  return undefined;
}
