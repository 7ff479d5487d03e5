import { hash } from 'node:crypto';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { canonicalJson } from './canonical-json.ts';
import type { JsonObject, Pdu } from './pdu.ts';
import { redact } from './redaction.ts';
import type { RoomVersionRules } from './room-version.ts';

/**
 * The content hash of an event, in unpadded base64: over all of it but `unsigned`, `signatures` and `hashes`.
 * Source: server-server API, "Calculating the content hash for an event".
 *
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function contentHash(event: JsonObject): string {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...hashed } = event;
  return sha256Base64(canonicalJson(hashed));
}

/**
 * Whether the content hash that an event carries is the one it should carry. If not, only its redacted form counts.
 *
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function hasValidContentHash(pdu: Pdu): boolean {
  const claimed = pdu.hashes.sha256;
  const expected = contentHash(pdu);
  if (claimed === expected) return true;
  // The bytes count, not how they are written.
  const bytes = typeof claimed === 'string' ? decodeBase64(claimed) : undefined;
  return bytes !== undefined && encodeBase64(bytes) === expected;
}

/**
 * The reference hash of an event that is already redacted: SHA-256 over all of it but `signatures` and `unsigned`,
 * in the URL-safe base64 of event ids.
 * Source: server-server API, "Calculating the reference hash for an event".
 *
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function referenceHash(redactedEvent: JsonObject): string {
  const { unsigned: _unsigned, signatures: _signatures, ...hashed } = redactedEvent;
  return sha256Base64Url(canonicalJson(hashed));
}

/**
 * The id of an event, from the event itself. Source: rooms/v4, "Event IDs".
 *
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function eventIdOf(pdu: Pdu, rules: RoomVersionRules): string {
  return eventIdFromReferenceHash(referenceHash(redact(pdu, rules)));
}

/** The event id that a reference hash makes. */
export function eventIdFromReferenceHash(urlSafeHash: string): string {
  return `$${urlSafeHash}`;
}

/** A create event without the `room_id` that its room version asks for. */
export class MissingRoomIdError extends Error {
  override readonly name = 'MissingRoomIdError';
  constructor() {
    super('The create event has no room_id, and its room version does not make one from its hash.');
  }
}

/**
 * The id of the room that a create event makes: its own `room_id`, or where the room version says so its event id with
 * the sigil `!`.
 *
 * @throws {MissingRoomIdError} if the room version wants a `room_id` and there is none (the event format check refuses
 *   such an event).
 */
export function roomIdOfCreateEvent(pdu: Pdu, rules: RoomVersionRules): string {
  if (rules.roomIdFormat === 'create_event_hash') return roomIdFromCreateEventId(eventIdOf(pdu, rules));
  if (pdu.room_id === undefined) throw new MissingRoomIdError();
  return pdu.room_id;
}

/** The room id that the id of a create event makes, where the room version derives one from the other. */
export function roomIdFromCreateEventId(eventId: string): string {
  return `!${eventId.slice(1)}`;
}

/** The other way round: the id of the create event that a room id names. */
export function createEventIdFromRoomId(roomId: string): string {
  return `$${roomId.slice(1)}`;
}

/** SHA-256 of a text's UTF-8 bytes in unpadded base64. */
export function sha256Base64(text: string): string {
  return stripPadding(hash('sha256', text, 'base64'));
}

/** SHA-256 of a text's UTF-8 bytes in URL-safe unpadded base64. */
export function sha256Base64Url(text: string): string {
  return hash('sha256', text, 'base64url');
}

function stripPadding(text: string): string {
  const padding = text.indexOf('=');
  return padding === -1 ? text : text.slice(0, padding);
}
