/** Makes signed events of what local users want to send. */
import type { Reader } from '#projections/engine/reader.ts';
import { contentOf } from '#projections/rooms/event-content.ts';
import { type PduMeta, pduRecord, type Transaction } from '#projections/rooms/pdu-record.ts';
import { eventById, roomById } from '#projections/rooms/queries.ts';
import { authEventTypes } from '#protocol/auth/auth-events.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import type { AuthEvent } from '#protocol/auth/types.ts';
import { type BuiltEvent, buildEvent, type EventDraft } from '#protocol/build-event.ts';
import { CanonicalJsonError, canonicalJson } from '#protocol/canonical-json.ts';
import { numberStrictness } from '#protocol/hashing.ts';
import { isUserId } from '#protocol/identifiers.ts';
import type { JsonObject, JsonValue, Pdu } from '#protocol/pdu.ts';
import { type PowerLevels, powerLevelsOf } from '#protocol/power-levels.ts';
import { redactContent, redactedEventIdOf, splitPdu } from '#protocol/redaction.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import type { SigningKey } from '#protocol/signing.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import { type AdvancingEvent, MAX_PREV_EVENTS, type RoomHead } from './room-head.ts';

/** Largest event, as canonical JSON without `unsigned`. Source: client-server API, "Size limits". */
export const MAX_EVENT_BYTES = 65_536;
/** Longest type, state key or sender, in bytes. Source: as above. */
export const MAX_EVENT_FIELD_BYTES = 255;
/** Greatest depth that canonical JSON can hold. */
const MAX_DEPTH = Number.MAX_SAFE_INTEGER;

/** An event that a local user wants to send. A redaction names its target in `content.redacts` in every room version. */
export interface EventToSend {
  readonly sender: string;
  readonly type: string;
  /** Present for a state event, the empty string included. */
  readonly stateKey?: string;
  readonly content: JsonObject;
  /** For the time of an event sent on behalf of a bridge; default now. Milliseconds since the epoch. */
  readonly originServerTs?: number;
}

/** An event that is ready to be appended. */
export interface PreparedEvent {
  readonly eventId: string;
  readonly referenceHash: string;
  readonly record: RecordDraft;
  readonly pdu: Pdu;
  readonly prevEvents: readonly string[];
  readonly authEvent: AuthEvent | undefined;
  readonly redacted: Redacted | undefined;
}

/** An event that is redacted, and what is left of its content. */
type Redacted = NonNullable<AdvancingEvent['redacted']>;

export interface EventWriterOptions {
  /** The committed projections. */
  readonly reader: Reader;
  readonly serverName: string;
  readonly signingKey: SigningKey;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** A fresh, random part of an event id before the colon, for the room versions in which servers choose the ids. */
  readonly newEventLocalpart: () => string;
}

/** Decides whether an event may follow what a head knows of its room, and makes it a signed PDU with its record. */
export class EventWriter {
  readonly #options: EventWriterOptions;

  constructor(options: EventWriterOptions) {
    this.#options = options;
  }

  /**
   * An event as the room would let it in next, with the ids of those it follows.
   *
   * @param isCreateWithoutRoomId for the create event of a room that is named by its hash.
   * @throws {MatrixError} M_FORBIDDEN with the rule that forbids it, M_TOO_LARGE, M_INVALID_PARAM.
   */
  draft(
    head: RoomHead,
    event: EventToSend,
    isCreateWithoutRoomId = false,
  ): { readonly draft: EventDraft; readonly prevEvents: readonly string[] } {
    const { rules } = head;
    const prevEvents = head.extremities.slice(0, MAX_PREV_EVENTS);
    const unlinked = {
      type: event.type,
      ...(!isCreateWithoutRoomId && { room_id: head.roomId }),
      sender: event.sender,
      ...(event.stateKey !== undefined && { state_key: event.stateKey }),
      ...(rules.eventIdFormat === 'opaque_with_domain' && { event_id: this.newEventId() }),
      ...contentFor(event, rules),
    };
    checkFields(event, head.roomId);
    const verdict = checkAuth({ ...unlinked, prev_events: prevEvents }, head.state, rules);
    if (!verdict.allowed) throw new MatrixError('M_FORBIDDEN', verdict.reason);
    const authEvents: string[] = [];
    for (const { type, stateKey } of authEventTypes(unlinked, rules)) {
      const authEvent = head.state(type, stateKey);
      if (authEvent) authEvents.push(authEvent.eventId);
    }
    const draft: EventDraft = {
      ...unlinked,
      origin_server_ts: event.originServerTs ?? this.#options.clock(),
      depth: Math.min(head.depth + 1, MAX_DEPTH),
      prev_events: prevEvents.map((id) => head.referenceTo(id)),
      auth_events: authEvents.map((id) => head.referenceTo(id)),
    };
    return { draft, prevEvents };
  }

  /** Hashes and signs an event as this server. @throws {MatrixError} M_BAD_JSON, M_TOO_LARGE */
  sign(draft: EventDraft, rules: RoomVersionRules): BuiltEvent {
    const built = build(draft, rules, this.#options.serverName, this.#options.signingKey);
    if (built.sizeBytes > MAX_EVENT_BYTES) {
      throw new MatrixError(
        'M_TOO_LARGE',
        `The event has ${built.sizeBytes} bytes; at most ${MAX_EVENT_BYTES} are allowed.`,
      );
    }
    return built;
  }

  /** An event with its record, ready to be appended. @throws {MatrixError} as {@link draft} and {@link sign} */
  prepare(head: RoomHead, event: EventToSend, transaction?: Transaction, isCreateWithoutRoomId = false): PreparedEvent {
    const { rules } = head;
    const { draft, prevEvents } = this.draft(head, event, isCreateWithoutRoomId);
    const built = this.sign(draft, rules);
    const redacted = this.#redaction(head, built.pdu);
    const meta: PduMeta = {
      eventId: built.eventId,
      roomId: isCreateWithoutRoomId ? `!${built.eventId.slice(1)}` : head.roomId,
      roomVersion: rules.version,
      disposition: 'accepted',
      ...(transaction && { transaction }),
      ...(redacted && { redacts: redacted.eventId }),
    };
    const { stripped } = splitPdu(built.pdu, rules);
    return {
      eventId: built.eventId,
      referenceHash: built.referenceHash,
      pdu: built.pdu,
      prevEvents,
      redacted,
      record: pduRecord(this.#options.newRecordId(), meta, built.pdu, built.skeletonJson, stripped),
      authEvent:
        event.stateKey === undefined
          ? undefined
          : {
              eventId: built.eventId,
              type: event.type,
              stateKey: event.stateKey,
              sender: event.sender,
              content: built.pdu.content,
            },
    };
  }

  /** The record of a prepared event that others have signed too. */
  withSignatures(
    { rules, roomId }: RoomHead,
    prepared: PreparedEvent,
    signed: Pdu,
    transaction?: Transaction,
  ): RecordDraft {
    const { skeleton, stripped } = splitPdu(signed, rules);
    const meta: PduMeta = {
      eventId: prepared.eventId,
      roomId,
      roomVersion: rules.version,
      disposition: 'accepted',
      ...(transaction && { transaction }),
      ...(prepared.redacted && { redacts: prepared.redacted.eventId }),
    };
    const skeletonJson = canonicalJson(skeleton, numberStrictness(rules));
    return pduRecord(this.#options.newRecordId(), meta, signed, skeletonJson, stripped);
  }

  /** A fresh event id for the room versions in which servers choose them. */
  newEventId(): string {
    return `$${this.#options.newEventLocalpart()}:${this.#options.serverName}`;
  }

  /**
   * The event that a redaction of ours takes effect on, with what is left of its content; undefined if the event is no
   * redaction. Source: rooms/v11, "Handling redactions": the sender may redact, or sent the original.
   */
  #redaction(head: RoomHead, pdu: Pdu): Redacted | undefined {
    if (pdu.type !== 'm.room.redaction') return undefined;
    const target = redactedEventIdOf(pdu, head.rules);
    if (target === undefined) throw new MatrixError('M_BAD_JSON', 'A redaction names the event that it redacts.');
    const original = eventById(this.#options.reader, target);
    if (original === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such event in this room.');
    if (roomById(this.#options.reader, original.room)?.roomId !== head.roomId) {
      throw new MatrixError('M_INVALID_PARAM', 'The event is in another room.');
    }
    if (original.type === 'm.room.create' || original.type === 'm.room.server_acl') {
      throw new MatrixError('M_FORBIDDEN', `An event of type ${original.type} cannot be redacted.`);
    }
    const levels = powerLevelsIn(head);
    if (original.sender !== pdu.sender && levels.powerLevelOf(pdu.sender) < levels.redact) {
      throw new MatrixError('M_FORBIDDEN', 'You may not redact the events of others in this room.');
    }
    const content = contentOf(original);
    return { eventId: target, content: redactContent({ type: original.type, content }, head.rules) };
  }
}

/** An event as a head takes it in. */
export function advancing(prepared: PreparedEvent): AdvancingEvent {
  return {
    eventId: prepared.eventId,
    referenceHash: prepared.referenceHash,
    depth: prepared.pdu.depth,
    prevEvents: prepared.prevEvents,
    ...(prepared.authEvent && { state: prepared.authEvent }),
    ...(prepared.redacted && { redacted: prepared.redacted }),
  };
}

/** Who may do what in a room as its next event will see it. */
export function powerLevelsIn(room: Pick<RoomHead, 'state' | 'rules'>): PowerLevels {
  const create = room.state('m.room.create', '');
  if (create === undefined) throw new MatrixError('M_UNKNOWN', 'The room has no create event.');
  return powerLevelsOf(room.state('m.room.power_levels', '')?.content, create, room.rules);
}

/** The content of an event, and beside it what a redaction redacts where the room version has that outside. */
function contentFor(
  { type, content }: EventToSend,
  rules: RoomVersionRules,
): { readonly content: JsonObject; readonly redacts?: JsonValue } {
  if (type !== 'm.room.redaction' || rules.redaction.redactsInContent || content['redacts'] === undefined)
    return { content };
  const { redacts, ...others } = content;
  return { content: others, redacts };
}

function build(draft: EventDraft, rules: RoomVersionRules, serverName: string, key: SigningKey) {
  try {
    return buildEvent(draft, rules, serverName, key);
  } catch (error) {
    if (error instanceof CanonicalJsonError) throw new MatrixError('M_BAD_JSON', error.message);
    throw error;
  }
}

function checkFields(event: EventToSend, roomId: string): void {
  for (const [name, value] of [
    ['type', event.type],
    ['state_key', event.stateKey ?? ''],
    ['sender', event.sender],
  ] as const) {
    if (Buffer.byteLength(value) > MAX_EVENT_FIELD_BYTES) {
      throw new MatrixError('M_TOO_LARGE', `The ${name} of an event has at most ${MAX_EVENT_FIELD_BYTES} bytes.`);
    }
  }
  if (event.type === 'm.room.member' && event.stateKey !== undefined && !isUserId(event.stateKey)) {
    throw new MatrixError('M_INVALID_PARAM', 'The state key of a member event is the id of a user.');
  }
  if (event.type === 'm.room.tombstone' && event.content['replacement_room'] === roomId) {
    throw new MatrixError('M_INVALID_PARAM', 'A room cannot be replaced by itself.');
  }
}
