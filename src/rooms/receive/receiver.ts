/** Takes in events of other servers. */

import { dispositionRecord } from '#projections/rooms/disposition-record.ts';
import { stateGivenRecords } from '#projections/rooms/given-state-record.ts';
import { hasPlace, type KnownEvent, knownEvent } from '#projections/rooms/known-events.ts';
import { isPartial } from '#projections/rooms/partial.ts';
import type { Disposition } from '#projections/rooms/pdu-record.ts';
import { isPurged } from '#projections/rooms/purged-history.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { prevEventIdsOf } from '#protocol/event-references.ts';
import { referenceHash } from '#protocol/hashing.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { StateMap } from '#src/sync/room-state.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { FollowingEvent, NewestPoint, Rooms } from '../rooms.ts';
import { checkContentHash } from './check-content-hash.ts';
import { checkForm } from './check-form.ts';
import { askPolicyServer } from './check-policy.ts';
import { checkSignatures } from './check-signatures.ts';
import { enterRoom } from './enter-room.ts';
import { fetchAuthEvents } from './fetch-auth-events.ts';
import { fetchPrevEvents } from './fetch-prev-events.ts';
import { toldState, unplacedOf } from './known.ts';
import { momentOf, newestMomentOf } from './moment.ts';
import { takeInOutliers } from './outliers.ts';
import { addMembersNamed, holdEvent, takeMembers, takeRemoval } from './partial-room.ts';
import { Pursuit } from './pursuit.ts';
import { recordOf } from './record.ts';
import { type JudgingStep, judge, STEPS_OF_HISTORY, STEPS_OF_NEW_EVENT, STEPS_OF_TOLD_EVENT } from './steps.ts';
import { ToldEvents } from './told-events.ts';
import type { AncestryContext, MissingEvents, Receipt, ReceivingRoom, StepContext, Verdict } from './types.ts';
import { ACCEPTED, dispositionOf, reasonText, retry, verdictOn } from './verdicts.ts';

export interface ReceiverOptions extends StepContext {
  readonly rooms: Rooms;
  readonly missing: MissingEvents;
  /** Whether what a purge of a room's history took away may be taken in again; default: never. */
  readonly mayReturn?: (roomId: string, event: KnownEvent) => boolean;
}

/**
 * What is known of an event without its last word: it may get its place, and what was rejected may turn out valid when it is
 * sent again, be it that the rules were held wrongly before.
 */
const JUDGED_ANEW: ReadonlySet<Disposition> = new Set(['outlier', 'out_of_band', 'rejected']);

/** How an event comes in, beside being sent by a server that is in the room. */
interface TakeInOptions {
  readonly steps: readonly JudgingStep[];
  /** Whether peers may be asked for the events between it and what is known. */
  readonly closesGaps: boolean;
  readonly isRelayed?: boolean;
  /** What may still be asked of peers; default: as much as for one event. */
  readonly pursuit?: Pursuit;
}

/** An event that was taken in as far as the room is concerned. */
export interface Enqueued {
  /** Comes when what the verdict says is durable. */
  readonly verdict: Verdict | Promise<Verdict>;
}

const AS_NEW: TakeInOptions = { steps: STEPS_OF_NEW_EVENT, closesGaps: true };
const AS_GAP: TakeInOptions = { steps: STEPS_OF_NEW_EVENT, closesGaps: false };
const AS_HISTORY: TakeInOptions = { steps: STEPS_OF_HISTORY, closesGaps: false };
const AS_TOLD: TakeInOptions = { steps: STEPS_OF_TOLD_EVENT, closesGaps: false };

/**
 * Takes events of other servers through the checks on receipt, see steps.ts, and records each once with what became of it.
 * Whatever it returns is durable; what it drops, or wants to be sent again, has left no trace.
 */
export class Receiver {
  readonly #options: ReceiverOptions;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /**
   * Takes in an event that another server sends as something new.
   * @param origin who sent it; asked for what it follows and is not known here.
   */
  async receive(room: ReceivingRoom, origin: string, event: JsonObject): Promise<Verdict> {
    return (await this.enqueue(room, origin, event)).verdict;
  }

  /**
   * As {@link receive}, but resolves as soon as the next event of the room may be taken in, which for most is when it is on the
   * queue for the disk; its verdict is there when it is durable. Attend to that at once: it may be an error.
   */
  async enqueue(room: ReceivingRoom, origin: string, event: JsonObject): Promise<Enqueued> {
    const receipt = await this.#checked(room, origin, event);
    if ('kind' in receipt) return { verdict: receipt };
    return this.#enqueue(receipt, AS_NEW);
  }

  /** As {@link receive}, for an event that came to this server first, and that it has to send on to the others. */
  async receiveForAll(room: ReceivingRoom, origin: string, event: JsonObject): Promise<Verdict> {
    const receipt = await this.#checked(room, origin, event);
    if ('kind' in receipt) return receipt;
    return (await this.#enqueue(receipt, { ...AS_NEW, isRelayed: true })).verdict;
  }

  /**
   * Records what another server says of where a local user stands in a room in which this server is not: an invite, or the
   * end of one. Nothing of the room is known that it could be checked against, but for its form and signatures.
   *
   * @param told stripped events that the user may see of the room; kept with the event.
   */
  async receiveOutOfBand(
    room: ReceivingRoom,
    origin: string,
    event: JsonObject,
    told: readonly JsonObject[] = [],
  ): Promise<Verdict> {
    const receipt = checkForm(room, origin, event);
    if ('kind' in receipt) return receipt;
    if (this.#known(receipt.eventId) !== undefined) return { kind: 'accept' };
    const failed = await checkSignatures(receipt, this.#options);
    if (failed !== undefined) return failed;
    checkContentHash(receipt);
    const { rooms } = this.#options;
    if (told.length > 0) receipt.pdu = { ...receipt.pdu, unsigned: { invite_room_state: told } };
    await rooms.recordAside(room, [recordOf(rooms, receipt, { disposition: 'out_of_band' })]);
    return { kind: 'accept' };
  }

  /**
   * Takes in events of the past, the newest first or in any order; each is shown at its depth and is new to nobody.
   * @returns how many were taken in.
   */
  async receiveHistory(room: ReceivingRoom, origin: string, events: readonly JsonObject[]): Promise<number> {
    const receipts: Receipt[] = [];
    let taken = 0;
    for (const event of events) {
      if (await this.#takeBack(room, origin, event)) taken += 1;
      const receipt = await this.#checked(room, origin, event);
      if (!('kind' in receipt)) receipts.push(receipt);
    }
    receipts.sort((a, b) => a.pdu.depth - b.pdu.depth);
    const pursuit = new Pursuit();
    for (const receipt of receipts) {
      const verdict = await this.#takeIn(receipt, { ...AS_HISTORY, pursuit });
      if (verdict.kind === 'accept') taken += 1;
    }
    return taken;
  }

  /**
   * Takes an event in again that a purge took off the timeline. A state event is there still; what was destroyed of another is recorded
   * anew, if it may be and is to the letter what it was.
   */
  async #takeBack(room: ReceivingRoom, origin: string, event: JsonObject): Promise<boolean> {
    const { rooms, reader, mayReturn } = this.#options;
    const receipt = checkForm(room, origin, event);
    if ('kind' in receipt) return false;
    const { eventId, pdu } = receipt;
    const known = this.#known(eventId);
    if (known === undefined || !isPurged(reader, known) || mayReturn?.(room.roomId, known) !== true) return false;
    const isThere = known.row.stateKey !== undefined;
    if (!isThere) {
      // In the oldest room versions an id says nothing of what it names.
      if (room.rules.eventFormat.referencesHoldHashes) return false;
      if ((await checkSignatures(receipt, this.#options)) !== undefined) return false;
      checkContentHash(receipt);
      if (receipt.pdu !== pdu) return false;
    }
    return rooms.alone(room, async ({ append }) => {
      const now = this.#known(eventId);
      if (now === undefined || !isPurged(reader, now)) return false;
      const told = { eventId, disposition: 'backfilled' } as const;
      await append([isThere ? dispositionRecord(rooms.newRecordId(), told) : recordOf(rooms, receipt, told)]);
      return true;
    });
  }

  /** Records events that authorise others, or are part of a state that a peer tells, see {@link takeInOutliers}. */
  async receiveOutliers(room: ReceivingRoom, origin: string, events: readonly JsonObject[]): Promise<void> {
    const told = this.toldEvents(room, origin);
    for (const event of events) {
      told.add(event);
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    await this.takeIn(told);
  }

  /** What events are put into that a server tells all at once, for {@link takeIn}. */
  toldEvents(room: ReceivingRoom, origin: string): ToldEvents {
    return new ToldEvents({ reader: this.#options.reader, room, origin });
  }

  /**
   * As {@link receiveOutliers}; lets go of each event when it is recorded.
   * @param isWanted asked before each append. @throws {NotWanted} if they are not.
   */
  takeIn(told: ToldEvents, isWanted?: () => boolean): Promise<void> {
    return takeInOutliers({ context: this.#options, rooms: this.#options.rooms, room: told.room, isWanted }, told);
  }

  /**
   * Takes in the event by which a local user came into a room through another server, with the state before it as that server
   * told it: the room begins anew with it. All that the state names must have been received as outliers.
   *
   * The state is taken over in parts, each in an append of its own, which nobody sees until the event is there. Broken off in between
   * it does no harm: the next time begins with what is there.
   *
   * @param stateEventIds the state before the event; what is not known, or was rejected, is left out.
   * @param isOurs whether a user is one of this server.
   * @param servers those in the room, where the state was told without its members.
   */
  async receiveEntry(
    room: ReceivingRoom,
    origin: string,
    event: JsonObject,
    stateEventIds: Iterable<string>,
    isOurs: (userId: string) => boolean,
    servers?: readonly string[],
  ): Promise<Verdict> {
    const receipt = await this.#checked(room, origin, event);
    if ('kind' in receipt) return receipt;
    const { rooms, reader } = this.#options;
    const state = await toldState(reader, room, stateEventIds);
    if (servers !== undefined) await addMembersNamed(reader, receipt, state);
    receipt.givenState = state;
    const verdict = await enterRoom(this.#options, receipt, { state, via: origin, isOurs, servers });
    if (verdict !== undefined) return verdict;
    if (servers !== undefined || this.#isPartial(room)) {
      // Some of the state that was told is missing here, and some there.
      await rooms.whenMembersKnown(room.roomId);
      return this.receive(room, origin, event);
    }
    // What is known of the room is more than the other server tells.
    if (unplacedOf(reader, room, prevEventIdsOf(receipt.pdu, room.rules)).length === 0) delete receipt.givenState;
    return this.#admit(receipt, AS_NEW);
  }

  /**
   * Takes in the members of a room that the server came into without being told of all of them: those of the state before the event by
   * which it came in, all of which must have been received as outliers. What is known of somebody by now stays.
   *
   * @returns false if the room does not wait for its members any more, or nothing may be said of it.
   */
  async receiveMembers(room: ReceivingRoom, entryId: string, stateEventIds: Iterable<string>): Promise<boolean> {
    const state = await toldState(this.#options.reader, room, stateEventIds);
    return takeMembers(this.#options, room, entryId, state);
  }

  /** Judges an event that was held, now that all members of its room are known. What cannot be judged stays aside. */
  async receiveHeld(room: ReceivingRoom, origin: string, event: JsonObject, eventId: string): Promise<Verdict> {
    const { rooms } = this.#options;
    const verdict = await this.receive(room, origin, event);
    if (this.#known(eventId)?.disposition === 'outlier') {
      await rooms.recordAside(room, [dispositionRecord(rooms.newRecordId(), { eventId, disposition: 'outlier' })]);
    }
    return verdict;
  }

  /** Takes in a held event that puts the last user of this server out of its room, see {@link takeRemoval}; whether it did. */
  async receiveRemoval(room: ReceivingRoom, origin: string, event: JsonObject): Promise<boolean> {
    const receipt = await this.#checked(room, origin, event);
    return !('kind' in receipt) && takeRemoval(this.#options, receipt);
  }

  #isPartial({ roomId }: ReceivingRoom): boolean {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    return room !== undefined && isPartial(reader, room.id);
  }

  /** What authorises the event is asked for now, so that it is recorded behind that; undefined if all members are known by now. */
  async #hold(receipt: Receipt): Promise<Verdict | undefined> {
    const missing = await fetchAuthEvents(receipt, this.#ancestryOf(new Pursuit()));
    return missing ?? holdEvent(this.#options, receipt);
  }

  /** The checks that need nothing of the room. What is known already ends here. */
  async #checked(room: ReceivingRoom, origin: string, event: JsonObject): Promise<Receipt | Verdict> {
    const receipt = checkForm(room, origin, event);
    if ('kind' in receipt) return receipt;
    const known = this.#known(receipt.eventId);
    if (known !== undefined && !JUDGED_ANEW.has(known.disposition)) return verdictOn(known);
    const failed = await checkSignatures(receipt, this.#options);
    if (failed !== undefined) return failed;
    checkContentHash(receipt);
    return receipt;
  }

  #known(eventId: string): KnownEvent | undefined {
    return knownEvent(this.#options.reader, eventId);
  }

  /**
   * Most events follow all that is in the room, or are messages beside what others say at the same time, and name what is known:
   * they are judged at the newest point of the room, which is ahead of what is committed, and go on the queue. All others wait
   * until everything is committed.
   */
  async #enqueue(receipt: Receipt, options: TakeInOptions): Promise<Enqueued> {
    const { rooms } = this.#options;
    const { roomId } = receipt.room;
    if (this.#isPartial(receipt.room)) {
      const held = await this.#hold(receipt);
      if (held !== undefined) return { verdict: held };
    }
    await askPolicyServer(receipt, this.#options);
    const followed = await rooms.follow(roomId, (head) => this.#following(receipt, head, options));
    if (followed !== undefined) return { verdict: followed.committed.then(() => ACCEPTED) };
    await rooms.settled(roomId);
    return { verdict: await this.#takeIn(receipt, options) };
  }

  /** The event as one at the newest point of its room; undefined if it is not, or is anything but let in. */
  #following(
    receipt: Receipt,
    head: NewestPoint,
    { steps, isRelayed = false }: TakeInOptions,
  ): FollowingEvent | undefined {
    const { rooms, reader } = this.#options;
    const { eventId, room, pdu } = receipt;
    // What a redaction does is known when it is committed.
    if (pdu.type === 'm.room.redaction' || head.rules !== room.rules) return undefined;
    const moment = newestMomentOf(reader, receipt, head);
    if (moment === undefined || judge(receipt, moment, steps).kind !== 'accept') return undefined;
    const { type, state_key: stateKey, sender, content, depth } = pdu;
    return {
      record: recordOf(rooms, receipt, { disposition: 'accepted', isRelayed }),
      eventId,
      referenceHash: room.rules.eventFormat.referencesHoldHashes
        ? referenceHash(redact(pdu, room.rules), room.rules)
        : eventId.slice(1),
      depth,
      prevEvents: [...prevEventIdsOf(pdu, room.rules)],
      ...(stateKey !== undefined && { state: { eventId, type, stateKey, sender, content } }),
    };
  }

  /** The checks that may ask peers, then the judgement. */
  async #takeIn(receipt: Receipt, options: TakeInOptions): Promise<Verdict> {
    const ancestry = this.#ancestryOf(options.pursuit ?? new Pursuit());
    const authEvents = () => fetchAuthEvents(receipt, ancestry);
    const prevEvents = () => fetchPrevEvents(receipt, ancestry, options.closesGaps);
    // Before an event of the past there is a state that a peer tells as a whole, and what authorises the event is mostly in it.
    const [first, second] = options.closesGaps ? [authEvents, prevEvents] : [prevEvents, authEvents];
    return (await first()) ?? (await second()) ?? (await this.#admit(receipt, options));
  }

  #ancestryOf(pursuit: Pursuit): AncestryContext {
    return {
      ...this.#options,
      pursuit,
      receiveOutliers: (room, origin, events) => this.receiveOutliers(room, origin, events),
      takeInGap: (room, origin, event) => this.#takeInGap(room, origin, event, pursuit),
      takeInTold: (room, origin, event, eventId, state) =>
        this.#takeInTold(room, origin, event, eventId, state, pursuit),
    };
  }

  async #takeInGap(room: ReceivingRoom, origin: string, event: JsonObject, pursuit: Pursuit): Promise<void> {
    const receipt = await this.#checked(room, origin, event);
    if (!('kind' in receipt)) await (await this.#enqueue(receipt, { ...AS_GAP, pursuit })).verdict;
  }

  async #takeInTold(
    room: ReceivingRoom,
    origin: string,
    event: JsonObject,
    eventId: string,
    state: StateMap,
    pursuit: Pursuit,
  ): Promise<void> {
    const receipt = await this.#checked(room, origin, event);
    if ('kind' in receipt || receipt.eventId !== eventId) return;
    receipt.givenState = state;
    if ((await fetchAuthEvents(receipt, this.#ancestryOf(pursuit))) === undefined) await this.#admit(receipt, AS_TOLD);
  }

  /** The judgement, while nothing else happens in the room, and its record. */
  #admit(receipt: Receipt, options: TakeInOptions): Promise<Verdict> {
    const { rooms, reader } = this.#options;
    return rooms.alone(receipt.room, async (turn) => {
      const known = this.#known(receipt.eventId);
      const isFinal = known !== undefined && hasPlace(known) && known.disposition !== 'rejected';
      if (isFinal) return verdictOn(known);
      const moment = momentOf(reader, receipt);
      const isFirst =
        moment === undefined || (moment.createEvent === undefined && receipt.pdu.type !== 'm.room.create');
      if (isFirst) return retry('auth_events_known', 'Nothing is known of its room.');
      const verdict = judge(receipt, moment, options.steps);
      if (known?.disposition === 'rejected' && hasPlace(known) && verdict.kind === 'reject') return verdict;
      await turn.append(this.#recordsOf(receipt, verdict, options, known));
      return verdict;
    });
  }

  #recordsOf(
    receipt: Receipt,
    verdict: Verdict,
    { steps, isRelayed = false }: TakeInOptions,
    known: KnownEvent | undefined,
  ): RecordDraft[] {
    const { rooms } = this.#options;
    const { room, eventId, givenState } = receipt;
    const meta = {
      disposition: dispositionOf(verdict, steps === STEPS_OF_NEW_EVENT),
      ...(verdict.kind !== 'accept' && { reason: reasonText(verdict) }),
      ...(givenState !== undefined && { hasGivenState: true }),
    } as const;
    const given =
      givenState === undefined
        ? []
        : stateGivenRecords(() => rooms.newRecordId(), room.roomId, eventId, [...givenState.values()]);
    const own =
      known === undefined
        ? recordOf(rooms, receipt, { ...meta, isRelayed })
        : dispositionRecord(rooms.newRecordId(), { eventId, ...meta });
    return [...given, own];
  }
}

/** The room of an event by the version that a peer says it has; undefined for one that nobody here knows. */
export function receivingRoom(roomId: string, version: string): ReceivingRoom | undefined {
  const rules = roomVersionRules(version);
  return rules && { roomId, rules };
}
