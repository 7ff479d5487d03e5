import { Buffer } from 'node:buffer';
import { CanonicalJsonError } from './canonical-json.ts';
import { type EventTexts, eventTexts } from './event-texts.ts';
import {
  fitsIdLength,
  isEventId,
  isEventIdWithDomain,
  isHashRoomId,
  isRoomIdWithDomain,
  isUserId,
  MAX_ID_BYTES,
} from './identifiers.ts';
import { isJsonObject } from './json-object.ts';
import { SpelledNumber } from './loose-numbers.ts';
import type { JsonObject, JsonValue, Pdu } from './pdu.ts';
import type { RoomVersionRules } from './room-version.ts';

/** Largest event in canonical JSON, signatures included, in bytes. Source: client-server API, "Size limits". */
export const MAX_EVENT_BYTES = 65_536;

/** Longest `type` and `state_key`, in UTF-8 bytes; where a room version is not strict, an excess is judged in code points. */
export const MAX_FIELD_BYTES = 255;

/** Most events that an event may follow. */
export const MAX_PREV_EVENTS = 20;

/** Most events that an event may name to authorise it. */
export const MAX_AUTH_EVENTS = 10;

/** Greatest `depth`, in every room version; a room that reaches it stays there. */
export const MAX_DEPTH = Number.MAX_SAFE_INTEGER;

/** Bound of times where numbers may go beyond canonical JSON (before 6): what 64 bits hold. */
const TIME_LIMIT = 2n ** 63n;

/** What is wrong with the form of an event. */
export type EventFormatProblem =
  | 'not_canonical_json'
  | 'event_too_large'
  | 'missing'
  | 'wrong_type'
  | 'too_long'
  | 'too_many'
  | 'out_of_range'
  | 'malformed_id'
  | 'not_allowed';

/** Whether an event has the form that its room version asks for, and if not why. */
export type EventFormatVerdict =
  | { readonly valid: true; readonly pdu: Pdu; readonly texts: EventTexts }
  | {
      readonly valid: false;
      readonly problem: EventFormatProblem;
      /**
       * What becomes of the event: `drop`, as if it had never come, or `reject` where others have it in the room's graph
       * and only its excess of bytes over code points is wrong (before 11).
       */
      readonly disposition: 'drop' | 'reject';
      /** Of an event to reject. */
      readonly texts?: EventTexts;
      /** The member that is wrong; `undefined` if it is the event as a whole. */
      readonly field: string | undefined;
      /** A sentence for operators and clients. */
      readonly reason: string;
    };

/**
 * Checks the form of an event from anywhere: sizes, types and number of what the room version's event format names.
 * It is the first check on receipt of a PDU; an event that fails it is dropped, with the one exception that the
 * verdict's `disposition` tells. What makes an event one to drop is found before that exception.
 * Source: server-server API, "Checks performed on receipt of a PDU"; client-server API, "Size limits".
 *
 * @returns with its canonical texts, which it takes to tell its size, and the checks that follow need again.
 */
export function checkEventFormat(event: JsonObject, rules: RoomVersionRules): EventFormatVerdict {
  const problem = checkMembers(event, rules);
  if (problem !== undefined) return problem;
  const texts = textsOf(event, rules);
  if ('valid' in texts) return texts;
  return checkByteLimits(event, rules, texts) ?? { valid: true, pdu: event as Pdu, texts };
}

/** All but the size. */
function checkMembers(event: JsonObject, rules: RoomVersionRules): Problem {
  return (
    checkTypeAndStateKey(event, rules) ??
    checkSender(event, rules) ??
    checkRoomId(event, rules) ??
    checkEventId(event, rules) ??
    checkContent(event) ??
    checkReferences(event, rules) ??
    checkNumbers(event, rules) ??
    checkHashesAndSignatures(event)
  );
}

type Problem = Extract<EventFormatVerdict, { valid: false }> | undefined;

function problem(code: EventFormatProblem, field: string | undefined, reason: string): NonNullable<Problem> {
  return { valid: false, problem: code, disposition: 'drop', field, reason };
}

function checkTypeAndStateKey(event: JsonObject, rules: RoomVersionRules): Problem {
  return (
    checkString(event, 'type', MAX_FIELD_BYTES, rules) ??
    (event.state_key === undefined ? undefined : checkString(event, 'state_key', MAX_FIELD_BYTES, rules))
  );
}

function checkSender(event: JsonObject, rules: RoomVersionRules): Problem {
  const wrong = checkString(event, 'sender', MAX_ID_BYTES, rules);
  if (wrong !== undefined) return wrong;
  const sender = event.sender as string;
  return isUserId(sender) || isTooLongInBytesOnly(sender, rules)
    ? undefined
    : problem('malformed_id', 'sender', 'The sender of the event is not a user id.');
}

function checkRoomId(event: JsonObject, rules: RoomVersionRules): Problem {
  const isCreate = event.type === 'm.room.create';
  if (isCreate && !rules.eventFormat.createEventHasRoomId) {
    // Refused by the authorisation rules rather than here, so that it is known as rejected.
    return event.room_id === undefined ? undefined : checkString(event, 'room_id', MAX_ID_BYTES, rules);
  }
  const wrong = checkString(event, 'room_id', MAX_ID_BYTES, rules);
  if (wrong !== undefined) return wrong;
  const roomId = event.room_id as string;
  const isRoomId = rules.roomIdFormat === 'create_event_hash' ? isHashRoomId(roomId) : isRoomIdWithDomain(roomId);
  return isRoomId || isTooLongInBytesOnly(roomId, rules)
    ? undefined
    : problem('malformed_id', 'room_id', `The room_id of the event is not a room id of room version ${rules.version}.`);
}

/** Room versions 1 and 2: the event carries its id. */
function checkEventId(event: JsonObject, rules: RoomVersionRules): Problem {
  if (rules.eventIdFormat !== 'opaque_with_domain') return undefined;
  const wrong = checkString(event, 'event_id', MAX_ID_BYTES, rules);
  if (wrong !== undefined) return wrong;
  const eventId = event.event_id as string;
  return isEventIdWithDomain(eventId) || isTooLongInBytesOnly(eventId, rules)
    ? undefined
    : problem('malformed_id', 'event_id', 'The event_id of the event is not an event id with a domain.');
}

function checkContent(event: JsonObject): Problem {
  return checkObject(event, 'content') ?? (event.unsigned === undefined ? undefined : checkObject(event, 'unsigned'));
}

function checkReferences(event: JsonObject, rules: RoomVersionRules): Problem {
  return (
    checkEventIds(event, 'prev_events', MAX_PREV_EVENTS, rules) ??
    checkEventIds(event, 'auth_events', MAX_AUTH_EVENTS, rules) ??
    checkCreateEventNotNamed(event, rules)
  );
}

/** Room version 12: the create event is implied by the room id and must not be named again. */
function checkCreateEventNotNamed(event: JsonObject, rules: RoomVersionRules): Problem {
  const roomId = event.room_id;
  if (rules.eventFormat.createEventInAuthEvents || typeof roomId !== 'string') return undefined;
  const authEvents = event.auth_events as readonly string[];
  return authEvents.includes(`$${roomId.slice(1)}`)
    ? problem(
        'not_allowed',
        'auth_events',
        'The auth_events of the event name the create event, which the room id implies.',
      )
    : undefined;
}

function checkNumbers(event: JsonObject, rules: RoomVersionRules): Problem {
  return checkTime(event, rules) ?? checkInteger(event, 'depth') ?? checkDepth(event);
}

function checkTime(event: JsonObject, rules: RoomVersionRules): Problem {
  const time = event.origin_server_ts;
  const isSpelled = time instanceof SpelledNumber && !time.isFloat && !rules.eventFormat.strictCanonicalJson;
  if (!isSpelled) return checkInteger(event, 'origin_server_ts');
  const exact = BigInt(time.text);
  return -TIME_LIMIT <= exact && exact < TIME_LIMIT
    ? undefined
    : problem('out_of_range', 'origin_server_ts', 'The origin_server_ts of the event is beyond what 64 bits hold.');
}

function checkDepth(event: JsonObject): Problem {
  return (event.depth as number) < 0
    ? problem('out_of_range', 'depth', 'The depth of the event is negative.')
    : undefined;
}

function checkHashesAndSignatures(event: JsonObject): Problem {
  const wrong = checkObject(event, 'hashes') ?? checkObject(event, 'signatures');
  if (wrong !== undefined) return wrong;
  if (typeof (event.hashes as JsonObject).sha256 !== 'string') {
    return problem('missing', 'hashes', 'The hashes of the event have no sha256.');
  }
  for (const block of Object.values(event.signatures as JsonObject)) {
    if (!isJsonObject(block) || !Object.values(block).every((signature) => typeof signature === 'string')) {
      return problem(
        'wrong_type',
        'signatures',
        'The signatures of the event are not strings by server name and key id.',
      );
    }
  }
  return undefined;
}

/** The canonical texts of an event, if it has any and is not too large. */
function textsOf(event: JsonObject, rules: RoomVersionRules): EventTexts | NonNullable<Problem> {
  try {
    const texts = eventTexts(event, rules);
    if (texts.sizeBytes <= MAX_EVENT_BYTES) return texts;
    const reason = `The event is ${texts.sizeBytes} bytes large; at most ${MAX_EVENT_BYTES} are allowed.`;
    return problem('event_too_large', undefined, reason);
  } catch (error) {
    if (error instanceof CanonicalJsonError) return problem('not_canonical_json', undefined, error.message);
    throw error;
  }
}

/** The members that have a limit of 255 bytes. */
const LIMITED_FIELDS = ['type', 'state_key', 'sender', 'room_id', 'event_id'] as const;

/** What {@link checkString} let pass for the sake of its code points. */
function checkByteLimits(event: JsonObject, rules: RoomVersionRules, texts: EventTexts): Problem {
  if (rules.eventFormat.strictByteLimits) return undefined;
  const field = LIMITED_FIELDS.find((name) => {
    const value = event[name];
    return typeof value === 'string' && !fitsIdLength(value) && (name !== 'event_id' || carriesEventId(rules));
  });
  if (field === undefined) return undefined;
  const reason = `The ${field} of the event is longer than ${MAX_FIELD_BYTES} bytes.`;
  return { valid: false, problem: 'too_long', disposition: 'reject', field, reason, texts };
}

function carriesEventId(rules: RoomVersionRules): boolean {
  return rules.eventIdFormat === 'opaque_with_domain';
}

/** Whether a text breaks the limit of 255 bytes, but not that of 255 code points where that is what counts first. */
function isTooLongInBytesOnly(text: string, rules: RoomVersionRules): boolean {
  return !rules.eventFormat.strictByteLimits && !fitsIdLength(text) && fitsCodePoints(text, MAX_ID_BYTES);
}

function fitsCodePoints(text: string, maxCodePoints: number): boolean {
  // A code point takes at most two code units.
  return text.length <= 2 * maxCodePoints && [...text].length <= maxCodePoints;
}

function checkString(event: JsonObject, field: string, maxBytes: number, rules: RoomVersionRules): Problem {
  const value = event[field];
  if (value === undefined) return missing(field);
  if (typeof value !== 'string') return wrongType(field, 'a string');
  const sizeBytes = value.length * 3 <= maxBytes ? 0 : Buffer.byteLength(value);
  return sizeBytes <= maxBytes || (!rules.eventFormat.strictByteLimits && fitsCodePoints(value, maxBytes))
    ? undefined
    : problem(
        'too_long',
        field,
        `The ${field} of the event is ${sizeBytes} bytes long; at most ${maxBytes} are allowed.`,
      );
}

function checkObject(event: JsonObject, field: string): Problem {
  const value = event[field];
  if (value === undefined) return missing(field);
  return isJsonObject(value) ? undefined : wrongType(field, 'an object');
}

function checkInteger(event: JsonObject, field: string): Problem {
  const value = event[field];
  if (value === undefined) return missing(field);
  if (Number.isSafeInteger(value)) return undefined;
  return wrongType(field, 'an integer of canonical JSON');
}

function checkEventIds(event: JsonObject, field: string, maxCount: number, rules: RoomVersionRules): Problem {
  const value: JsonValue | undefined = event[field];
  if (value === undefined) return missing(field);
  if (!Array.isArray(value)) return wrongType(field, 'an array');
  if (value.length > maxCount) {
    return problem(
      'too_many',
      field,
      `The ${field} of the event name ${value.length} events; at most ${maxCount} are allowed.`,
    );
  }
  return value.every(rules.eventFormat.referencesHoldHashes ? isReferenceWithHashes : isReference)
    ? undefined
    : problem('malformed_id', field, `The ${field} of the event hold something that is not an event id.`);
}

function isReference(value: JsonValue): boolean {
  return typeof value === 'string' && isEventId(value);
}

function isReferenceWithHashes(value: JsonValue): boolean {
  if (!Array.isArray(value)) return false;
  const [id, hashes] = value as readonly JsonValue[];
  return id !== undefined && isReference(id) && isJsonObject(hashes);
}

function missing(field: string): Problem {
  return problem('missing', field, `The event has no ${field}.`);
}

function wrongType(field: string, expected: string): Problem {
  return problem('wrong_type', field, `The ${field} of the event is not ${expected}.`);
}
