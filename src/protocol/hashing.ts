import { hash } from 'node:crypto';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { canonicalJson, type NumberStrictness } from './canonical-json.ts';
import type { EventTexts } from './event-texts.ts';
import type { JsonObject, Pdu } from './pdu.ts';
import { redact } from './redaction.ts';
import type { RoomVersionRules } from './room-version.ts';

/**
 * The content hash of an event, in unpadded base64: over all of it but `unsigned`, `signatures` and `hashes`.
 * Source: server-server API, "Calculating the content hash for an event".
 *
 * @param rules of the event's room version; without them the event has to be canonical JSON to the letter.
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function contentHash(event: JsonObject, rules?: RoomVersionRules): string {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...hashed } = event;
  return sha256Base64(canonicalJson(hashed, numberStrictness(rules)));
}

/**
 * Whether the content hash that an event carries is the one it should carry. If not, only its redacted form counts.
 * Source: server-server API, "Validating hashes and signatures on received events".
 *
 * @param rules as for {@link contentHash}.
 * @param texts of the event, where they are known.
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function hasValidContentHash(pdu: Pdu, rules?: RoomVersionRules, texts?: EventTexts): boolean {
  const claimed = pdu.hashes.sha256;
  const expected = texts === undefined ? contentHash(pdu, rules) : sha256Base64(texts.hashedJson);
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
 * @param rules as for {@link contentHash}.
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function referenceHash(redactedEvent: JsonObject, rules?: RoomVersionRules): string {
  const { unsigned: _unsigned, signatures: _signatures, ...hashed } = redactedEvent;
  return sha256Base64Url(canonicalJson(hashed, numberStrictness(rules)));
}

/**
 * How strict hashing is about the numbers of an event of a room version.
 * Source: rooms/v1 and rooms/v6, "Canonical JSON".
 */
export function numberStrictness(rules: RoomVersionRules | undefined): NumberStrictness {
  return rules === undefined || rules.eventFormat.strictCanonicalJson ? 'strict' : 'loose';
}

/**
 * The id of an event, from the event itself: its reference hash, or the one that it carries in room versions 1 and 2.
 * Source: rooms/v1, rooms/v3 and rooms/v4, "Event IDs".
 *
 * @param texts of the event, where they are known.
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 * @throws {MissingEventIdError} if it should carry an id and does not (the event format check refuses such an event).
 */
export function eventIdOf(pdu: Pdu, rules: RoomVersionRules, texts?: EventTexts): string {
  if (rules.eventIdFormat === 'opaque_with_domain') return carriedEventId(pdu);
  const hash = texts === undefined ? referenceHash(redact(pdu, rules), rules) : sha256Base64Url(texts.signedJson);
  return eventIdFromReferenceHash(hash, rules);
}

/** The event id that a reference hash, in URL-safe base64, makes. Source: rooms/v3 and rooms/v4, "Event IDs". */
export function eventIdFromReferenceHash(urlSafeHash: string, rules?: RoomVersionRules): string {
  if (rules?.eventIdFormat !== 'reference_hash') return `$${urlSafeHash}`;
  return `$${urlSafeHash.replaceAll('-', '+').replaceAll('_', '/')}`;
}

/**
 * The id that an event of room versions 1 and 2 carries.
 * Source: rooms/v1, "Event IDs".
 *
 * @throws {MissingEventIdError} if there is none.
 */
export function carriedEventId(event: JsonObject): string {
  if (typeof event.event_id !== 'string') throw new MissingEventIdError();
  return event.event_id;
}

/** An event without the `event_id` that its room version asks for. */
export class MissingEventIdError extends Error {
  override readonly name = 'MissingEventIdError';
  constructor() {
    super('The event has no event_id, and its room version does not make one from its hash.');
  }
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
 * Source: rooms/v12, "Event format".
 *
 * @throws {MissingRoomIdError} if the room version wants a `room_id` and there is none (the event format check refuses
 *   such an event).
 */
export function roomIdOfCreateEvent(pdu: Pdu, rules: RoomVersionRules): string {
  if (rules.roomIdFormat === 'create_event_hash') return roomIdFromCreateEventId(eventIdOf(pdu, rules));
  if (pdu.room_id === undefined) throw new MissingRoomIdError();
  return pdu.room_id;
}

/**
 * The room id that the id of a create event makes, where the room version derives one from the other.
 * Source: rooms/v12, "Event format".
 */
export function roomIdFromCreateEventId(eventId: string): string {
  return `!${eventId.slice(1)}`;
}

/** The other way round: the id of the create event that a room id names. Source: rooms/v12, "Event format". */
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
