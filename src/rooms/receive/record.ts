/** The log record of an event of another server. */

import { type PduMeta, pduRecord } from '#projections/rooms/pdu-record.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { numberStrictness } from '#protocol/hashing.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { splitPdu } from '#protocol/redaction.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { Receipt } from './types.ts';

/** Makes ids of records. */
export interface RecordIds {
  newRecordId(): Uint8Array;
}

/** The record of a received event, with what the server thinks of it. What others added outside of the hashes is left out. */
export function recordOf(
  ids: RecordIds,
  { room, eventId, pdu, texts }: Receipt,
  meta: Pick<PduMeta, 'disposition' | 'hasGivenState' | 'startsAnew' | 'isRelayed'> & {
    readonly reason?: string | undefined;
  },
): RecordDraft {
  const { unsigned, ...hashed } = pdu;
  const kept = meta.disposition === 'out_of_band' && unsigned !== undefined ? pdu : (hashed as Pdu);
  const { skeleton, stripped } = splitPdu(kept, room.rules);
  const { disposition, reason, hasGivenState, startsAnew, isRelayed } = meta;
  return pduRecord(
    ids.newRecordId(),
    {
      eventId,
      roomId: room.roomId,
      roomVersion: room.rules.version,
      disposition,
      ...(reason !== undefined && { reason }),
      ...(hasGivenState && { hasGivenState }),
      ...(startsAnew && { startsAnew }),
      ...(isRelayed && { isRelayed }),
    },
    kept,
    texts?.skeletonJson ?? canonicalJson(skeleton, numberStrictness(room.rules)),
    stripped,
  );
}
