/** Events in the form in which servers exchange them, for filters that ask for it. */
import type { Reader } from '#projections/engine/reader.ts';
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import { type Event, type Room, roomById } from '#projections/rooms/queries.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { EventLog } from '#streams/event-log.ts';

/**
 * JSON text of a list of events as PDUs, with the ids that newer room versions leave out; a redacted one as redaction leaves
 * it. What was erased from the log is left out.
 */
export async function federationEvents(log: EventLog, reader: Reader, events: readonly Event[]): Promise<string> {
  const texts: string[] = [];
  for (const event of events) {
    const room = roomById(reader, event.room);
    const pdu = room && (await pduOf(log, room, event));
    if (pdu) texts.push(JSON.stringify({ ...pdu, event_id: event.eventId, room_id: room.roomId }));
  }
  return `[${texts.join(',')}]`;
}

async function pduOf(log: EventLog, room: Room, event: Event): Promise<Pdu | undefined> {
  const record = await log.readAt(event.position);
  const pdu = record && readPduRecord(record)?.pdu;
  if (pdu === undefined || event.redactedBy === undefined) return pdu;
  const rules = roomVersionRules(room.version);
  return rules && redact(pdu, rules);
}
