/** One look at everything that may be new for a user, and the answer that says so. */
import type { AccountDataEntry } from '#projections/account-data/queries.ts';
import { findRoom, type Room, roomById, roomsOf, userRoomOf } from '#projections/rooms/queries.ts';
import type { UserRoomRow } from '#projections/rooms/tables.ts';
import { accountDataForFirstSync, accountDataForSync } from '#src/client-api/account-data/entries.ts';
import type { Typing } from '#src/ephemeral/typing.ts';
import type { Position } from '#streams/event-log.ts';
import { type DeviceMessages, deviceListsText, keyCountsText } from './device-news.ts';
import { strippedRoom } from './invited-room.ts';
import { accountDataJson, joinedRoom } from './joined-room.ts';
import type { JoinedRoom } from './joined-rooms.ts';
import { leftRoom } from './left-room.ts';
import type { RecentChanges } from './recent-changes.ts';
import { recountedRooms } from './recounted-rooms.ts';
import type { SyncRun } from './run.ts';
import type { SyncToken } from './tokens.ts';

export interface Answer {
  /** JSON text of the whole response. */
  readonly json: string;
  /** Whether it says nothing but where to go on. */
  readonly isEmpty: boolean;
  /** What the client has seen with it. */
  readonly next: SyncToken;
}

/** What a client knows of who is typing. */
export interface TypingSince {
  readonly serial: number;
  /** Whether the serial is of this run of the server. */
  readonly isCurrent: boolean;
}

export interface LookOptions {
  readonly next: SyncToken;
  /** `next` as text. */
  readonly nextBatch: string;
  readonly typing: Typing;
  /** What the client knows of who is typing, and whether that is from this run of the server; undefined for a new client. */
  readonly typingSince: TypingSince | undefined;
  /** Rooms in which somebody's typing may be news: those that the user is in, or none. */
  readonly typingRooms: readonly JoinedRoom[];
  readonly recent: RecentChanges;
  /** Messages to the device. */
  readonly messages: DeviceMessages;
  /** JSON texts of presence events. */
  readonly presence: readonly string[];
}

type Section = 'invite' | 'join' | 'knock' | 'leave';

/** A room that may have news. */
interface Candidate {
  readonly row: UserRoomRow;
  typing?: readonly string[];
  /** An invite that the client may have been kept from, though it is not new. */
  isOfferedAgain?: boolean;
}

/** Account data that keeps invites from their user. */
const INVITE_GATES: ReadonlySet<string> = new Set(['m.ignored_user_list', 'm.invite_permission_config']);

/** What is new after `run.since`, up to `run.upTo`. */
export async function lookForNews(run: SyncRun, options: LookOptions): Promise<Answer> {
  // All that decides which rooms are looked at is read before the first pause, so it is of one moment.
  const accountData = accountDataOf(run);
  const candidates = candidatesOf(run, options, accountData);
  const deviceLists = await deviceListsText(run, options.recent);
  const sections: Record<Section, string[]> = { invite: [], join: [], knock: [], leave: [] };
  for (const [id, candidate] of candidates) {
    if (run.pacer.isDue) await run.pacer.pause();
    const room = isOver(run, candidate.row) ? undefined : roomById(run.reader, id);
    if (room === undefined || !run.filter.room.matchesRoom(room.roomId)) continue;
    const found = await roomNews(run, room, candidate, accountData.byRoom.get(room.roomId) ?? []);
    if (found !== undefined) sections[found.section].push(`${JSON.stringify(room.roomId)}:${found.json}`);
  }
  const parts = Object.entries(sections).filter(([, rooms]) => rooms.length > 0);
  const { events: messages } = options.messages;
  const { presence } = options;
  const isEmpty =
    parts.length === 0 &&
    accountData.global.length === 0 &&
    messages.length === 0 &&
    presence.length === 0 &&
    deviceLists === undefined;
  let json = '{';
  if (accountData.global.length > 0) json += `"account_data":{"events":[${accountData.global.join(',')}]},`;
  if (deviceLists !== undefined) json += `"device_lists":${deviceLists},`;
  json += `${keyCountsText(run.reader, run.viewer)},"next_batch":"${options.nextBatch}"`;
  if (presence.length > 0) json += `,"presence":{"events":[${presence.join(',')}]}`;
  if (parts.length > 0) {
    json += `,"rooms":{${parts.map(([section, rooms]) => `"${section}":{${rooms.join(',')}}`).join(',')}}`;
  }
  if (messages.length > 0) json += `,"to_device":{"events":[${messages.join(',')}]}`;
  return { json: `${json}}`, isEmpty, next: options.next };
}

/** A forgotten room is told of only to a device that does not know yet that it was left. */
function isOver({ isInitial, since }: SyncRun, row: UserRoomRow): boolean {
  return row.forgotten && (isInitial || row.since <= since);
}

/** The rooms to look into, by internal id. */
function candidatesOf(run: SyncRun, options: LookOptions, accountData: AccountData): Map<Position, Candidate> {
  const { reader, viewer } = run;
  const candidates = new Map<Position, Candidate>();
  const changed = run.isInitial || run.isFullState ? undefined : options.recent.roomsSince(reader, run.since);
  if (changed === undefined) {
    for (const { room, ...row } of roomsOf(reader, viewer.userId)) candidates.set(room, { row });
  } else {
    for (const room of changed) addCandidate(run, room, candidates);
    for (const room of recountedRooms(reader, viewer.userId, run.since, run.upTo)) addCandidate(run, room, candidates);
  }
  if (accountData.opensInvites) {
    for (const { room, ...row } of roomsOf(reader, viewer.userId)) {
      if (row.membership === 'invite') candidates.set(room, { row, isOfferedAgain: true });
    }
  }
  for (const roomId of accountData.byRoom.keys()) {
    const room = findRoom(reader, roomId);
    if (room !== undefined) addCandidate(run, room.id, candidates);
  }
  for (const { id, roomId } of options.typingRooms) {
    const typing = typingNews(options, roomId);
    if (typing === undefined) continue;
    const candidate = addCandidate(run, id, candidates);
    if (candidate !== undefined) candidate.typing = typing;
  }
  return candidates;
}

function addCandidate(run: SyncRun, room: Position, candidates: Map<Position, Candidate>): Candidate | undefined {
  const known = candidates.get(room);
  const row = known ? undefined : userRoomOf(run.reader, run.viewer.userId, room);
  if (row === undefined) return known;
  const candidate: Candidate = { row };
  candidates.set(room, candidate);
  return candidate;
}

/** Whether a client that knows so much may have to be told of somebody's typing, somewhere. */
export function mayHaveTyping(serial: number, since: TypingSince | undefined): boolean {
  return since?.isCurrent === true ? serial > since.serial : serial > 0 || (since?.serial ?? 0) > 0;
}

/** Who is typing in a room, if the client has to be told. */
function typingNews({ typing, typingSince }: LookOptions, roomId: string): readonly string[] | undefined {
  if (typingSince?.isCurrent === true) return typing.typingSince(roomId, typingSince.serial);
  // Of a room in which somebody typed lately a new client hears, too, that nobody does any more.
  if (typingSince === undefined) return typing.lately(roomId);
  const users = typing.usersIn(roomId);
  // Whom the last run of the server saw typing is not known any more: the client is told who types in each room now.
  return users.length > 0 || typingSince.serial > 0 ? users : undefined;
}

async function roomNews(
  run: SyncRun,
  room: Room,
  { row, typing, isOfferedAgain = false }: Candidate,
  accountData: readonly AccountDataEntry[],
): Promise<{ readonly section: Section; readonly json: string } | undefined> {
  const isNew = run.isInitial || run.isFullState || row.since > run.since || isOfferedAgain;
  let section: Section;
  let json: string | undefined;
  switch (row.membership) {
    case 'join':
      section = 'join';
      json = await joinedRoom(run, room, row, { accountData, typing });
      break;
    case 'invite':
    case 'knock':
      section = row.membership;
      json = isNew ? strippedRoom(run, room, `${row.membership}_state`, row.event) : undefined;
      break;
    default:
      section = 'leave';
      json = isShownAsLeft(run, row) ? await leftRoom(run, room, row, accountData) : undefined;
  }
  return json === undefined ? undefined : { section, json };
}

/** A room is shown as left when that is news; earlier ones only to clients that ask for them, with everything else. */
function isShownAsLeft(run: SyncRun, row: UserRoomRow): boolean {
  if (!run.isInitial && row.since > run.since) return true;
  return run.filter.room.includeLeave && (run.isInitial || run.isFullState);
}

interface AccountData {
  /** JSON texts of what is of no room. */
  readonly global: readonly string[];
  readonly byRoom: ReadonlyMap<string, readonly AccountDataEntry[]>;
  /** Whether invites may be shown now that were not before. Source: client-server API, "Ignoring Users". */
  readonly opensInvites: boolean;
}

function accountDataOf(run: SyncRun): AccountData {
  const { reader, viewer, filter } = run;
  const global: string[] = [];
  const byRoom = new Map<string, AccountDataEntry[]>();
  let opensInvites = false;
  const entries = run.isInitial
    ? accountDataForFirstSync(reader, viewer.userId)
    : accountDataForSync(reader, viewer.userId, run.since);
  for (const entry of entries) {
    const { roomId, type, contentJson } = entry;
    if (roomId === undefined) {
      if (!run.isInitial && INVITE_GATES.has(type)) opensInvites = true;
      if (filter.accountData.matchesTypeAndSender(type, undefined)) global.push(accountDataJson(type, contentJson));
      continue;
    }
    // A new client gets the data of each room with the room.
    if (run.isInitial) break;
    const known = byRoom.get(roomId);
    if (known === undefined) byRoom.set(roomId, [entry]);
    else known.push(entry);
  }
  return { global, byRoom, opensInvites };
}
