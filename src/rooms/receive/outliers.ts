/** Events without their place in the graph: those that authorise others, and the state that a peer tells. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { asAuthEvent, type KnownEvent, knownEvent } from '#projections/rooms/known-events.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { checkAuthEvents, type NamedAuthEvent } from '#protocol/auth/auth-events.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import type { StateLookup } from '#protocol/auth/types.ts';
import { authEventIdsOf, authInputOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { Rooms } from '../rooms.ts';
import { checkContentHash } from './check-content-hash.ts';
import { checkForm } from './check-form.ts';
import { checkSignatures, keyRequestsOf } from './check-signatures.ts';
import { recordOf } from './record.ts';
import type { Receipt, ReceivingRoom, StepContext } from './types.ts';

/** Events that are checked in one turn of the event loop: some 10 ms. */
const EVENTS_PER_TURN = 64;
/** Bytes of events in one append, well below the bound of the log. */
const MAX_BYTES_PER_APPEND = 512 * 1024;
/** Events in one append: what is appended is applied in one turn of the event loop, some 20 ms. */
const MAX_EVENTS_PER_APPEND = 128;

/** An event that is checked and not recorded yet, or is known. */
interface Judged {
  readonly auth: NamedAuthEvent;
}

export interface TakeInOutliersOptions {
  readonly context: StepContext;
  readonly rooms: Rooms;
  readonly room: ReceivingRoom;
  /** The server that gave them. */
  readonly origin: string;
}

/**
 * Checks events by themselves and by what authorises them, in an order in which each comes after its auth events, and records
 * them. What is malformed, wrongly signed or names auth events that are neither known nor among them is left out; what the
 * rules refuse is recorded as rejected, so that what names it is refused too. Events that are known stay as they are.
 */
export async function takeInOutliers(options: TakeInOutliersOptions, events: readonly JsonObject[]): Promise<void> {
  const receipts = await checkedReceipts(options, events);
  const judged = new Map<string, Judged>();
  let drafts: { readonly record: RecordDraft; readonly bytes: number }[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const records = drafts.map(({ record }) => record);
    drafts = [];
    bytes = 0;
    await options.rooms.recordAside(options.room, records);
  };
  let count = 0;
  for (const receipt of inAuthOrder(receipts, options.room)) {
    const verdict = judge(options, receipt, judged);
    if (verdict === undefined) continue;
    const record = recordOf(options.rooms, receipt, {
      disposition: verdict.rejected ? 'rejected' : 'outlier',
      ...verdict,
    });
    judged.set(receipt.eventId, { auth: verdict.auth });
    const size = record.sections.reduce((sum, section) => sum + section.length, 0);
    if (bytes + size > MAX_BYTES_PER_APPEND || drafts.length >= MAX_EVENTS_PER_APPEND) await flush();
    drafts.push({ record, bytes: size });
    bytes += size;
    if (++count % EVENTS_PER_TURN === 0) await nextTurn();
  }
  if (drafts.length > 0) await flush();
}

/** The events that pass the checks of each by itself and are not known, by id. */
async function checkedReceipts(
  { context, room, origin }: TakeInOutliersOptions,
  events: readonly JsonObject[],
): Promise<Map<string, Receipt>> {
  const formed = new Map<string, Receipt>();
  let count = 0;
  for (const event of events) {
    const receipt = checkForm(room, origin, event);
    if (!('kind' in receipt) && knownEvent(context.reader, receipt.eventId) === undefined) {
      formed.set(receipt.eventId, receipt);
    }
    if (++count % EVENTS_PER_TURN === 0) await nextTurn();
  }
  // All keys at once, so that a server with many events is asked once.
  const found = await context.keys.keysFor([...formed.values()].flatMap(keyRequestsOf));
  const withKeys: StepContext = { ...context, keys: { keysFor: () => Promise.resolve(found) } };
  for (const receipt of formed.values()) {
    const failed = await checkSignatures(receipt, withKeys);
    if (failed !== undefined) formed.delete(receipt.eventId);
    else checkContentHash(receipt);
    if (++count % EVENTS_PER_TURN === 0) await nextTurn();
  }
  return formed;
}

/** Each event after those among them that authorise it; what authorises itself in a circle is left out. Walks with a stack. */
function* inAuthOrder(receipts: ReadonlyMap<string, Receipt>, { rules, roomId }: ReceivingRoom): Generator<Receipt> {
  const done = new Set<string>();
  const open = new Set<string>();
  const next = (receipt: Receipt): string[] => {
    const ids = [...authEventIdsOf(receipt.pdu, rules)];
    if (!rules.eventFormat.createEventInAuthEvents) ids.push(createEventIdFromRoomId(roomId));
    return ids.filter((id) => id !== receipt.eventId && receipts.has(id));
  };
  for (const root of receipts.values()) {
    const stack: { readonly receipt: Receipt; readonly pending: string[] }[] = [];
    const enter = (receipt: Receipt): void => {
      open.add(receipt.eventId);
      stack.push({ receipt, pending: next(receipt) });
    };
    if (!done.has(root.eventId)) enter(root);
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const id = frame.pending.pop();
      const receipt = id === undefined ? undefined : receipts.get(id);
      if (receipt !== undefined) {
        if (!done.has(receipt.eventId) && !open.has(receipt.eventId)) enter(receipt);
        continue;
      }
      stack.pop();
      done.add(frame.receipt.eventId);
      yield frame.receipt;
    }
  }
}

type OutlierVerdict =
  | { readonly auth: NamedAuthEvent; readonly rejected: false }
  | { readonly auth: NamedAuthEvent; readonly rejected: true; readonly reason: string };

/** By the events that authorise it; undefined if one of them is not known. */
function judge(
  { context, room }: TakeInOutliersOptions,
  receipt: Receipt,
  judged: ReadonlyMap<string, Judged>,
): OutlierVerdict | undefined {
  const { pdu, eventId, rejection } = receipt;
  const { rules, roomId } = room;
  const known = findRoom(context.reader, roomId);
  const find = (id: string): NamedAuthEvent | undefined => {
    const pending = judged.get(id);
    if (pending !== undefined) return pending.auth;
    const there: KnownEvent | undefined = knownEvent(context.reader, id);
    if (there === undefined) return undefined;
    const isHere = there.row.room === known?.id;
    return {
      ...asAuthEvent(there),
      stateKey: there.row.stateKey,
      roomId: isHere ? roomId : '(another)',
      rejected: there.disposition === 'rejected',
    };
  };
  const named: NamedAuthEvent[] = [];
  for (const id of authEventIdsOf(pdu, rules)) {
    const authEvent = find(id);
    if (authEvent === undefined) return undefined;
    named.push(authEvent);
  }
  const implied = rules.eventFormat.createEventInAuthEvents ? undefined : find(createEventIdFromRoomId(roomId));
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
