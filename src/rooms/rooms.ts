import { setImmediate as nextTurn } from 'node:timers/promises';
import { keptTransactionKey } from '#projections/rooms/keys.ts';
import { isPartial } from '#projections/rooms/partial.ts';
import type { Transaction } from '#projections/rooms/pdu-record.ts';
import { eventAt, findRoom, headOf, isServerIn } from '#projections/rooms/queries.ts';
import { transactions } from '#projections/rooms/tables.ts';
import type { AuthEvent } from '#protocol/auth/types.ts';
import type { BuiltEvent, EventDraft } from '#protocol/build-event.ts';
import type { Pdu } from '#protocol/pdu.ts';
import type { PowerLevels } from '#protocol/power-levels.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { KeyedLock } from '#src/commands/keyed-lock.ts';
import { limitExceeded, MatrixError, unavailable } from '#src/http/errors.ts';
import { type EventLog, NO_STREAM, type RecordDraft } from '#streams/event-log.ts';
import { advancing, type EventToSend, EventWriter, type EventWriterOptions, powerLevelsIn } from './event-writer.ts';
import type { MembersKnown } from './members-known.ts';
import {
  isExempt,
  isRecommended,
  POLICY_TYPE,
  type PolicyServer,
  type PolicySigner,
  policyServerOf,
} from './policy.ts';
import { type AdvancingEvent, MAX_PREV_EVENTS, RoomHead } from './room-head.ts';
import { RoomHeads } from './room-heads.ts';

/** Appends of one room that may wait for the disk; beyond it, senders are asked to come again. */
export const MAX_PENDING_APPENDS_PER_ROOM = 1024;
/** First events of a room that are made in one turn of the event loop: some 10 ms. */
const FIRST_EVENTS_PER_TURN = 50;
/** When a sender may come again that found too many waiting. */
const RETRY_AFTER_MS = 500;
export interface SentEvent {
  readonly eventId: string;
}

export interface RoomsOptions extends EventWriterOptions {
  /** Where rooms may be known without all of their members; undefined where none is. */
  readonly members?: MembersKnown | undefined;
  /** Undefined where no policy server is asked. */
  readonly policy?: PolicySigner | undefined;
  readonly log: EventLog;
  /** A fresh, opaque, random name part of a stream. */
  readonly newStreamId: () => string;
}

/** An event of another server behind what is in the room, with its record. */
export interface FollowingEvent extends Omit<AdvancingEvent, 'redacted'> {
  readonly record: RecordDraft;
}

/** What is shown of a room's head to who decides on what follows. */
export type NewestPoint = Pick<RoomHead, 'rules' | 'extremities' | 'state' | 'stateBehind' | 'isQueued'>;

/** What somebody gets who has a room to himself. */
export interface RoomTurn {
  /** Appends records to the room's stream, all or none; resolves when they are durable and the projections show them. */
  readonly append: (records: readonly RecordDraft[]) => Promise<void>;
}

/**
 * The writer of every room: decides, in order and one at a time for each room, whether an event may follow what is there,
 * makes it a signed PDU and appends it. All deciding is synchronous, so the order of calls is the order of events; many
 * events of a room can wait for the disk together.
 */
export class Rooms {
  readonly #options: RoomsOptions;
  readonly #writer: EventWriter;
  readonly #heads: RoomHeads;
  /** Transactions on their way to the disk: a resend meanwhile gets the same answer. */
  readonly #inFlight = new Map<string, Promise<SentEvent>>();
  /** Whose turn it is in rooms that are taken as a whole, see {@link alone}. */
  readonly #turns = new KeyedLock();
  /** Rooms that somebody has to himself, until he is done. */
  readonly #taken = new Map<string, Promise<void>>();
  #pendingAppends = 0;
  /** Milliseconds since the epoch of the last room that was made here. */
  #lastNewRoomMs = 0;

  constructor(options: RoomsOptions) {
    this.#options = options;
    this.#writer = new EventWriter(options);
    this.#heads = new RoomHeads(options.reader);
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
    const [keyBytes] = keptTransactionKey(event.sender, roomId, event.type, transaction);
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
    return this.#heads.of(roomId).state(type, stateKey);
  }

  /**
   * The rules of a room's version.
   * @throws {MatrixError} M_NOT_FOUND for an unknown room.
   */
  rules(roomId: string): RoomVersionRules {
    return this.#heads.of(roomId).rules;
  }

  /**
   * Who may do what in a room as its next event will see it.
   * @throws {MatrixError} M_NOT_FOUND for an unknown room.
   */
  powerLevels(roomId: string): PowerLevels {
    return powerLevelsIn(this.#heads.of(roomId));
  }

  /** Whether an event is on its way to the disk, so that somebody waits for it. */
  get isWriting(): boolean {
    return this.#pendingAppends > 0;
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
    if (isServerIn(reader, room.id, serverName)) return true;
    // Where not all members are known, nobody knows that all have left.
    return headOf(reader, room.id)?.joined === 0 && !isPartial(reader, room.id);
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

  /** Forgets what is remembered of rooms beside what is committed, where nothing of a room is on its way to the disk. */
  forgetIdle(): void {
    this.#heads.dropIdle();
  }

  /** Throws what {@link Rooms.send} would for this event now, and sends nothing. */
  check(roomId: string, event: EventToSend): void {
    this.#writer.prepare(this.#heads.of(roomId), event);
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
    const named = isNamedByHash
      ? { ...create, originServerTs: create.originServerTs ?? this.#timeOfNewRoom() }
      : create;
    const first = this.#writer.prepare(unborn, named, undefined, isNamedByHash);
    const id = isNamedByHash ? `!${first.eventId.slice(1)}` : roomId;
    const head = new RoomHead({ roomId: id, rules, stream }, { revision: NO_STREAM, depth: 0, extremities: [] });
    head.advance(advancing(first));
    const records = [first.record];
    for (const event of others) {
      const next = this.#writer.prepare(head, event);
      head.advance(advancing(next));
      records.push(next.record);
      // Nobody knows the room yet, so others may have their turn in between.
      if (records.length % FIRST_EVENTS_PER_TURN === 0) await nextTurn();
    }
    return { stream, id, records };
  }

  /**
   * Another millisecond for each room: two that one user makes alike in the same would have the same create event, and so be one
   * room where that names it.
   */
  #timeOfNewRoom(): number {
    this.#lastNewRoomMs = Math.max(this.#options.clock(), this.#lastNewRoomMs + 1);
    return this.#lastNewRoomMs;
  }

  /** Hashes and signs an event as this server. @throws {MatrixError} M_BAD_JSON, M_TOO_LARGE */
  sign(draft: EventDraft, rules: RoomVersionRules): BuiltEvent {
    return this.#writer.sign(draft, rules);
  }

  /** A fresh event id for the room versions in which servers choose them. */
  newEventId(): string {
    return this.#writer.newEventId();
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
        await this.#heads.inMemory(roomId)?.settled;
        return await work(await this.#turn(roomId));
      } finally {
        // Whatever was appended, the next event is decided on what is committed.
        this.#heads.drop(roomId);
        this.#taken.delete(roomId);
        resolve();
      }
    });
  }

  /**
   * Appends an event of another server behind all that is queued for the room, as {@link send} does: without waiting for that to
   * be committed.
   *
   * @param decide is shown the newest point of the room, queued events included, and gives the event that follows all of its
   * extremities, or, where it is no state event, some event of which the head knows the state; undefined if it is not such an
   * event. It is no redaction: what that changes is known when it is committed.
   * @returns undefined where there was nothing to append, or too much waits. Else what resolves when the event is durable and the
   * projections show it, and rejects if it never will be.
   */
  async follow(
    roomId: string,
    decide: (head: NewestPoint) => FollowingEvent | undefined,
  ): Promise<{ readonly committed: Promise<void> } | undefined> {
    for (let taken = this.#taken.get(roomId); taken !== undefined; taken = this.#taken.get(roomId)) await taken;
    if (this.#heads.inMemory(roomId) === undefined && !this.knows(roomId)) return undefined;
    const head = this.#heads.of(roomId);
    if (head.pendingAppends >= MAX_PENDING_APPENDS_PER_ROOM) return undefined;
    const following = decide(head);
    if (following === undefined) return undefined;
    const { record, ...event } = following;
    return { committed: this.#queue(head, record, event) };
  }

  /** Resolves when all that is queued for a room now is committed, or has failed. */
  async settled(roomId: string): Promise<void> {
    await this.#heads.inMemory(roomId)?.settled;
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
    const head = this.#heads.of(roomId);
    if (this.#waitsForMembers(head, event)) {
      await this.whenMembersKnown(roomId);
      const room = findRoom(this.#options.reader, roomId);
      if (room !== undefined && isPartial(this.#options.reader, room.id)) throw membersNotKnown();
      return this.#sendNew(roomId, event, transaction);
    }
    if (head.extremities.length > MAX_PREV_EVENTS) return this.#sendAmongForks(roomId, event, transaction);
    if (this.#policyFor(head, event) !== undefined) return this.#sendWithPolicy(roomId, event, transaction);
    if (head.pendingAppends >= MAX_PENDING_APPENDS_PER_ROOM) {
      throw limitExceeded(RETRY_AFTER_MS);
    }
    const prepared = this.#writer.prepare(head, event, transaction);
    await this.#queue(head, prepared.record, advancing(prepared));
    return { eventId: prepared.eventId };
  }

  /** Resolves when all members of a room are known. @throws {MatrixError} 503 if that takes too long. */
  async whenMembersKnown(roomId: string): Promise<void> {
    await this.#options.members?.wait(roomId);
  }

  /**
   * Whether an event cannot be decided on before all members of its room are known: it is about the membership of somebody who may
   * have one that is not known. What members say who are known to be there takes no other members to decide on.
   */
  #waitsForMembers(head: RoomHead, { type, sender, stateKey, content }: EventToSend): boolean {
    const left = this.#heads.sendsBeforeMembers(head);
    // Once the server has left the room, nobody tells it any more who is there, and nothing is sent.
    if (left === undefined || !this.isResident(head.roomId)) return false;
    const isOwnMembership = stateKey === sender && (content.membership === 'join' || content.membership === 'leave');
    const isKnown = head.state('m.room.member', sender)?.content.membership === 'join';
    if (left <= 0 || !isKnown || (type === 'm.room.member' && !isOwnMembership)) return true;
    this.#heads.countSendBeforeMembers(head);
    return false;
  }

  /** Who has to sign an event before it is sent. */
  #policyFor(head: RoomHead, { type, stateKey }: EventToSend): PolicyServer | undefined {
    const content = head.state(POLICY_TYPE, '')?.content;
    if (content === undefined || isExempt({ type, ...(stateKey !== undefined && { state_key: stateKey }) }))
      return undefined;
    const { reader } = this.#options;
    const room = findRoom(reader, head.roomId);
    return policyServerOf(content, (name) => room !== undefined && isServerIn(reader, room.id, name));
  }

  /**
   * Sends an event that a policy server has to sign first. The room waits meanwhile: what the event follows is part of what is
   * signed. @throws {FederationError} with what the policy server has against it, or if it does not answer.
   */
  #sendWithPolicy(roomId: string, event: EventToSend, transaction?: Transaction): Promise<SentEvent> {
    return this.alone({ roomId }, async ({ append }) => {
      const head = this.#heads.of(roomId);
      const server = this.#policyFor(head, event);
      const prepared = this.#writer.prepare(head, event, transaction);
      const { policy } = this.#options;
      if (server === undefined || policy === undefined) {
        await append([prepared.record]);
        return { eventId: prepared.eventId };
      }
      const signed = await policy.sign(server.serverName, prepared.pdu);
      if (!isRecommended(signed, head.rules, server)) {
        throw wrongPolicyKey();
      }
      await append([this.#writer.withSignatures(head, prepared, signed, transaction)]);
      return { eventId: prepared.eventId };
    });
  }

  /**
   * An event of this server with the signature of the room's policy server, where the room has one: to be asked for before anybody
   * else hears of the event. @throws {FederationError} as {@link send}. @throws {MatrixError} M_FORBIDDEN for another key's signature.
   */
  async recommended(roomId: string, pdu: Pdu): Promise<Pdu> {
    const head = this.#heads.of(roomId);
    const { type, sender, content, state_key: stateKey } = pdu;
    const server = this.#policyFor(head, { type, sender, content, ...(stateKey !== undefined && { stateKey }) });
    const { policy } = this.#options;
    if (server === undefined || policy === undefined) return pdu;
    const signed = await policy.sign(server.serverName, pdu);
    if (!isRecommended(signed, head.rules, server)) throw wrongPolicyKey();
    return signed;
  }

  /** Puts an event on the queue for the disk, behind all before it; the head goes on from it at once. */
  async #queue(head: RoomHead, record: RecordDraft, event: AdvancingEvent): Promise<void> {
    const { roomId } = head;
    const appended = this.#options.log.append(head.stream, head.revision, [record]);
    head.advance(event);
    head.pendingAppends += 1;
    this.#pendingAppends += 1;
    head.settled = appended.then(ignore, ignore);
    try {
      await appended;
    } catch (error) {
      // What was decided on top of this event was decided on sand: begin again from what is committed.
      if (this.#heads.inMemory(roomId) === head) this.#heads.drop(roomId);
      throw error;
    } finally {
      head.arrived(event.eventId);
      head.pendingAppends -= 1;
      this.#pendingAppends -= 1;
    }
    if (head.pendingAppends === 0) head.settle();
  }

  /**
   * Sends an event that can follow only some of the forward extremities, the oldest: what the state is after it is not what
   * its head would make of it, so the head goes.
   */
  #sendAmongForks(roomId: string, event: EventToSend, transaction?: Transaction): Promise<SentEvent> {
    return this.alone({ roomId }, async ({ append }) => {
      const prepared = this.#writer.prepare(this.#heads.of(roomId), event, transaction);
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
    const head = this.#heads.of(roomId);
    if (this.#waitsForMembers(head, event)) throw membersNotKnown();
    return this.#writer.draft(head, event).draft;
  }
}

function membersNotKnown(): MatrixError {
  return unavailable('This server does not know all members of the room yet.');
}

function ignore(): void {}

function wrongPolicyKey(): MatrixError {
  return new MatrixError('M_FORBIDDEN', 'The policy server of the room signs with another key than the room says.');
}
