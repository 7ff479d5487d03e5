/** Events in the form in which servers exchange them. */
import type { Reader } from '#projections/engine/reader.ts';
import type { KnownEvent } from '#projections/rooms/known-events.ts';
import { knownEvent, knownEventAt } from '#projections/rooms/known-events.ts';
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import { roomById } from '#projections/rooms/queries.ts';
import { eventIdOf } from '#protocol/hashing.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import type { EventLog, Position } from '#streams/event-log.ts';

export interface PduSource {
  readonly log: EventLog;
  readonly reader: Reader;
}

/** The id of what another server says is an event; undefined for what has none, since it has no canonical form. */
export function idOfTold(event: JsonObject, rules: RoomVersionRules): string | undefined {
  try {
    return eventIdOf(event as Pdu, rules);
  } catch {
    return undefined;
  }
}

/**
 * An event as a PDU, from the log; a redacted one as redaction leaves it. Undefined for one that was erased, or is not known.
 */
export async function pduAt(source: PduSource, position: Position): Promise<Pdu | undefined> {
  const known = knownEventAt(source.reader, position);
  return known && pduOf(source, known);
}

/** As {@link pduAt}, by the id of the event. */
export async function pduById(source: PduSource, eventId: string): Promise<Pdu | undefined> {
  const known = knownEvent(source.reader, eventId);
  return known && pduOf(source, known);
}

/** As {@link pduAt}, for an event that was looked up. */
export async function pduOf({ log, reader }: PduSource, { position, row }: KnownEvent): Promise<Pdu | undefined> {
  const record = await log.readAt(position);
  const pdu = record && readPduRecord(record)?.pdu;
  if (pdu === undefined) return undefined;
  const { unsigned: _, ...sent } = pdu;
  if (row.redactedBy === undefined) return sent as Pdu;
  const rules = roomVersionRules(roomById(reader, row.room)?.version ?? '');
  return rules && redact(sent as Pdu, rules);
}
