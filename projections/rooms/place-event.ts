/**
 * Where an event goes: onto the timeline, into the history, or aside, with the state before and after it.
 *
 * Most events follow all that is there: the state before them is the current one, and they only add to the main line. The
 * others stand on a fork: the state before them is put together from that after the events they follow, and the current
 * state becomes what the states after all forward extremities come to.
 */

import type { Writer } from '#projections/engine/reader.ts';
import type { Position, Revision } from '#streams/event-log.ts';
import type { Arrival } from './arrival.ts';
import { addToAuthChains } from './auth-chains/index.ts';
import { addCounts, changeCurrentState, changeMember, type MemberCounts, NO_MEMBERS } from './current-state.ts';
import { contentOf, redactedRow } from './event-content.ts';
import type { EventRow, Fork } from './event-row.ts';
import { eventIdKey, transactionKey } from './keys.ts';
import { knownEvent, stateAfterKnown } from './known-events.ts';
import {
  changesTo,
  EMPTY_STATE,
  givenStateOf,
  type MergedState,
  mergeStates,
  stateBeforeEvent,
} from './merged-state.ts';
import { forgetPartial } from './partial.ts';
import { redactionIsDue } from './redactions.ts';
import { appendToMainLine, extendState, MAIN_LINE, type StateRef, stateEventAt } from './state/index.ts';
import {
  awaitedEvents,
  eventIds,
  events,
  givenStates,
  heads,
  heldEvents,
  lateEvents,
  type RoomHeadRow,
  relayedEvents,
  strippedStates,
  takenStates,
  timeline,
  topology,
  transactions,
  userRooms,
  withheld,
} from './tables.ts';
import { headBefore } from './take-state.ts';

type Head = Omit<RoomHeadRow, 'revision'>;

/** Puts an event where its disposition says. */
export function placeEvent(tx: Writer, arrival: Arrival): void {
  const { room, position, row, disposition } = arrival;
  tx.put(eventIds, eventIdKey(row.eventId), position);
  if (row.stateKey !== undefined) indexAuthEvents(tx, arrival, row.stateKey);
  if (arrival.place !== position) {
    tx.remove(withheld, [position]);
    tx.remove(heldEvents, [room.id, position]);
  }
  switch (disposition) {
    case 'accepted': {
      const head = headBefore(tx, room.id);
      if (followsAll(arrival, head)) follow(tx, arrival, head);
      else standOnFork(tx, arrival, head);
      break;
    }
    case 'backfilled':
      fillIn(tx, arrival);
      break;
    case 'soft_failed':
    case 'rejected':
      setAside(tx, arrival, forkOf(tx, arrival, disposition === 'rejected'));
      break;
    case 'outlier':
      setAside(tx, arrival, undefined);
      break;
    case 'out_of_band':
      setAside(tx, arrival, undefined);
      changeMembershipElsewhere(tx, arrival);
      break;
  }
  if (disposition !== 'accepted') noteRevision(tx, room.id, arrival.revision);
  if (arrival.hasGivenState) tx.removeRange(givenStates, { prefix: [room.id, row.eventId] });
}

/** The next event is appended behind every record of the room, also those that change nothing. */
export function noteRevision(tx: Writer, room: Position, revision: Revision): void {
  const head = tx.get(heads, [room]);
  if (head !== undefined) tx.put(heads, [room], { ...head, revision });
}

/** A type, state key or id too long for any room makes no key either; such an event authorises nothing. */
function indexAuthEvents(
  tx: Writer,
  { room, position, place, row, authEventIds, disposition }: Arrival,
  stateKey: string,
): void {
  if (place !== position || (disposition === 'rejected' && isOverlong(row.type, stateKey))) return;
  const authEvents: Position[] = [];
  for (const eventId of authEventIds) {
    const authEvent = tx.get(eventIds, eventIdKey(eventId));
    if (authEvent !== undefined && authEvent !== position) authEvents.push(authEvent);
  }
  addToAuthChains(tx, room.id, position, { type: row.type, stateKey }, authEvents);
}

const MAX_KEY_BYTES = 255;

function isOverlong(type: string, stateKey: string): boolean {
  return Buffer.byteLength(type) > MAX_KEY_BYTES || Buffer.byteLength(stateKey) > MAX_KEY_BYTES;
}

/** Whether an event comes after everything that is there, so that the state before it is the current one. */
function followsAll({ position, place, hasGivenState, startsAnew, prevEventIds }: Arrival, head: Head): boolean {
  if (place !== position || hasGivenState || startsAnew) return false;
  const { extremities } = head;
  return prevEventIds.length === extremities.length && extremities.every((eventId) => prevEventIds.includes(eventId));
}

/** Takes in an event that follows all that is there. */
function follow(tx: Writer, arrival: Arrival, head: Head): void {
  const { room, position, place, row: given } = arrival;
  let row: EventRow = { ...given, stateVersion: head.stateVersion };
  let counts = NO_MEMBERS;
  if (given.stateKey !== undefined) {
    const { type, stateKey } = given;
    const replaces = stateEventAt(tx, room.id, mainLine(head.stateVersion), type, stateKey);
    if (replaces !== undefined) row = { ...row, replaces };
    putEvent(tx, arrival, row);
    appendToMainLine(tx, room.id, head.stateVersion, [{ type, stateKey, event: position }]);
    if (type === 'm.room.member') {
      const { membership } = arrival.pdu?.content ?? contentOf(row);
      counts = changeMember(tx, room.id, stateKey, String(membership), position, place);
    }
  } else {
    putEvent(tx, arrival, row);
  }
  moveHead(tx, arrival, head, {
    extremities: [row.eventId],
    stateVersion: head.stateVersion + (given.stateKey === undefined ? 0 : 1),
    counts,
  });
  show(tx, arrival, row);
}

/** Takes in an event that does not follow all that is there. */
function standOnFork(tx: Writer, arrival: Arrival, head: Head): void {
  const { room, position, place, row, prevEventIds, startsAnew } = arrival;
  const awaited = tx.get(awaitedEvents, [room.id, row.eventId]);
  const isEnd = awaited?.follower === undefined;
  let { stateVersion } = head;
  let counts = NO_MEMBERS;
  const become = (state: MergedState): void => {
    const changes = changesTo(tx, room.id, mainLine(stateVersion), state);
    counts = addCounts(counts, changeCurrentState(tx, room.id, stateVersion, changes, place));
    stateVersion += changes.length;
  };
  // Written before the state changes, so that the event is there for whoever reads its membership.
  tx.put(events, [position], { ...row, stateVersion: head.stateVersion });

  let extremities: readonly string[];
  let before: StateRef;
  let after: StateRef;
  if (startsAnew) {
    // The given state is the room's: on the main line it is written once. What was taken over before is there already.
    if (arrival.hasGivenState) become(stateBeforeOf(tx, arrival));
    tx.remove(takenStates, [room.id]);
    // Where the last of ours was put out, nobody was ever told who is left.
    if (contentOf(row).membership === 'join') forgetPartial(tx, room.id);
    tx.removeRange(heldEvents, { prefix: [room.id] });
    before = mainLine(stateVersion);
    if (row.stateKey !== undefined) {
      become({ base: before, changes: [{ type: row.type, stateKey: row.stateKey, event: position }] });
    }
    after = mainLine(stateVersion);
    extremities = [row.eventId];
  } else {
    ({ before, after } = statesAround(tx, arrival, false));
    const stillEnds = head.extremities.filter((eventId) => !prevEventIds.includes(eventId));
    extremities = isEnd ? [...stillEnds, row.eventId] : stillEnds;
    const isOnlyEnd = extremities.length === 1 && isEnd;
    if (extremities.length > 0)
      become(isOnlyEnd ? { base: after, changes: [] } : stateOfEnds(tx, arrival, extremities, after));
  }
  const fork: Fork = { before, after, versionAfter: stateVersion, ...(place !== position && { place }) };
  const replaces = replacedBy(tx, arrival, before);
  const placed: EventRow = {
    ...row,
    stateVersion: head.stateVersion,
    fork,
    ...(replaces !== undefined && { replaces }),
  };
  putEvent(tx, arrival, placed);
  awaitMissing(tx, arrival);
  moveHead(tx, arrival, head, { extremities, stateVersion, counts });
  show(tx, arrival, placed);
}

/** Takes in an event of the past. */
function fillIn(tx: Writer, arrival: Arrival): void {
  const { room, position, place, row } = arrival;
  const { before, after } = statesAround(tx, arrival, false);
  const stateVersion = before.branch === MAIN_LINE ? before.version : 0;
  const replaces = replacedBy(tx, arrival, before);
  const placed: EventRow = {
    ...row,
    stateVersion,
    fork: {
      before,
      after,
      versionAfter: stateVersion,
      ...(place !== position && { place }),
      ...(arrival.hasGivenState && { isTold: true }),
    },
    ...(replaces !== undefined && { replaces }),
  };
  putEvent(tx, arrival, placed);
  awaitMissing(tx, arrival);
  if (settleRedactions(tx, arrival, placed)) tx.put(topology, [room.id, row.depth, position], true);
}

function setAside(tx: Writer, arrival: Arrival, fork: Fork | undefined): void {
  const { position, row, disposition, reason, prevEventIds, authEventIds } = arrival;
  tx.put(withheld, [position], {
    ...row,
    stateVersion: 0,
    ...(fork && { fork }),
    disposition,
    ...(reason !== undefined && { reason }),
    prevEventIds,
    authEventIds,
  });
}

/** A rejected event leaves the state as it was; a soft-failed one changes it for those that follow it. */
function forkOf(tx: Writer, arrival: Arrival, isRejected: boolean): Fork {
  const { before, after } = statesAround(tx, arrival, isRejected);
  return { before, after, versionAfter: 0 };
}

interface StatesAround {
  readonly before: StateRef;
  readonly after: StateRef;
}

function statesAround(tx: Writer, arrival: Arrival, isRejected: boolean): StatesAround {
  const { room, position, row } = arrival;
  const { base, changes } = stateBeforeOf(tx, arrival);
  const before = extendState(tx, room.id, base, changes);
  if (row.stateKey === undefined || isRejected) return { before, after: before };
  return {
    before,
    after: extendState(tx, room.id, before, [{ type: row.type, stateKey: row.stateKey, event: position }]),
  };
}

function stateBeforeOf(tx: Writer, arrival: Arrival): MergedState {
  const { room, row, prevEventIds, hasGivenState } = arrival;
  if (hasGivenState) return givenStateOf(tx, room.id, row.eventId, nearestState(tx, arrival));
  return stateBeforeEvent(tx, room, prevEventIds).state;
}

/** A state that is likely to be much like the one before an event: that before what follows it, or else the current one. */
function nearestState(tx: Writer, { room, row }: Arrival): StateRef {
  const follower = tx.get(awaitedEvents, [room.id, row.eventId])?.follower;
  const next = follower === undefined ? undefined : tx.get(events, [follower]);
  if (next?.fork) return next.fork.before;
  return mainLine(tx.get(heads, [room.id])?.stateVersion ?? 0);
}

/** What the states after all forward extremities come to; `after` is that after the event itself. */
function stateOfEnds(tx: Writer, { room, row }: Arrival, extremities: readonly string[], after: StateRef): MergedState {
  const states: StateRef[] = [];
  for (const eventId of extremities) {
    const known = eventId === row.eventId ? undefined : knownEvent(tx, eventId);
    const state = eventId === row.eventId ? after : known && stateAfterKnown(known);
    if (state !== undefined) states.push(state);
  }
  return states.length === 0 ? EMPTY_STATE : mergeStates(tx, room, states);
}

function replacedBy(tx: Writer, { room, position, row }: Arrival, before: StateRef): Position | undefined {
  if (row.stateKey === undefined) return undefined;
  const there = stateEventAt(tx, room.id, before, row.type, row.stateKey);
  return there === position ? undefined : there;
}

function putEvent(tx: Writer, { position }: Arrival, row: EventRow): void {
  tx.put(events, [position], row);
}

interface HeadMove {
  readonly extremities: readonly string[];
  readonly stateVersion: number;
  readonly counts: MemberCounts;
}

function moveHead(tx: Writer, { room, revision, depth, place }: Arrival, head: Head, move: HeadMove): void {
  tx.put(heads, [room.id], {
    revision,
    depth: Math.max(head.depth, depth),
    extremities: move.extremities,
    stateVersion: move.stateVersion,
    latest: place,
    joined: head.joined + move.counts.joined,
    invited: head.invited + move.counts.invited,
  });
}

/**
 * Puts an event onto the timeline. A redaction that comes from elsewhere is held back until it takes effect.
 * Source: rooms/v3, "Handling redactions".
 */
function show(tx: Writer, arrival: Arrival, row: EventRow): void {
  const { room, position, place, redacts } = arrival;
  if (redacts !== undefined) redact(tx, arrival, redacts, position);
  const isHeldBack = redacts === undefined && !settleRedactions(tx, arrival, row);
  if (!isHeldBack) {
    tx.put(timeline, [room.id, place], position);
    tx.put(topology, [room.id, row.depth, position], true);
  }
  if (place !== position) tx.put(lateEvents, [place], position);
  if (arrival.isRelayed) tx.put(relayedEvents, [position], true);
  if (row.transaction) {
    tx.put(transactions, transactionKey(row.sender, room.roomId, row.type, row.transaction), position);
  }
  tx.touch(`room:${room.roomId}`);
}

/**
 * Redactions that had to wait for this event take effect; if it is one itself, it does, or waits.
 * @returns false for a redaction that has no effect, or none yet.
 */
function settleRedactions(tx: Writer, arrival: Arrival, row: EventRow): boolean {
  const { room, position } = arrival;
  // Nobody can have named an event of ours before we made it.
  const awaited = row.transaction ? undefined : tx.get(awaitedEvents, [room.id, row.eventId]);
  if (awaited !== undefined) tx.remove(awaitedEvents, [room.id, row.eventId]);
  for (const redaction of awaited?.redactions ?? []) {
    const redactionRow = tx.get(events, [redaction]);
    if (!redactionRow || !redactionIsDue(tx, room, redactionRow, row)) continue;
    redact(tx, arrival, row.eventId, redaction);
    tx.put(topology, [room.id, redactionRow.depth, redaction], true);
  }
  if (row.type !== 'm.room.redaction' || row.transaction) return true;
  const { redacts } = contentOf(row);
  if (typeof redacts !== 'string') return true;
  const target = tx.get(eventIds, eventIdKey(redacts));
  const targetRow = target === undefined ? undefined : tx.get(events, [target]);
  if (targetRow === undefined) awaitTarget(tx, arrival, redacts);
  if (targetRow === undefined || !redactionIsDue(tx, room, row, targetRow)) return false;
  redact(tx, arrival, redacts, position);
  return true;
}

function redact(tx: Writer, { room }: Arrival, eventId: string, redaction: Position): void {
  const position = tx.get(eventIds, eventIdKey(eventId));
  const row = position === undefined ? undefined : tx.get(events, [position]);
  if (position === undefined || row === undefined || row.room !== room.id) return;
  tx.put(events, [position], redactedRow(row, redaction, room.rules));
}

/** Remembers which events this one follows that nobody has sent yet. */
function awaitMissing(tx: Writer, { room, position, prevEventIds }: Arrival): void {
  for (const eventId of prevEventIds) {
    const known = tx.get(eventIds, eventIdKey(eventId));
    if (known !== undefined && (tx.has(events, [known]) || tx.get(withheld, [known])?.fork !== undefined)) continue;
    const awaited = tx.get(awaitedEvents, [room.id, eventId]);
    tx.put(awaitedEvents, [room.id, eventId], { ...awaited, follower: awaited?.follower ?? position });
  }
}

/** Redactions of one event that may wait for it; more would all say the same. */
const MAX_WAITING_REDACTIONS = 16;

function awaitTarget(tx: Writer, { room, position }: Arrival, eventId: string): void {
  const awaited = tx.get(awaitedEvents, [room.id, eventId]);
  const redactions = awaited?.redactions ?? [];
  if (redactions.length >= MAX_WAITING_REDACTIONS) return;
  tx.put(awaitedEvents, [room.id, eventId], { ...awaited, redactions: [...redactions, position] });
}

/** A local user is invited into a room in which the server is not, or is no more. */
function changeMembershipElsewhere(tx: Writer, { room, position, place, row, pdu }: Arrival): void {
  const userId = row.stateKey;
  if (row.type !== 'm.room.member' || userId === undefined) return;
  tx.put(lateEvents, [place], position);
  const membership = String(contentOf(row).membership);
  if (tx.has(heads, [room.id])) changeMember(tx, room.id, userId, membership, position, place);
  else tx.put(userRooms, [userId, room.id], { membership, event: position, since: place, forgotten: false });
  const stripped = pdu?.unsigned?.invite_room_state ?? pdu?.unsigned?.knock_room_state;
  if (Array.isArray(stripped)) tx.put(strippedStates, [room.id, userId], JSON.stringify(stripped));
  else if (membership === 'leave') tx.remove(strippedStates, [room.id, userId]);
  tx.touch(`user:${userId}`);
}

function mainLine(version: number): StateRef {
  return { branch: MAIN_LINE, version };
}
