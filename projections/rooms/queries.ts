/** What the rooms projection can be asked. All of it reads the committed frontier of the given reader, synchronously. */

import type { Reader } from '#projections/engine/reader.ts';
import type { RangeOptions } from '#projections/engine/table.ts';
import type { AuthEvent } from '#protocol/auth/types.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Position } from '#streams/event-log.ts';
import { contentOf } from './event-content.ts';
import { type EventRow, versionAfter } from './event-row.ts';
import { eventIdKey } from './keys.ts';
import { differenceBetween, MAIN_LINE, NO_EVENT, type StateKey } from './state/index.ts';
import {
  awaitedEvents,
  eventIds,
  events,
  heads,
  lateEvents,
  type MembershipRow,
  members,
  type RoomHeadRow,
  type RoomRow,
  referenceHashes,
  relayedEvents,
  roomIds,
  roomServers,
  rooms,
  type SettledStateRow,
  serverRooms,
  settledPlaces,
  settledStates,
  state,
  strippedStates,
  timeline,
  topology,
  type UserRoomRow,
  userRooms,
  withheld,
} from './tables.ts';

/** No id is longer; what is cannot be looked up. Source: appendices, "Common Identifier Format". */
const MAX_ID_CHARACTERS = 255;

/** A room with its internal id. */
export interface Room extends RoomRow {
  readonly id: Position;
}

/** An event with its internal id: its position in the log. */
export interface Event extends EventRow {
  readonly position: Position;
}

/** A room of a user. */
export interface UserRoom extends UserRoomRow {
  readonly room: Position;
}

/** The room with this room id, if the server takes part in it. */
export function findRoom(reader: Reader, roomId: string): Room | undefined {
  const id = roomId.length > MAX_ID_CHARACTERS ? undefined : reader.get(roomIds, [roomId]);
  return id === undefined ? undefined : roomById(reader, id);
}

/** The room with this internal id. */
export function roomById(reader: Reader, id: Position): Room | undefined {
  const row = reader.get(rooms, [id]);
  return row && { id, ...row };
}

/** Where a room stands: revision, extremities, version of its current state, member counts. */
export function headOf(reader: Reader, room: Position): RoomHeadRow | undefined {
  return reader.get(heads, [room]);
}

/**
 * The event at a position: one that is shown, or else one that is only part of a state or an invite. Never one that was
 * rejected. What a client names is looked up with {@link eventById}.
 */
export function eventAt(reader: Reader, position: Position): Event | undefined {
  const row = reader.get(events, [position]) ?? stateRowAside(reader, position);
  return row && { position, ...row };
}

function stateRowAside(reader: Reader, position: Position): EventRow | undefined {
  const row = reader.get(withheld, [position]);
  return row?.disposition === 'rejected' ? undefined : row;
}

/**
 * The events of all rooms that came onto a timeline after a position, each with its place there: first those that were new
 * with their own record, in that order, then those that came later than it, in the order of their places.
 */
export function* eventsSince(
  reader: Reader,
  since: Position,
): Generator<{ readonly place: Position; readonly event: Event }> {
  const bounds = since < 0 ? {} : { gt: [since] as [Position] };
  for (const { key, value } of reader.range(events, bounds)) {
    // What came later than its own position is not new there; what is history is new nowhere.
    if (isOnTimelineAt(reader, value, key[0])) yield { place: key[0], event: { position: key[0], ...value } };
  }
  for (const { key, value } of reader.range(lateEvents, bounds)) {
    const event = eventAt(reader, value);
    if (event !== undefined) yield { place: key[0], event };
  }
}

function isOnTimelineAt(reader: Reader, { fork, room }: EventRow, position: Position): boolean {
  return fork === undefined || reader.has(timeline, [room, position]);
}

/** Position of an event by its id. */
export function positionOfEvent(reader: Reader, eventId: string): Position | undefined {
  return eventId.length > MAX_ID_CHARACTERS ? undefined : reader.get(eventIds, eventIdKey(eventId));
}

/** Reference hash of an event in URL-safe base64; kept for the events of the room versions that name events with it (1 and 2). */
export function referenceHashOf(reader: Reader, eventId: string): string | undefined {
  const position = positionOfEvent(reader, eventId);
  return position === undefined ? undefined : reader.get(referenceHashes, [position])?.toString('base64url');
}

/** An event that is shown, by its id. */
export function eventById(reader: Reader, eventId: string): Event | undefined {
  const position = positionOfEvent(reader, eventId);
  const row = position === undefined ? undefined : reader.get(events, [position]);
  return position === undefined || row === undefined ? undefined : { position, ...row };
}

/** Position of the state event of a key, now or at a version of the room's state (its n-th change included). */
export function stateEventPosition(
  reader: Reader,
  room: Position,
  type: string,
  stateKey: string,
  version?: number,
): Position | undefined {
  const row =
    version === undefined
      ? reader.seekLast(state, [room, type, stateKey])
      : reader.seekLast(state, [room, type, stateKey], [room, type, stateKey, version]);
  return row === undefined || row.value === NO_EVENT ? undefined : row.value;
}

/** The state event of a key, now or at a version of the room's state. */
export function stateEvent(
  reader: Reader,
  room: Position,
  type: string,
  stateKey: string,
  version?: number,
): Event | undefined {
  const position = stateEventPosition(reader, room, type, stateKey, version);
  return position === undefined ? undefined : eventAt(reader, position);
}

/** Parsed content of a state event, now or at a version. */
export function stateContent(
  reader: Reader,
  room: Position,
  type: string,
  stateKey = '',
  version?: number,
): JsonObject | undefined {
  const event = stateEvent(reader, room, type, stateKey, version);
  return event && (parseJson(event.contentJson) as JsonObject);
}

/** The state keys that a type has, or had, in order: for what is too much to be read in one turn. */
export function stateKeysOfType(reader: Reader, room: Position, type: string): string[] {
  const stateKeys: string[] = [];
  for (const [, , stateKey] of reader.keys(state, { prefix: [room, type] })) {
    if (stateKey !== stateKeys.at(-1)) stateKeys.push(stateKey);
  }
  return stateKeys;
}

/** The current state events of a type, in order of state keys. */
export function* stateEventsOfType(reader: Reader, room: Position, type: string): Generator<Event> {
  let last: string | undefined;
  for (const [, , stateKey] of reader.keys(state, { prefix: [room, type] })) {
    if (stateKey === last) continue;
    last = stateKey;
    const event = stateEvent(reader, room, type, stateKey);
    if (event) yield event;
  }
}

/** For how long a state event had its place: from its version on, until the version that replaced it. */
export interface StateSpan {
  /** Undefined where the key had no event yet. */
  readonly position: Position | undefined;
  /** First version of the room's state that it is in; 0 if there was no event. */
  readonly from: number;
  /** First version that it is not in any more; Infinity if it still stands. */
  readonly until: number;
}

/** The state event of a key at a version of the room's state, with the span of versions in which it stands. */
export function stateSpan(reader: Reader, room: Position, type: string, stateKey: string, version: number): StateSpan {
  const prefix: [number, string, string] = [room, type, stateKey];
  const at: [number, string, string, number] = [room, type, stateKey, version];
  const row = reader.seekLast(state, prefix, at);
  let until = Number.POSITIVE_INFINITY;
  for (const key of reader.keys(state, { prefix, gt: at, limit: 1 })) until = key[3];
  return { position: row?.value === NO_EVENT ? undefined : row?.value, from: row?.key[3] ?? 0, until };
}

/** The events that have had the place of a key, with the version that each made, the newest first. */
export function* stateHistoryBackwards(
  reader: Reader,
  room: Position,
  type: string,
  stateKey: string,
): Generator<{ readonly version: number; readonly position: Position }> {
  for (const { key, value } of reader.range(state, { prefix: [room, type, stateKey], reverse: true })) {
    if (value !== NO_EVENT) yield { version: key[3], position: value };
  }
}

/** The keys whose event is another one in a later version of the room's state than in an earlier one. */
export function stateKeysChangedBetween(reader: Reader, room: Position, after: number, upTo: number): StateKey[] {
  return differenceBetween(reader, room, [
    { branch: MAIN_LINE, version: after },
    { branch: MAIN_LINE, version: upTo },
  ]);
}

/**
 * Version of the room's state as it was when the log was at a position: the number of changes at or before it. Members that became
 * known without an event belong to it from then on.
 */
export function stateVersionAt(reader: Reader, room: Position, position: Position): number {
  const upTo = Math.max(position, 0);
  const place = reader.seekLast(timeline, [room], [room, upTo]);
  const event = place && reader.get(events, [place.value]);
  const settled = reader.seekLast(settledStates, [room], [room, upTo]);
  if (settled !== undefined && settled.key[1] > (place?.key[1] ?? -1)) return settled.value.to;
  return event === undefined ? 0 : versionAfter(event);
}

/** What became known of a room without an event after a position, up to another: the versions of its state that it made. */
export function settledBetween(
  reader: Reader,
  room: Position,
  after: Position,
  upTo: Position,
): SettledStateRow | undefined {
  const settled = upTo < 0 ? undefined : reader.seekLast(settledStates, [room], [room, upTo]);
  return settled !== undefined && settled.key[1] > after ? settled.value : undefined;
}

/** The rooms of which something became known without an event after a position, and when. */
export function* settledSince(
  reader: Reader,
  since: Position,
): Generator<{ readonly place: Position; readonly room: Position }> {
  for (const { key, value } of reader.range(settledPlaces, since < 0 ? {} : { gt: [since] })) {
    yield { place: key[0], room: value };
  }
}

/** A user's present standing in a room. */
export function memberOf(reader: Reader, room: Position, userId: string): MembershipRow | undefined {
  return reader.get(members, [room, userId]);
}

/** A user's present membership; undefined for somebody who never was in the room. */
export function membershipOf(reader: Reader, room: Position, userId: string): string | undefined {
  return memberOf(reader, room, userId)?.membership;
}

/** Everybody who has a membership, in order of user id; or a page of them, those behind a user. */
export function* membersOf(
  reader: Reader,
  room: Position,
  page: { readonly after?: string | undefined; readonly limit?: number } = {},
): Generator<MembershipRow & { readonly userId: string }> {
  const { after, limit } = page;
  const bounds = {
    ...(after !== undefined && { gt: [room, after] as const }),
    ...(limit !== undefined && { limit }),
  };
  for (const { key, value } of reader.range(members, { prefix: [room], ...bounds })) yield { userId: key[1], ...value };
}

/** User ids of a page of those who have a membership, in order, after one of them: for rooms that are read in several turns. */
export function memberIdsAfter(reader: Reader, room: Position, after: string | undefined, limit: number): string[] {
  const from = after === undefined ? {} : { gt: [room, after] as [Position, string] };
  return Array.from(reader.keys(members, { prefix: [room], ...from, limit }), ([, userId]) => userId);
}

/** User ids of the joined members. */
export function* joinedMembers(reader: Reader, room: Position): Generator<string> {
  for (const { userId, membership } of membersOf(reader, room)) if (membership === 'join') yield userId;
}

/** Names of the servers that have joined members in a room, in their order. */
export function* serversIn(reader: Reader, room: Position): Generator<string> {
  for (const [, server] of reader.keys(roomServers, { prefix: [room] })) yield server;
}

/** Servers that have joined members in a room, with how many; those with the most first, of the first so many by name. */
export function serversBySize(reader: Reader, room: Position, limit: number): readonly string[] {
  const counted = Array.from(reader.range(roomServers, { prefix: [room], limit }), ({ key, value }) => ({
    server: key[1],
    joined: value,
  }));
  return counted.sort((one, other) => other.joined - one.joined).map(({ server }) => server);
}

/** How many joined members a server has in a room. */
export function serverMemberCount(reader: Reader, room: Position, serverName: string): number {
  return reader.get(roomServers, [room, serverName]) ?? 0;
}

/** Names of all servers that have joined members in some room, in their order. */
export function* knownServers(reader: Reader): Generator<string> {
  let last: string | undefined;
  for (const [server] of reader.keys(serverRooms)) {
    if (server !== last) yield server;
    last = server;
  }
}

/** Whether any server but this one has joined members in some room. */
export function hasOtherServers(reader: Reader, serverName: string): boolean {
  const { frontier } = reader;
  const last = lastLook;
  if (last?.reader === reader && last.frontier === frontier && last.serverName === serverName) return last.answer;
  const answer = findOtherServers(reader, serverName);
  lastLook = { reader, frontier, serverName, answer };
  return answer;
}

/** The last answer: with each commit several ask the same. Of one reader at one moment there is one answer. */
let lastLook:
  | { readonly reader: Reader; readonly frontier: Position; readonly serverName: string; readonly answer: boolean }
  | undefined;

function findOtherServers(reader: Reader, serverName: string): boolean {
  for (const [server] of reader.keys(serverRooms, { limit: 1 })) if (server !== serverName) return true;
  for (const _ of reader.keys(serverRooms, { gt: [serverName], limit: 1 })) return true;
  return false;
}

/** The backward extremities of a room: events that are shown follow these, which nobody has sent. */
export function* awaitedEventsOf(
  reader: Reader,
  room: Position,
): Generator<{ readonly eventId: string; readonly follower: Position }> {
  for (const { key, value } of reader.range(awaitedEvents, { prefix: [room] })) {
    if (value.follower !== undefined) yield { eventId: key[1], follower: value.follower };
  }
}

/** Whether this server has to send an event of another one to the servers in its room. */
export function isRelayed(reader: Reader, event: Position): boolean {
  return reader.has(relayedEvents, [event]);
}

/** Whether a server has joined members in a room. */
export function isServerIn(reader: Reader, room: Position, serverName: string): boolean {
  return reader.has(roomServers, [room, serverName]);
}

/** Internal ids of the rooms in which a server has joined members. */
export function* roomsOfServer(reader: Reader, serverName: string): Generator<Position> {
  for (const [, room] of reader.keys(serverRooms, { prefix: [serverName] })) yield room;
}

/** A user's rooms, forgotten ones included, in order of internal id. */
export function* roomsOf(reader: Reader, userId: string): Generator<UserRoom> {
  for (const { key, value } of reader.range(userRooms, { prefix: [userId] })) yield { room: key[1], ...value };
}

/**
 * JSON text of a list of stripped events: what another server told a local user of a room in which this one was not when they
 * were invited.
 */
export function strippedStateOf(reader: Reader, room: Position, userId: string): string | undefined {
  return reader.get(strippedStates, [room, userId]);
}

/** A room from a user's point of view. */
export function userRoomOf(reader: Reader, userId: string, room: Position): UserRoomRow | undefined {
  return reader.get(userRooms, [userId, room]);
}

/** Positions of events on the timeline after one place and up to another, newest first, at most `limit`. */
export function* timelineBackwards(
  reader: Reader,
  room: Position,
  after: Position,
  upTo: Position,
): Generator<{ readonly place: Position; readonly position: Position }> {
  if (upTo < 0) return;
  const options: RangeOptions<readonly [number, number]> = {
    prefix: [room],
    lte: [room, upTo],
    reverse: true,
    ...(after >= 0 && { gt: [room, after] }),
  };
  for (const { key, value } of reader.range(timeline, options)) yield { place: key[1], position: value };
}

/** A place in the topological order of a room: before or after events, never on one. */
export interface TopologicalPlace {
  readonly depth: number;
  /** Position of the event that the place is just after. */
  readonly position: Position;
}

/** Positions of events in topological order, from just after a place on, or from just before it backwards. */
export function* topologicalRange(
  reader: Reader,
  room: Position,
  from: TopologicalPlace,
  direction: 'f' | 'b',
): Generator<TopologicalPlace> {
  if (from.depth < 0 && direction === 'b') return;
  const at: [number, number, number] = [room, Math.max(from.depth, 0), Math.max(from.position, 0)];
  const bounds = direction === 'b' ? { lte: at, reverse: true } : from.depth < 0 ? {} : { gt: at };
  const rows: Iterable<readonly [number, number, number]> = reader.keys(topology, { prefix: [room], ...bounds });
  for (const [, depth, position] of rows) yield { depth, position };
}

/** A state event in the narrow view that authorisation needs. */
export function authEventAt(reader: Reader, position: Position): AuthEvent | undefined {
  const event = eventAt(reader, position);
  if (event?.stateKey === undefined) return undefined;
  return {
    eventId: event.eventId,
    type: event.type,
    stateKey: event.stateKey,
    sender: event.sender,
    content: contentOf(event),
  };
}

/** Ids of the rooms that a user is in. */
export function* joinedRoomIds(reader: Reader, userId: string): Generator<string> {
  for (const { room, membership } of roomsOf(reader, userId)) {
    const row = membership === 'join' ? reader.get(rooms, [room]) : undefined;
    if (row !== undefined) yield row.roomId;
  }
}
