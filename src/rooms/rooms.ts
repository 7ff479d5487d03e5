import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { transactionKey } from '#projections/rooms/keys.ts';
import { type PduMeta, pduRecord, type Transaction } from '#projections/rooms/pdu-record.ts';
import {
  authEventAt,
  eventAt,
  eventById,
  findRoom,
  headOf,
  isServerIn,
  referenceHashOf,
  roomById,
  stateEventPosition,
} from '#projections/rooms/queries.ts';
import { transactions } from '#projections/rooms/tables.ts';
import { authEventTypes } from '#protocol/auth/auth-events.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import type { AuthEvent } from '#protocol/auth/types.ts';
import { type BuiltEvent, buildEvent, type EventDraft } from '#protocol/build-event.ts';
import { CanonicalJsonError } from '#protocol/canonical-json.ts';
import { isUserId } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject, JsonValue, Pdu } from '#protocol/pdu.ts';
import { type PowerLevels, powerLevelsOf } from '#protocol/power-levels.ts';
import { redactContent, redactedEventIdOf, splitPdu } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import type { SigningKey } from '#protocol/signing.ts';
import { KeyedLock } from '#src/commands/keyed-lock.ts';
import { limitExceeded, MatrixError } from '#src/http/errors.ts';
import { type EventLog, NO_STREAM, type Position, type RecordDraft } from '#streams/event-log.ts';
import { type AdvancingEvent, MAX_PREV_EVENTS, RoomHead } from './room-head.ts';

/** Rooms whose heads stay in memory; the least recently used idle one goes first. */
export const MAX_ACTIVE_ROOMS = 10_000;
/** Appends of one room that may wait for the disk; beyond it, senders are asked to come again. */
export const MAX_PENDING_APPENDS_PER_ROOM = 1024;
/** First events of a room that are made in one turn of the event loop: some 10 ms. */
const FIRST_EVENTS_PER_TURN = 50;
/** When a sender may come again that found too many waiting. */
const RETRY_AFTER_MS = 500;
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

export interface SentEvent {
  readonly eventId: string;
}

export interface RoomsOptions {
  readonly log: EventLog;
  /** The committed projections. */
  readonly reader: Reader;
  readonly serverName: string;
  readonly signingKey: SigningKey;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** A fresh, opaque, random name part of a stream. */
  readonly newStreamId: () => string;
  /** A fresh, random part of an event id before the colon, for the room versions in which servers choose the ids. */
  readonly newEventLocalpart: () => string;
}

/** An event made by {@link Rooms} for a room that exists or is being made. */
interface Prepared {
  readonly eventId: string;
  readonly referenceHash: string;
  readonly record: RecordDraft;
  readonly pdu: Pdu;
  readonly prevEvents: readonly string[];
  readonly authEvent: AuthEvent | undefined;
  readonly redacted: Redacted | undefined;
}

/** What somebody gets who has a room to himself. */
export interface RoomTurn {
  /** Appends records to the room's stream, all or none; resolves when they are durable and the projections show them. */
  readonly append: (records: readonly RecordDraft[]) => Promise<void>;
}

/** An event that is redacted, and what is left of its content. */
type Redacted = NonNullable<AdvancingEvent['redacted']>;

/**
 * The writer of every room: decides, in order and one at a time for each room, whether an event may follow what is there,
 * makes it a signed PDU and appends it. All deciding is synchronous, so the order of calls is the order of events; many
 * events of a room can wait for the disk together.
 */
export class Rooms {
  readonly #options: RoomsOptions;
  readonly #heads = new Map<string, RoomHead>();
  /** Transactions on their way to the disk: a resend meanwhile gets the same answer. */
  readonly #inFlight = new Map<string, Promise<SentEvent>>();
  /** Whose turn it is in rooms that are taken as a whole, see {@link alone}. */
  readonly #turns = new KeyedLock();
  /** Rooms that somebody has to himself, until he is done. */
  readonly #taken = new Map<string, Promise<void>>();

  constructor(options: RoomsOptions) {
    this.#options = options;
  }

  /**
   * Sends an event into a room and resolves when it is durable and the projections show it.
   *
   * @param transaction finds the event again when the client sends it again.
   * @throws {MatrixError} M_NOT_FOUND for an unknown room, M_FORBIDDEN with the rule that forbids it, M_TOO_LARGE, M_BAD_JSON,
   *   M_LIMIT_EXCEEDED when too many events of the room wait for the disk.
   */
  send(roomId: string, event: EventToSend, transaction?: Transaction): Promise<SentEvent> {
    if (transaction === undefined) return this.#sendNew(roomId, event);
    const [keyBytes] = transactionKey(event.sender, roomId, event.type, transaction);
    const key = Buffer.from(keyBytes).toString('latin1');
    const waiting = this.#inFlight.get(key);
    if (waiting) return waiting;
    const position = this.#options.reader.get(transactions, [keyBytes]);
    const sent = position === undefined ? undefined : eventAt(this.#options.reader, position);
    if (sent) return Promise.resolve({ eventId: sent.eventId });
    const sending = this.#sendNew(roomId, event, transaction).finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, sending);
    return sending;
  }

  /**
   * A current state event of a room as the next event will see it, or undefined.
   * @throws {MatrixError} M_NOT_FOUND for an unknown room.
   */
  state(roomId: string, type: string, stateKey: string): AuthEvent | undefined {
    return this.#head(roomId).state(type, stateKey);
  }

  /**
   * The rules of a room's version.
   * @throws {MatrixError} M_NOT_FOUND for an unknown room.
   */
  rules(roomId: string): RoomVersionRules {
    return this.#head(roomId).rules;
  }

  /**
   * Who may do what in a room as its next event will see it.
   * @throws {MatrixError} M_NOT_FOUND for an unknown room.
   */
  powerLevels(roomId: string): PowerLevels {
    return powerLevelsIn(this.#head(roomId));
  }

  /** Whether this server has, or had, a part in the room, so that it has a state. */
  knows(roomId: string): boolean {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    return room !== undefined && headOf(reader, room.id) !== undefined;
  }

  /**
   * Whether this server can say what may happen in the room: a user of it is in it, so that it gets what is sent there; or
   * everybody has left, and it has the last word.
   */
  isResident(roomId: string): boolean {
    const { reader, serverName } = this.#options;
    const room = findRoom(reader, roomId);
    if (room === undefined) return false;
    return isServerIn(reader, room.id, serverName) || headOf(reader, room.id)?.joined === 0;
  }

  /**
   * Makes a room from its first events, the create event first, all durable or none. The `roomId` of each event is filled in.
   *
   * @param roomId the id to give the room; ignored where the room version derives it from the create event.
   * @param events in order; each may be a function that is given the room's id and state so far.
   * @returns the room's id.
   */
  async create(rules: RoomVersionRules, roomId: string, events: readonly EventToSend[]): Promise<string> {
    const { stream, id, records } = await this.#prepareNew(rules, roomId, events);
    await this.#options.log.append(stream, NO_STREAM, records);
    return id;
  }

  /**
   * Throws what {@link Rooms.create} would for these events, and makes no room: for who has to do something first that cannot be
   * taken back.
   */
  async checkNew(rules: RoomVersionRules, roomId: string, events: readonly EventToSend[]): Promise<void> {
    await this.#prepareNew(rules, roomId, events);
  }

  /** Throws what {@link Rooms.send} would for this event now, and sends nothing. */
  check(roomId: string, event: EventToSend): void {
    this.#prepare(this.#head(roomId), event);
  }

  async #prepareNew(
    rules: RoomVersionRules,
    roomId: string,
    events: readonly EventToSend[],
  ): Promise<{ stream: string; id: string; records: RecordDraft[] }> {
    const [create, ...others] = events;
    if (create === undefined) throw new RangeError('a room begins with its create event');
    const stream = `room-${this.#options.newStreamId()}`;
    const isNamedByHash = rules.roomIdFormat === 'create_event_hash';
    const unborn = new RoomHead(
      { roomId: isNamedByHash ? '' : roomId, rules, stream },
      { revision: NO_STREAM, depth: 0, extremities: [] },
    );
    const first = this.#prepare(unborn, create, undefined, isNamedByHash);
    const id = isNamedByHash ? `!${first.eventId.slice(1)}` : roomId;
    const head = new RoomHead({ roomId: id, rules, stream }, { revision: NO_STREAM, depth: 0, extremities: [] });
    advance(head, first);
    const records = [first.record];
    for (const event of others) {
      const next = this.#prepare(head, event);
      advance(head, next);
      records.push(next.record);
      // Nobody knows the room yet, so others may have their turn in between.
      if (records.length % FIRST_EVENTS_PER_TURN === 0) await nextTurn();
    }
    return { stream, id, records };
  }

  /** A fresh id for a record. */
  newRecordId(): Uint8Array {
    return this.#options.newRecordId();
  }

  /**
   * Has a room to itself: waits until all that is queued for it is committed, keeps what is sent meanwhile waiting, and
   * gives what it takes to append to it. A room that is not known yet gets its stream.
   */
  alone<T>(room: { readonly roomId: string }, work: (turn: RoomTurn) => Promise<T>): Promise<T> {
    const { roomId } = room;
    return this.#turns.run(roomId, async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#taken.set(roomId, promise);
      try {
        await this.#heads.get(roomId)?.settled;
        return await work(await this.#turn(roomId));
      } finally {
        // Whatever was appended, the next event is decided on what is committed.
        this.#heads.delete(roomId);
        this.#taken.delete(roomId);
        resolve();
      }
    });
  }

  /** Records events of others that have no place in the graph of a room. */
  recordAside(room: { readonly roomId: string }, records: readonly RecordDraft[]): Promise<void> {
    return this.alone(room, ({ append }) => append(records));
  }

  async #turn(roomId: string): Promise<RoomTurn> {
    const { log, reader, newStreamId } = this.#options;
    const stream = findRoom(reader, roomId)?.stream ?? `room-${newStreamId()}`;
    let revision = await log.revisionOf(stream);
    const append = async (records: readonly RecordDraft[]): Promise<void> => {
      const appended = await log.append(stream, revision, records);
      revision = appended.lastRevision;
    };
    return { append };
  }

  async #sendNew(roomId: string, event: EventToSend, transaction?: Transaction): Promise<SentEvent> {
    for (let taken = this.#taken.get(roomId); taken !== undefined; taken = this.#taken.get(roomId)) await taken;
    const head = this.#head(roomId);
    if (head.extremities.length > MAX_PREV_EVENTS) return this.#sendAmongForks(roomId, event, transaction);
    if (head.pendingAppends >= MAX_PENDING_APPENDS_PER_ROOM) {
      throw limitExceeded(RETRY_AFTER_MS);
    }
    const prepared = this.#prepare(head, event, transaction);
    const appended = this.#options.log.append(head.stream, head.revision, [prepared.record]);
    advance(head, prepared);
    head.pendingAppends += 1;
    head.settled = appended.then(ignore, ignore);
    try {
      await appended;
    } catch (error) {
      // What was decided on top of this event was decided on sand: begin again from what is committed.
      if (this.#heads.get(roomId) === head) this.#heads.delete(roomId);
      throw error;
    } finally {
      head.pendingAppends -= 1;
    }
    if (head.pendingAppends === 0) head.settle();
    return { eventId: prepared.eventId };
  }

  /**
   * Sends an event that can follow only some of the forward extremities, the oldest: what the state is after it is not what
   * its head would make of it, so the head goes.
   */
  #sendAmongForks(roomId: string, event: EventToSend, transaction?: Transaction): Promise<SentEvent> {
    return this.alone({ roomId }, async ({ append }) => {
      const prepared = this.#prepare(this.#head(roomId), event, transaction);
      await append([prepared.record]);
      return { eventId: prepared.eventId };
    });
  }

  /**
   * An event as the room would let it in next, neither hashed nor signed nor sent: for others to sign, or to be signed by
   * others first. Its sender need not be of this server.
   *
   * @throws {MatrixError} as {@link send}.
   */
  draft(roomId: string, event: EventToSend): EventDraft {
    return this.#draft(this.#head(roomId), event).draft;
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

  #draft(head: RoomHead, event: EventToSend, isCreateWithoutRoomId = false) {
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

  #prepare(head: RoomHead, event: EventToSend, transaction?: Transaction, isCreateWithoutRoomId = false): Prepared {
    const { rules } = head;
    const { draft, prevEvents } = this.#draft(head, event, isCreateWithoutRoomId);
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
    const content = parseJson(original.contentJson) as JsonObject;
    return { eventId: target, content: redactContent({ type: original.type, content }, head.rules) };
  }

  #head(roomId: string): RoomHead {
    const known = this.#heads.get(roomId);
    if (known) {
      this.#heads.delete(roomId);
      this.#heads.set(roomId, known);
      return known;
    }
    const head = this.#loadHead(roomId);
    this.#letGoOfIdleHeads();
    this.#heads.set(roomId, head);
    return head;
  }

  #loadHead(roomId: string): RoomHead {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    if (room === undefined) throw new MatrixError('M_NOT_FOUND', 'This server does not know the room.');
    const rules = roomVersionRules(room.version);
    const at = headOf(reader, room.id);
    if (rules === undefined || at === undefined) {
      throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', `Room version ${room.version} is not supported.`);
    }
    return new RoomHead(
      { roomId, rules, stream: room.stream },
      at,
      (type, stateKey) => {
        const position: Position | undefined = stateEventPosition(reader, room.id, type, stateKey);
        return position === undefined ? undefined : authEventAt(reader, position);
      },
      (eventId) => referenceHashOf(reader, eventId),
    );
  }

  #letGoOfIdleHeads(): void {
    if (this.#heads.size < MAX_ACTIVE_ROOMS) return;
    for (const [roomId, head] of this.#heads) {
      if (head.pendingAppends > 0) continue;
      this.#heads.delete(roomId);
      return;
    }
  }
}

function ignore(): void {}

function advance(head: RoomHead, prepared: Prepared): void {
  head.advance({
    eventId: prepared.eventId,
    referenceHash: prepared.referenceHash,
    depth: prepared.pdu.depth,
    prevEvents: prepared.prevEvents,
    ...(prepared.authEvent && { state: prepared.authEvent }),
    ...(prepared.redacted && { redacted: prepared.redacted }),
  });
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
