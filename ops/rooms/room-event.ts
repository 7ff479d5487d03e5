import type { AuthInput, NamedAuthEvent } from '#protocol/auth/index.ts';
import { CanonicalJsonError } from '#protocol/canonical-json.ts';
import { eventIdOf, MissingEventIdError, roomIdFromCreateEventId } from '#protocol/hashing.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { exactInteger, SpelledNumber } from '#protocol/loose-numbers.ts';
import type { JsonObject, JsonValue, Pdu } from '#protocol/pdu.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import type { ResolutionEvent } from '#protocol/state-resolution/index.ts';
import { RoomFileError } from './errors.ts';

/** An event from a file, as far as authorisation and state resolution look at it. */
export interface RoomEvent {
  readonly eventId: string;
  readonly roomId: string;
  /** File and index that it came from. */
  readonly where: string;
  readonly type: string;
  /** `undefined` for a message. */
  readonly stateKey: string | undefined;
  readonly sender: string;
  readonly content: JsonObject;
  readonly prevEventIds: readonly string[];
  readonly authEventIds: readonly string[];
  readonly originServerTs: number | bigint;
  readonly depth: number;
  readonly redacts: JsonValue | undefined;
  /** The `room_id` that it carries. */
  readonly carriedRoomId: string | undefined;
}

/**
 * Reads what matters of a PDU. An `event_id` that it carries is taken as it is; without one it is computed. Hashes and
 * signatures are not looked at, and of its form only what the rest could not do without.
 *
 * @param value parsed with `parseJsonExactly`, so that the hash is of what was written.
 * @throws {RoomFileError}
 */
export function readRoomEvent(value: JsonValue, where: string, rules: RoomVersionRules): RoomEvent {
  if (!isJsonObject(value)) throw new RoomFileError(where, 'This is not a PDU: a JSON object is expected.');
  const type = stringIn(value, 'type', where);
  const sender = stringIn(value, 'sender', where);
  const { content } = value;
  if (!isJsonObject(content)) throw new RoomFileError(where, 'The PDU has no content that is an object.');
  const stateKey = value.state_key === undefined ? undefined : stringIn(value, 'state_key', where);
  const prevEventIds = referencesIn(value, 'prev_events', where);
  const authEventIds = referencesIn(value, 'auth_events', where);
  const eventId = eventIdIn(value, where, rules);
  const carriedRoomId = value.room_id === undefined ? undefined : stringIn(value, 'room_id', where);
  return {
    eventId,
    roomId: roomIdIn(type, eventId, carriedRoomId, where, rules),
    where,
    type,
    stateKey,
    sender,
    content,
    prevEventIds,
    authEventIds,
    originServerTs: numberIn(value, 'origin_server_ts', where),
    depth: Number(numberIn(value, 'depth', where)),
    redacts: value.redacts,
    carriedRoomId,
  };
}

function eventIdIn(pdu: JsonObject, where: string, rules: RoomVersionRules): string {
  if (pdu.event_id !== undefined) return stringIn(pdu, 'event_id', where);
  try {
    // Whether its numbers are allowed is a question of form. What has a hash has an id.
    return eventIdOf(pdu as Pdu, { ...rules, eventFormat: { ...rules.eventFormat, strictCanonicalJson: false } });
  } catch (error) {
    if (error instanceof MissingEventIdError) {
      const advice = `In room version ${rules.version} every PDU carries one.`;
      throw new RoomFileError(where, `The PDU has no event_id. ${advice}`);
    }
    if (!(error instanceof CanonicalJsonError)) throw error;
    throw new RoomFileError(where, `The PDU has no event_id, and none can be computed: ${error.message}`);
  }
}

function roomIdIn(
  type: string,
  eventId: string,
  carried: string | undefined,
  where: string,
  rules: RoomVersionRules,
): string {
  if (type === 'm.room.create' && !rules.eventFormat.createEventHasRoomId) return roomIdFromCreateEventId(eventId);
  if (carried === undefined) throw new RoomFileError(where, 'The PDU has no room_id.');
  return carried;
}

function stringIn(pdu: JsonObject, field: string, where: string): string {
  const value = pdu[field];
  if (typeof value === 'string') return value;
  throw new RoomFileError(where, `The PDU has no ${field}${value === undefined ? '' : ' that is a string'}.`);
}

/** A number, 0 where there is none: old exports leave out what room versions after the first never ask for. */
function numberIn(pdu: JsonObject, field: string, where: string): number | bigint {
  const value = pdu[field] ?? 0;
  if (typeof value === 'number' || value instanceof SpelledNumber) return exactInteger(value);
  throw new RoomFileError(where, `The ${field} of the PDU is not a number.`);
}

/** Ids of other events, alone or in pairs with their hashes, as room versions 1 and 2 write them. */
function referencesIn(pdu: JsonObject, field: 'prev_events' | 'auth_events', where: string): string[] {
  const value = pdu[field];
  if (!Array.isArray(value)) {
    throw new RoomFileError(
      where,
      `The PDU has no array ${field}. Events in the form that clients see will not do; give them as servers send them.`,
    );
  }
  return (value as readonly JsonValue[]).map((reference, index) => {
    const id: unknown = Array.isArray(reference) ? reference[0] : reference;
    if (typeof id === 'string') return id;
    throw new RoomFileError(where, `${field}[${index}] of the PDU is not an event id.`);
  });
}

/** What the authorisation rules read of it. Signatures of events are not part of these tools. */
export function authInputOf(event: RoomEvent): AuthInput {
  const { carriedRoomId, stateKey } = event;
  return {
    type: event.type,
    ...(carriedRoomId === undefined ? {} : { room_id: carriedRoomId }),
    sender: event.sender,
    ...(stateKey === undefined ? {} : { state_key: stateKey }),
    content: event.content,
    prev_events: event.prevEventIds,
    event_id: event.eventId,
    redacts: event.redacts,
    signatures: 'unchecked',
  };
}

/** An event as another names it to authorise it. */
export function namedAuthEvent(event: RoomEvent, rejected: boolean): NamedAuthEvent {
  const { eventId, roomId, type, stateKey, sender, content } = event;
  return { eventId, roomId, type, stateKey, sender, content, rejected };
}

/** What state resolution reads of it; `undefined` for a message. */
export function resolutionEventOf(event: RoomEvent, rejected: boolean): ResolutionEvent | undefined {
  const { stateKey } = event;
  if (stateKey === undefined) return undefined;
  const { eventId, roomId, type, sender, content, authEventIds, prevEventIds, originServerTs, depth, redacts } = event;
  return {
    eventId,
    roomId,
    type,
    stateKey,
    sender,
    content,
    authEventIds,
    prevEventIds,
    originServerTs,
    depth,
    rejected,
    redacts,
  };
}
