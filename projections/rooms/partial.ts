/**
 * Rooms that the server is in without having been told of all their members yet.
 *
 * Meanwhile the main line of the room is the state that was told, and what our own users changed of it. Events of others are held, so
 * nothing is decided on what is not known, and nothing forks. The members are then put onto the main line behind that, and the events
 * since the entry get their states as they would have been: that of today without what came after each.
 */
import type { Reader, Writer } from '#projections/engine/reader.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { versionAfter } from './event-row.ts';
import { eventIdKey } from './keys.ts';
import { knownEventAt } from './known-events.ts';
import { readEventHeld, readMembersAwaited, readMembersTold } from './partial-records.ts';
import { extendState, MAIN_LINE, type StateChange, type StateRef } from './state/index.ts';
import {
  eventIds,
  events,
  heads,
  heldEvents,
  type PartialRoomRow,
  partialRooms as partials,
  roomIds,
  roomServers,
  serverRooms,
  settledPlaces,
  settledStates,
  timeline,
} from './tables.ts';

/** Longest name of a server that can be reached. */
const MAX_SERVER_NAME_BYTES = 255;

/** A room of which not all members are known. */
export type PartialRoom = PartialRoomRow;

/** Whether not all members of a room are known, by its internal id. */
export function isPartial(reader: Reader, room: Position): boolean {
  return reader.has(partials, [room]);
}

/** What is known of a room of which not all members are; undefined for any other. */
export function partialRoom(reader: Reader, room: Position): PartialRoom | undefined {
  return reader.get(partials, [room]);
}

/** The rooms of which not all members are known. */
export function* partialRooms(reader: Reader): Generator<PartialRoom & { readonly room: Position }> {
  for (const { key, value } of reader.range(partials)) yield { room: key[0], ...value };
}

/** Positions of the events of a room that are held, in the order in which they came. */
export function* heldEventsOf(reader: Reader, room: Position): Generator<Position> {
  for (const [, position] of reader.keys(heldEvents, { prefix: [room] })) yield position;
}

/** Whether an event of a room is held. */
export function isHeld(reader: Reader, room: Position, event: Position): boolean {
  return reader.has(heldEvents, [room, event]);
}

/** Internal ids of the rooms that have events which are held. */
export function* roomsWithHeldEvents(reader: Reader): Generator<Position> {
  let last: Position | undefined;
  for (const [room] of reader.keys(heldEvents)) {
    if (room !== last) yield room;
    last = room;
  }
}

/** Whether so many events of a room are held. */
export function holdsAtLeast(reader: Reader, room: Position, count: number): boolean {
  return reader.count(heldEvents, { prefix: [room], limit: count }) >= count;
}

/** How many events of a room that is entered at a place came onto its timeline since, up to a limit. */
export function countSince(reader: Reader, room: Position, place: Position, limit: number): number {
  return reader.count(timeline, { prefix: [room], gt: [room, place], limit });
}

/** Applies a `room.members_awaited` record: the servers get what happens in the room from now on. */
export function applyMembersAwaited(tx: Writer, record: LogRecord): void {
  const read = readMembersAwaited(record);
  const room = read && tx.get(roomIds, [read.roomId]);
  const entry = read && tx.get(eventIds, eventIdKey(read.eventId));
  const row = entry === undefined ? undefined : tx.get(events, [entry]);
  const head = room === undefined ? undefined : tx.get(heads, [room]);
  if (read === undefined || room === undefined || entry === undefined || !row || !head) return;
  tx.put(heads, [room], { ...head, revision: record.revision });
  tx.put(partials, [room], { roomId: read.roomId, entry: read.eventId, place: head.latest, via: read.via });
  for (const server of read.servers) {
    if (Buffer.byteLength(server) > MAX_SERVER_NAME_BYTES || tx.has(roomServers, [room, server])) continue;
    tx.put(roomServers, [room, server], 0);
    tx.put(serverRooms, [server, room], true);
  }
}

/** Applies a `room.event_held` record. */
export function applyEventHeld(tx: Writer, record: LogRecord): void {
  const read = readEventHeld(record);
  const room = read && tx.get(roomIds, [read.roomId]);
  const event = read && tx.get(eventIds, eventIdKey(read.eventId));
  const head = room === undefined ? undefined : tx.get(heads, [room]);
  if (room === undefined || event === undefined || head === undefined) return;
  tx.put(heads, [room], { ...head, revision: record.revision });
  tx.put(heldEvents, [room, event], true);
}

/** Applies a `room.members_told` record: all that followed the entry gets its state. */
export function applyMembersTold(tx: Writer, record: LogRecord): void {
  const read = readMembersTold(record);
  const room = read && tx.get(roomIds, [read.roomId]);
  const partial = room === undefined ? undefined : tx.get(partials, [room]);
  const head = room === undefined ? undefined : tx.get(heads, [room]);
  if (read === undefined || room === undefined || partial === undefined || head === undefined) return;
  const last = tx.get(events, [tx.get(timeline, [room, head.latest]) ?? head.latest]);
  settleStates(tx, room, partial.place, head.stateVersion, read.replaced);
  tx.put(heads, [room], { ...head, revision: record.revision });
  const from = last === undefined ? head.stateVersion : versionAfter(last);
  tx.put(settledStates, [room, record.position], { from, to: head.stateVersion });
  tx.put(settledPlaces, [record.position], room);
  forgetPartial(tx, room);
  tx.touch(`room:${read.roomId}`);
}

/** The server comes into a room anew, or knows all its members: nothing of what it did not know counts any more. */
export function forgetPartial(tx: Writer, room: Position): void {
  if (!tx.has(partials, [room])) return;
  tx.remove(partials, [room]);
  const strangers: string[] = [];
  for (const { key, value } of tx.range(roomServers, { prefix: [room] })) if (value === 0) strangers.push(key[1]);
  for (const server of strangers) {
    tx.remove(roomServers, [room, server]);
    tx.remove(serverRooms, [server, room]);
  }
}

/**
 * The states around the events since the entry. On the main line each of them came before the members did; now each state is the
 * newest one without what came after it, so that it has all members.
 *
 * @param replaced the events of the state before the entry whose keys had other events when the members came.
 */
function settleStates(
  tx: Writer,
  room: Position,
  entryPlace: Position,
  version: number,
  replaced: readonly Position[],
): void {
  const before = new Map<string, Position>();
  for (const position of replaced) {
    const row = knownEventAt(tx, position)?.row;
    if (row?.stateKey !== undefined && row.room === room) before.set(keyOf(row.type, row.stateKey), position);
  }
  const newest: StateRef = { branch: MAIN_LINE, version };
  const undone = new Map<string, StateChange>();
  let state = newest;
  const positions = Array.from(
    tx.range(timeline, { prefix: [room], gte: [room, entryPlace] }),
    ({ value }) => value,
  ).reverse();
  for (const position of positions) {
    const row = tx.get(events, [position]);
    if (row === undefined) continue;
    const after = state;
    let { replaces } = row;
    if (row.stateKey !== undefined) {
      const { type, stateKey } = row;
      replaces ??= before.get(keyOf(type, stateKey));
      undone.set(keyOf(type, stateKey), { type, stateKey, event: replaces });
      state = extendState(tx, room, newest, [...undone.values()]);
    }
    const fork = { ...row.fork, before: state, after, versionAfter: versionAfter(row) };
    tx.put(events, [position], { ...row, fork, ...(replaces !== undefined && { replaces }) });
  }
}

/** A map key for a pair of event type and state key; the length keeps pairs apart whatever characters they hold. */
function keyOf(type: string, stateKey: string): string {
  return `${type.length}:${type}${stateKey}`;
}
