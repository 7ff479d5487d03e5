/** Events without their place in the graph: those that authorise others, and the state that a peer tells. */

import { asAuthEvent, type KnownEvent, knownEvent } from '#projections/rooms/known-events.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { checkAuthEvents, type NamedAuthEvent } from '#protocol/auth/auth-events.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import type { StateLookup } from '#protocol/auth/types.ts';
import { authEventIdsOf, authInputOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import { Lru } from '#src/sync/lru.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { Rooms } from '../rooms.ts';
import { checkContentHash } from './check-content-hash.ts';
import { checkSignatures } from './check-signatures.ts';
import { recordOf } from './record.ts';
import type { ToldEvents } from './told-events.ts';
import type { Receipt, ReceivingRoom, StepContext } from './types.ts';

/** Bytes of events in one append, well below the bound of the log. */
const MAX_BYTES_PER_APPEND = 512 * 1024;
/** Events in one append: what is appended is applied in one turn of the event loop, some 10 ms. */
const MAX_EVENTS_PER_APPEND = 128;
/**
 * Events that are held to authorise others. Most name the same few; it has to be more than two appends, since what is not recorded
 * yet can be found nowhere else.
 */
const MAX_AUTH_EVENTS_HELD = 2048;

/** Whoever wanted the events does not want them any more. */
export class NotWanted extends Error {
  override readonly name = 'NotWanted';
}

export interface TakeInOutliersOptions {
  readonly context: StepContext;
  readonly rooms: Rooms;
  readonly room: ReceivingRoom;
  /** Asked before each append, in which the room may be gone. */
  readonly isWanted?: (() => boolean) | undefined;
}

/**
 * Checks events by themselves and by what authorises them, in an order in which each comes after its auth events, and records
 * them. What is wrongly signed or names auth events that are neither known nor among them is left out; what the rules refuse is
 * recorded as rejected, so that what names it is refused too. Events that are known stay as they are.
 *
 * @throws {NotWanted}
 */
export async function takeInOutliers(options: TakeInOutliersOptions, told: ToldEvents): Promise<void> {
  const { context, rooms, room } = options;
  const found = await context.keys.keysFor(told.keyRequests());
  const withKeys: StepContext = { ...context, keys: { keysFor: () => Promise.resolve(found) } };
  const authEvents = new AuthEvents(options);
  const recorder = new Recorder(options);
  for (const receipt of told.inAuthOrder()) {
    if (sharedPacer.isDue) await sharedPacer.pause();
    if ((await checkSignatures(receipt, withKeys)) !== undefined) continue;
    checkContentHash(receipt);
    const verdict = judge(room, receipt, authEvents);
    if (verdict === undefined) continue;
    authEvents.hold(verdict.auth);
    const { rejected } = verdict;
    await recorder.add(
      recordOf(rooms, receipt, {
        disposition: rejected ? 'rejected' : 'outlier',
        ...(rejected && { reason: verdict.reason }),
      }),
    );
  }
  await recorder.finish();
}

/** Appends records many at a time; while one append is on its way the next is made. */
class Recorder {
  readonly #options: TakeInOutliersOptions;
  #drafts: RecordDraft[] = [];
  #bytes = 0;
  #appending: Promise<void> | undefined;

  constructor(options: TakeInOutliersOptions) {
    this.#options = options;
  }

  async add(record: RecordDraft): Promise<void> {
    const bytes = record.sections.reduce((sum, section) => sum + section.length, 0);
    if (this.#bytes + bytes > MAX_BYTES_PER_APPEND || this.#drafts.length >= MAX_EVENTS_PER_APPEND) {
      await this.#append();
    }
    this.#drafts.push(record);
    this.#bytes += bytes;
  }

  /** Resolves when all is durable and applied. */
  async finish(): Promise<void> {
    await this.#append();
    await this.#appending;
  }

  async #append(): Promise<void> {
    await this.#appending;
    const records = this.#drafts;
    if (records.length === 0) return;
    this.#drafts = [];
    this.#bytes = 0;
    const { rooms, room, isWanted } = this.#options;
    this.#appending = rooms.alone(room, ({ append }) => {
      if (isWanted?.() === false) throw new NotWanted('the room is gone, or known by now');
      return append(records);
    });
    // Whoever waits for it hears of it; until then it is nobody's.
    this.#appending.catch(ignore);
  }
}

/** Events by which others are authorised: those that were judged just now, and those that are known. */
class AuthEvents {
  readonly #held = new Lru<string, NamedAuthEvent>(MAX_AUTH_EVENTS_HELD);
  readonly #options: TakeInOutliersOptions;

  constructor(options: TakeInOutliersOptions) {
    this.#options = options;
  }

  hold(event: NamedAuthEvent): void {
    this.#held.set(event.eventId, event);
  }

  find(eventId: string): NamedAuthEvent | undefined {
    const held = this.#held.get(eventId);
    if (held !== undefined) return held;
    const { context, room } = this.#options;
    const there: KnownEvent | undefined = knownEvent(context.reader, eventId);
    if (there === undefined) return undefined;
    const event = {
      ...asAuthEvent(there),
      stateKey: there.row.stateKey,
      roomId: there.row.room === findRoom(context.reader, room.roomId)?.id ? room.roomId : '(another)',
      rejected: there.disposition === 'rejected',
    };
    this.hold(event);
    return event;
  }
}

type OutlierVerdict =
  | { readonly auth: NamedAuthEvent; readonly rejected: false }
  | { readonly auth: NamedAuthEvent; readonly rejected: true; readonly reason: string };

/** By the events that authorise it; undefined if one of them is not known. */
function judge(
  { rules, roomId }: ReceivingRoom,
  { pdu, eventId, rejection }: Receipt,
  authEvents: AuthEvents,
): OutlierVerdict | undefined {
  const named: NamedAuthEvent[] = [];
  for (const id of authEventIdsOf(pdu, rules)) {
    const authEvent = authEvents.find(id);
    if (authEvent === undefined) return undefined;
    named.push(authEvent);
  }
  const implied = rules.eventFormat.createEventInAuthEvents
    ? undefined
    : authEvents.find(createEventIdFromRoomId(roomId));
  const own = {
    eventId,
    type: pdu.type,
    stateKey: pdu.state_key,
    sender: pdu.sender,
    content: pdu.content,
  };
  const auth = (rejected: boolean): NamedAuthEvent => ({ ...own, roomId, rejected });
  if (rejection?.kind === 'reject') return { auth: auth(true), rejected: true, reason: rejection.reason };
  const selection = checkAuthEvents(pdu, roomId, named, implied, rules);
  const inChain = implied === undefined ? named : [implied, ...named];
  const lookup: StateLookup = (type, stateKey) => {
    const found = inChain.find((event) => event.type === type && event.stateKey === stateKey);
    return found && { ...found, stateKey };
  };
  const verdict = selection.allowed ? checkAuth(authInputOf(pdu, rules), lookup, rules) : selection;
  if (verdict.allowed) return { auth: auth(false), rejected: false };
  return { auth: auth(true), rejected: true, reason: `${verdict.rule}: ${verdict.reason}` };
}

function ignore(): void {}
