/**
 * Whether an opened `pdu` record holds the event that it names. An event's id is a hash of its redacted form, and that
 * form holds the hash of its content: so the id vouches for every byte that is shown. In room versions 1 and 2 the event
 * carries its id, and only its content hash and its signatures speak for it.
 */

import { PDU_KIND, type PduRecord, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { eventIdOf, hasValidContentHash } from '#protocol/hashing.ts';
import { splitPdu } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { LogRecord } from '#streams/event-log.ts';

/** What is wrong with an opened record, or undefined: nothing, or it is of another kind, or too much of it is erased. */
export function checkPduRecord(record: LogRecord): string | undefined {
  if (record.kind !== PDU_KIND) return undefined;
  try {
    const read = readPduRecord(record);
    return read && checkPdu(read);
  } catch (error) {
    return `its sections cannot be read: ${(error as Error).message}`;
  }
}

/** The same for what the record says. */
export function checkPdu({ meta, pdu, isErased }: PduRecord): string | undefined {
  const rules = roomVersionRules(meta.roomVersion);
  if (rules === undefined) return `its room version ${meta.roomVersion} is unknown`;
  const { stripped } = splitPdu(pdu, rules);
  const eventId = eventIdOf(pdu, rules);
  if (eventId !== meta.eventId) return `it names the event ${meta.eventId}, but the id of its event is ${eventId}`;
  // An event that came with a wrong content hash is recorded without its content; `unsigned` is in no hash.
  const hasContent = Object.keys(stripped).some((key) => key !== 'unsigned');
  if (hasContent && !isErased && !hasValidContentHash(pdu, rules))
    return `the content is not that of the event ${eventId}`;
  return undefined;
}
