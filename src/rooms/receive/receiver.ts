/** Takes in events of other servers. */

import { dispositionRecord } from '#projections/rooms/disposition-record.ts';
import { stateGivenRecords } from '#projections/rooms/given-state-record.ts';
import { hasPlace, type KnownEvent, knownEvent, withheldEvent } from '#projections/rooms/known-events.ts';
import { findRoom, headOf, positionOfEvent } from '#projections/rooms/queries.ts';
import { authEventIdsOf, prevEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Position, RecordDraft } from '#streams/event-log.ts';
import type { Rooms } from '../rooms.ts';
import { checkContentHash } from './check-content-hash.ts';
import { checkForm } from './check-form.ts';
import { checkSignatures } from './check-signatures.ts';
import { momentOf } from './moment.ts';
import { takeInOutliers } from './outliers.ts';
import { recordOf } from './record.ts';
import { type JudgingStep, judge, STEPS_OF_HISTORY, STEPS_OF_NEW_EVENT, STEPS_OF_TOLD_EVENT } from './steps.ts';
import type { MissingEvents, Receipt, ReceivingRoom, StepContext, StepName, Verdict } from './types.ts';

/** Events that are asked for at once to close a gap. Source: server-server API, `get_missing_events`: servers give some 20. */
export const MAX_GAP_EVENTS = 50;
/** Rounds of asking for auth events: each may name others that are missing. */
const MAX_AUTH_ROUNDS = 20;
/** Auth events that are asked for one by one for one event. */
const MAX_AUTH_EVENTS_FETCHED = 1000;
/** Events of a told state that are asked for at a time. */
const STATE_EVENTS_PER_REQUEST = 100;

export interface ReceiverOptions extends StepContext {
  readonly rooms: Rooms;
  readonly missing: MissingEvents;
}

/** How an event comes in, beside being sent by a server that is in the room. */
interface TakeInOptions {
  readonly steps: readonly JudgingStep[];
  /** Whether peers may be asked for the events between it and what is known. */
  readonly closesGaps: boolean;
  readonly startsAnew?: boolean;
  readonly isRelayed?: boolean;
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
    const receipt = await this.#checked(room, origin, event);
    return 'kind' in receipt ? receipt : this.#takeIn(receipt, AS_NEW);
  }

  /** As {@link receive}, for an event that came to this server first, and that it has to send on to the others. */
  async receiveForAll(room: ReceivingRoom, origin: string, event: JsonObject): Promise<Verdict> {
    const receipt = await this.#checked(room, origin, event);
    return 'kind' in receipt ? receipt : this.#takeIn(receipt, { ...AS_NEW, isRelayed: true });
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
    for (const event of events) {
      const receipt = await this.#checked(room, origin, event);
      if (!('kind' in receipt)) receipts.push(receipt);
    }
    receipts.sort((a, b) => a.pdu.depth - b.pdu.depth);
    let taken = 0;
    for (const receipt of receipts) {
      const verdict = await this.#takeIn(receipt, AS_HISTORY);
      if (verdict.kind === 'accept') taken += 1;
    }
    return taken;
  }

  /** Records events that authorise others, or are part of a state that a peer tells, see {@link takeInOutliers}. */
  receiveOutliers(room: ReceivingRoom, origin: string, events: readonly JsonObject[]): Promise<void> {
    const { rooms } = this.#options;
    return takeInOutliers({ context: this.#options, rooms, room, origin }, events);
  }

  /**
   * Takes in the event by which a local user came into a room through another server, with the state before it as that server
   * told it: the room begins anew with it. All that the state names must have been received as outliers.
   *
   * @param stateEventIds the state before the event; what is not known, or was rejected, is left out.
   */
  async receiveEntry(
    room: ReceivingRoom,
    origin: string,
    event: JsonObject,
    stateEventIds: readonly string[],
  ): Promise<Verdict> {
    const receipt = await this.#checked(room, origin, event);
    if ('kind' in receipt) return receipt;
    receipt.givenState = this.#positionsOf(stateEventIds);
    return this.#admit(receipt, { ...AS_HISTORY, startsAnew: true });
  }

  /**
   * Judges an event anew that was rejected: what it names may have turned out valid. Nothing is asked of peers.
   * @returns undefined if the event is not known as rejected.
   */
  async reconsider(room: ReceivingRoom, origin: string, event: JsonObject): Promise<Verdict | undefined> {
    const receipt = checkForm(room, origin, event);
    if ('kind' in receipt || this.#known(receipt.eventId)?.disposition !== 'rejected') return undefined;
    checkContentHash(receipt);
    return this.#admit(receipt, { ...AS_GAP, steps: STEPS_OF_NEW_EVENT });
  }

  /** The checks that need nothing of the room. What is known already ends here. */
  async #checked(room: ReceivingRoom, origin: string, event: JsonObject): Promise<Receipt | Verdict> {
    const receipt = checkForm(room, origin, event);
    if ('kind' in receipt) return receipt;
    const known = this.#known(receipt.eventId);
    if (known !== undefined && known.disposition !== 'outlier' && known.disposition !== 'out_of_band') {
      return verdictOn(known);
    }
    const failed = await checkSignatures(receipt, this.#options);
    if (failed !== undefined) return failed;
    checkContentHash(receipt);
    return receipt;
  }

  #known(eventId: string): KnownEvent | undefined {
    return knownEvent(this.#options.reader, eventId);
  }

  /** The checks that may ask peers, then the judgement. */
  async #takeIn(receipt: Receipt, options: TakeInOptions): Promise<Verdict> {
    return (
      (await this.#fetchAuthEvents(receipt)) ??
      (await this.#fetchPrevEvents(receipt, options)) ??
      (await this.#admit(receipt, options))
    );
  }

  /** Step 4: the events that it names to authorise it are known; those that are not are fetched, with what authorises them. */
  async #fetchAuthEvents(receipt: Receipt): Promise<Verdict | undefined> {
    const { room, origin, pdu } = receipt;
    const { rules } = room;
    let wanted = this.#unknown([
      ...authEventIdsOf(pdu, rules),
      ...(rules.eventFormat.createEventInAuthEvents ? [] : [createEventIdFromRoomId(room.roomId)]),
    ]);
    if (pdu.type === 'm.room.create') return undefined;
    const fetched = new Map<string, JsonObject>();
    for (let round = 0; wanted.length > 0 && round < MAX_AUTH_ROUNDS; round += 1) {
      if (fetched.size + wanted.length > MAX_AUTH_EVENTS_FETCHED) break;
      const events = await this.#options.missing.events(room, origin, wanted);
      const next: string[] = [];
      for (const event of events) {
        const formed = checkForm(room, origin, event);
        if ('kind' in formed || fetched.has(formed.eventId)) continue;
        fetched.set(formed.eventId, event);
        next.push(...authEventIdsOf(formed.pdu, rules));
      }
      wanted = this.#unknown(next).filter((eventId) => !fetched.has(eventId));
    }
    if (fetched.size > 0) await this.receiveOutliers(room, origin, [...fetched.values()]);
    const missing = this.#unknown(authEventIdsOf(pdu, rules));
    if (missing.length === 0) return undefined;
    return retry(
      'auth_events_known',
      `${missing.length} of its auth events could not be had, ${missing[0]} among them.`,
    );
  }

  /**
   * Step 5: the events that it follows are known, with the state around them. Whoever sends an event tells what lies between
   * it and what is known; before the oldest event of such a gap, the state is that which a peer tells.
   */
  async #fetchPrevEvents(receipt: Receipt, { closesGaps }: TakeInOptions): Promise<Verdict | undefined> {
    const prevEventIds = prevEventIdsOf(receipt.pdu, receipt.room.rules);
    if (this.#unplaced(receipt, prevEventIds).length === 0) return undefined;
    if (closesGaps) await this.#closeGap(receipt);
    else for (const eventId of this.#unplaced(receipt, prevEventIds)) await this.#fetchPast(receipt, eventId);
    if (this.#unplaced(receipt, prevEventIds).length === 0) return undefined;
    return retry('prev_events_known', 'The events that it follows, or the state around them, could not be had.');
  }

  async #closeGap({ room, origin, eventId }: Receipt): Promise<void> {
    const { reader, missing } = this.#options;
    const known = findRoom(reader, room.roomId);
    const earliest = (known && headOf(reader, known.id)?.extremities) ?? [];
    const between = await missing.between(room, origin, { earliest, latest: [eventId], limit: MAX_GAP_EVENTS });
    for (const event of between.slice(0, MAX_GAP_EVENTS)) {
      const earlier = await this.#checked(room, origin, event);
      if (!('kind' in earlier) && earlier.eventId !== eventId) await this.#takeIn(earlier, AS_GAP);
    }
  }

  /** Takes in a single event of the past, with the state before it as a peer tells it. */
  async #fetchPast({ room, origin }: Receipt, eventId: string): Promise<void> {
    const { missing } = this.#options;
    const told = await missing.stateBefore(room, origin, eventId);
    if (told === undefined) return;
    await this.#fetchOutliers(room, origin, [...told.authEventIds, ...told.stateEventIds]);
    const [event] = await missing.events(room, origin, [eventId]);
    const receipt = event && (await this.#checked(room, origin, event));
    if (receipt === undefined || 'kind' in receipt || receipt.eventId !== eventId) return;
    receipt.givenState = this.#positionsOf(told.stateEventIds);
    if ((await this.#fetchAuthEvents(receipt)) === undefined) await this.#admit(receipt, AS_TOLD);
  }

  async #fetchOutliers(room: ReceivingRoom, origin: string, eventIds: readonly string[]): Promise<void> {
    const wanted = this.#unknown(eventIds);
    const fetched: JsonObject[] = [];
    for (let at = 0; at < wanted.length; at += STATE_EVENTS_PER_REQUEST) {
      const some = wanted.slice(at, at + STATE_EVENTS_PER_REQUEST);
      fetched.push(...(await this.#options.missing.events(room, origin, some)));
    }
    if (fetched.length > 0) await this.receiveOutliers(room, origin, fetched);
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
      if (known?.disposition === 'rejected' && verdict.kind !== 'accept') return verdict;
      await turn.append(this.#recordsOf(receipt, verdict, options, known));
      return verdict;
    });
  }

  #recordsOf(
    receipt: Receipt,
    verdict: Verdict,
    { steps, startsAnew = false, isRelayed = false }: TakeInOptions,
    known: KnownEvent | undefined,
  ): RecordDraft[] {
    const { rooms } = this.#options;
    const { room, eventId, givenState } = receipt;
    const isNew = steps === STEPS_OF_NEW_EVENT || startsAnew;
    const meta = {
      disposition: dispositionOf(verdict, isNew),
      ...(verdict.kind !== 'accept' && { reason: reasonText(verdict) }),
      ...(givenState !== undefined && { hasGivenState: true }),
      ...(startsAnew && { startsAnew: true }),
    } as const;
    const given =
      givenState === undefined ? [] : stateGivenRecords(() => rooms.newRecordId(), room.roomId, eventId, givenState);
    const own =
      known === undefined
        ? recordOf(rooms, receipt, { ...meta, isRelayed })
        : dispositionRecord(rooms.newRecordId(), { eventId, ...meta });
    return [...given, own];
  }

  /** Those of the ids that no event here has. */
  #unknown(eventIds: Iterable<string>): string[] {
    return [...new Set(eventIds)].filter((eventId) => this.#known(eventId) === undefined);
  }

  /** Those of the ids whose events have no place in the graph of the room. An event of another room never has. */
  #unplaced({ room }: Receipt, eventIds: readonly string[]): string[] {
    const id = findRoom(this.#options.reader, room.roomId)?.id;
    return eventIds.filter((eventId) => {
      const known = this.#known(eventId);
      return known === undefined || known.row.room !== id || !hasPlace(known);
    });
  }

  #positionsOf(eventIds: readonly string[]): Position[] {
    const positions: Position[] = [];
    for (const eventId of eventIds) {
      const position = positionOfEvent(this.#options.reader, eventId);
      if (position === undefined) continue;
      if (withheldEvent(this.#options.reader, position)?.disposition !== 'rejected') positions.push(position);
    }
    return positions;
  }
}

/** The room of an event by the version that a peer says it has; undefined for one that nobody here knows. */
export function receivingRoom(roomId: string, version: string): ReceivingRoom | undefined {
  const rules = roomVersionRules(version);
  return rules && { roomId, rules };
}

function dispositionOf(verdict: Verdict, isNew: boolean) {
  switch (verdict.kind) {
    case 'accept':
      return isNew ? 'accepted' : 'backfilled';
    case 'soft_fail':
      return 'soft_failed';
    default:
      return 'rejected';
  }
}

/** What was recorded of an event, as a verdict. */
function verdictOn({ disposition, reason = '' }: KnownEvent): Verdict {
  switch (disposition) {
    case 'soft_failed':
      return { kind: 'soft_fail', step: 'current_state', reason };
    case 'rejected':
      return { kind: 'reject', step: 'state_before', reason };
    default:
      return { kind: 'accept' };
  }
}

/** Step, rule and sentence in one line, as it is recorded and shown to operators. */
function reasonText(verdict: Exclude<Verdict, { readonly kind: 'accept' }>): string {
  const { step, rule, reason } = verdict;
  return rule === undefined ? `${step}: ${reason}` : `${step}, rule ${rule}: ${reason}`;
}

function retry(step: StepName, reason: string): Verdict {
  return { kind: 'retry', step, reason };
}
