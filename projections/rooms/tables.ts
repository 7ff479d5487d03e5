/** The tables of the rooms projection. A room's internal id is the log position of its create event; an event's is its own. */
import {
  type AnyTable,
  bytes,
  defineTable,
  empty,
  msgpack,
  raw,
  str,
  tuple,
  u32,
  u48,
} from '#projections/engine/table.ts';
import { authChainTables } from './auth-chains/tables.ts';
import { bareRow } from './event-content.ts';
import { type EventRow, eventRow } from './event-row.ts';
import type { Disposition } from './pdu-record.ts';
import { stateTables } from './state/tables.ts';

/** What never changes about a room. */
export interface RoomRow {
  readonly roomId: string;
  readonly version: string;
  /** The room's stream in the log. */
  readonly stream: string;
}

/** What each event of a room moves. */
export interface RoomHeadRow {
  /** Last revision of the room's stream. */
  readonly revision: number;
  /** Greatest depth of any event. */
  readonly depth: number;
  /** Event ids that no accepted event follows yet: the forward extremities, in the order in which they came. */
  readonly extremities: readonly string[];
  /** How often the room's state has changed: the version of the current state. */
  readonly stateVersion: number;
  /** Position of the last event on the timeline. */
  readonly latest: number;
  readonly joined: number;
  readonly invited: number;
}

/** Where the state of a room stands that the server is about to come into. */
export type TakenStateRow = Pick<RoomHeadRow, 'stateVersion' | 'joined' | 'invited'>;

/** A room of which the server does not know all members yet. */
export interface PartialRoomRow {
  readonly roomId: string;
  /** Id of the event by which the server came in. */
  readonly entry: string;
  /** Where that is on the timeline. */
  readonly place: number;
  /** The server that let it in. */
  readonly via: string;
}

/** What of the main line was told after the events that come before it on the timeline: the versions after one, up to another. */
export interface SettledStateRow {
  readonly from: number;
  readonly to: number;
}

/** Somebody's present standing in a room. */
export interface MembershipRow {
  readonly membership: string;
  /** The member event that says so. */
  readonly event: number;
}

/** A room from one user's point of view. */
export interface UserRoomRow {
  readonly membership: string;
  /** The member event that says so. */
  readonly event: number;
  /** Position of the record that made it so: that of the event, or of a later one that decided between forks. */
  readonly since: number;
  /** Left, and taken out of the user's history. */
  readonly forgotten: boolean;
}

/** An event that is known and not shown: see {@link Disposition}. */
export interface WithheldRow extends EventRow {
  readonly disposition: Disposition;
  /** Why: the rule and a sentence. */
  readonly reason?: string;
  readonly prevEventIds: readonly string[];
  /** As the event names them, and the create event where the room version implies it. */
  readonly authEventIds: readonly string[];
}

/** An event that has not come, by those that name it. */
export interface AwaitedRow {
  /** The first event that is shown and follows it; undefined if none does. */
  readonly follower?: number;
  /** Redactions that wait for it. */
  readonly redactions?: readonly number[];
}

export const rooms = defineTable({
  name: 'rooms.rooms',
  key: tuple<[room: number]>(u48),
  value: msgpack<RoomRow>(),
  why: 'What never changes about a room is apart from its head, so that an event rewrites a small row.',
});

export const roomIds = defineTable({
  name: 'rooms.room-ids',
  key: tuple<[roomId: string]>(str),
  value: u48,
  why: 'Requests name rooms by room id; every other table by the short internal id.',
  habit: 'rewritten',
});

export const heads = defineTable({
  name: 'rooms.heads',
  key: tuple<[room: number]>(u48),
  value: msgpack<RoomHeadRow>(),
  why: 'All that the next event and the first look of a sync need, in one row.',
  habit: 'rewritten',
});

export const events = defineTable({
  name: 'rooms.events',
  key: tuple<[event: number]>(u48),
  value: eventRow,
  why: 'Keyed by log position, so rows are written at the end, pages stay full, and a timeline reads neighbours.',
  habit: 'reread',
  hide: ([position], row, { positions }) => (positions.has(position) ? bareRow(row) : row),
});

export const eventIds = defineTable({
  name: 'rooms.event-ids',
  key: tuple<[eventId: Uint8Array]>(raw),
  value: u48,
  why: 'Event ids are hashes: stored as bytes they take 33 and not 46.',
});

export const referenceHashes = defineTable({
  name: 'rooms.reference-hashes',
  key: tuple<[event: number]>(u48),
  value: raw,
  why: 'Room versions 1 and 2 name events with their hashes, which their ids do not hold; in other rooms it has no rows.',
});

export const withheld = defineTable({
  name: 'rooms.withheld',
  key: tuple<[event: number]>(u48),
  value: msgpack<WithheldRow>(),
  why: 'Apart from the events that people see, so that no reader has to remember to leave them out.',
  hide: ([position], row, { positions }) => (positions.has(position) ? bareRow(row) : row),
});

export const awaitedEvents = defineTable({
  name: 'rooms.awaited-events',
  key: tuple<[room: number, eventId: string]>(u48, str),
  value: msgpack<AwaitedRow>(),
  why: 'What others name and nobody has sent yet: the backward extremities of the room, and targets of redactions.',
});

export const lateEvents = defineTable({
  name: 'rooms.late-events',
  key: tuple<[place: number]>(u48),
  value: u48,
  why: 'What is new with another record than its own, or is on no timeline, such as invites from elsewhere: so that it is found.',
});

export const purgedEvents = defineTable({
  name: 'rooms.purged-events',
  key: tuple<[room: number, depth: number, event: number]>(u48, u48, u48),
  value: empty,
  why: 'What a purge of history took off the timeline, the deepest last: other servers may be asked for it again.',
});

export const givenStates = defineTable({
  name: 'rooms.given-states',
  key: tuple<[room: number, eventId: string, part: number]>(u48, str, u32),
  value: msgpack<readonly number[]>(),
  why: 'What a peer said the state before an event is, from the record that says so to that of the event.',
});

export const takenStates = defineTable({
  name: 'rooms.taken-states',
  key: tuple<[room: number]>(u48),
  value: msgpack<TakenStateRow>(),
  why: 'What the server takes over of a room comes before the event by which it comes in, and a room without that has no head.',
});

export const partialRooms = defineTable({
  name: 'rooms.partial-rooms',
  key: tuple<[room: number]>(u48),
  value: msgpack<PartialRoomRow>(),
  why: 'The rooms whose members are still asked for, so that a restart goes on with it; most often there is none.',
});

export const heldEvents = defineTable({
  name: 'rooms.held-events',
  key: tuple<[room: number, event: number]>(u48, u48),
  value: empty,
  why: 'What came from others while not all members were known, in the order in which it is judged then.',
});

export const settledStates = defineTable({
  name: 'rooms.settled-states',
  key: tuple<[room: number, place: number]>(u48, u48),
  value: msgpack<SettledStateRow>(),
  why: 'Members that became known without an event on the timeline: from which position on they belong to the state.',
});

export const settledPlaces = defineTable({
  name: 'rooms.settled-places',
  key: tuple<[place: number]>(u48),
  value: u48,
  why: 'The same in the order of the log, with the room: so that a sync finds what is new.',
});

export const strippedStates = defineTable({
  name: 'rooms.stripped-states',
  key: tuple<[room: number, userId: string]>(u48, str),
  value: str,
  why: 'What an invited user may know of a room in which the server is not: JSON text of a list of stripped events.',
  hide: ([, userId], text, { users }) =>
    users.has(userId) || users.values().some((user) => text.includes(JSON.stringify(user))) ? undefined : text,
});

export const timeline = defineTable({
  name: 'rooms.timeline',
  key: tuple<[room: number, place: number]>(u48, u48),
  value: u48,
  why: 'The order in which this server shows a room: the place is the position at which an event came onto the timeline.',
});

export const topology = defineTable({
  name: 'rooms.topology',
  key: tuple<[room: number, depth: number, event: number]>(u48, u48, u48),
  value: empty,
  why: 'The order in which /messages pages: history that arrives late has a late position but its true depth.',
});

export const state = defineTable({
  name: 'rooms.state',
  key: tuple<[room: number, type: string, stateKey: string, version: number]>(u48, str, str, u32),
  value: u48,
  why: 'State as versions: the event of a key at a version is the last row at or before it; one row a change, no snapshots.',
});

export const stateVersions = defineTable({
  name: 'rooms.state-versions',
  key: tuple<[room: number, version: number]>(u48, u32),
  value: u48,
  why: 'The list of changes: the difference of two versions is a range of it; version n is the state after its n-th change.',
});

export const members = defineTable({
  name: 'rooms.members',
  key: tuple<[room: number, userId: string]>(u48, str),
  value: msgpack<MembershipRow>(),
  why: 'Who is in a room now, without reading the versions of each member event.',
});

export const relayedEvents = defineTable({
  name: 'rooms.relayed-events',
  key: tuple<[event: number]>(u48),
  value: empty,
  why: 'Events of others that this server has to send on; all others are sent by the server of their sender.',
});

export const roomServers = defineTable({
  name: 'rooms.servers',
  key: tuple<[room: number, serverName: string]>(u48, str),
  value: u48,
  why: 'How many joined members a server has in a room: who gets its events, without reading the members.',
});

export const serverRooms = defineTable({
  name: 'rooms.server-rooms',
  key: tuple<[serverName: string, room: number]>(str, u48),
  value: empty,
  why: 'The rooms that a server is in: what has to be sent to it after it was away.',
});

export const userRooms = defineTable({
  name: 'rooms.user-rooms',
  key: tuple<[userId: string, room: number]>(str, u48),
  value: msgpack<UserRoomRow>(),
  why: 'A sync begins with the rooms of one user.',
});

export const transactions = defineTable({
  name: 'rooms.transactions',
  key: tuple<[transaction: Uint8Array]>(bytes(16)),
  value: u48,
  why: 'A resend finds its event; the key is a hash of user, device, room, event type and transaction id, so that it is short.',
});

export const roomTables: readonly AnyTable[] = [
  rooms,
  roomIds,
  heads,
  events,
  eventIds,
  referenceHashes,
  withheld,
  awaitedEvents,
  lateEvents,
  purgedEvents,
  givenStates,
  takenStates,
  partialRooms,
  heldEvents,
  settledStates,
  settledPlaces,
  strippedStates,
  timeline,
  topology,
  state,
  stateVersions,
  members,
  relayedEvents,
  roomServers,
  serverRooms,
  userRooms,
  transactions,
  ...stateTables,
  ...authChainTables,
];
