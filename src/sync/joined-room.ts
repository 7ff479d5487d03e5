/** The section of a sync's answer about a room that the user is in. */

import type { AccountDataEntry } from '#projections/account-data/queries.ts';
import { roomAccountData } from '#projections/account-data/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { receiptContentsSince } from '#projections/receipts/queries.ts';
import {
  type Event,
  headOf,
  type Room,
  settledBetween,
  stateEventPosition,
  stateVersionAt,
} from '#projections/rooms/queries.ts';
import type { SettledStateRow } from '#projections/rooms/tables.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { passes } from './filters.ts';
import { hasMember } from './lazy-members.ts';
import {
  addMembers,
  MEMBER_KEY,
  type StateMap,
  type StateSource,
  stateAtVersion,
  stateDelta,
  stateEvents,
  stateKeyOf,
} from './room-state.ts';
import {
  DEFAULT_TIMELINE_LIMIT,
  eventsJson,
  MAX_TIMELINE_LIMIT,
  type RoomRun,
  roomRunOf,
  type SyncRun,
  withBundles,
} from './run.ts';
import { isNamedByMembers, summaryJson } from './summary.ts';
import { chooseTimeline, type Timeline } from './timeline.ts';
import { readShared, unreadJson } from './unread-json.ts';

/** What is new about a room beside its events. */
export interface RoomNews {
  /** The user's account data of the room that was set since; only asked for where the client knows the room. */
  readonly accountData: readonly AccountDataEntry[];
  /** Who is typing, if the client is to be told. */
  readonly typing: readonly string[] | undefined;
}

/** The member event that made the user a member last. */
export interface JoinedAt {
  /** Position of the record that made it so. */
  readonly since: Position;
}

/** JSON text of a joined room; undefined if there is nothing to tell. */
export async function joinedRoom(
  run: SyncRun,
  room: Room,
  joined: JoinedAt,
  news: RoomNews,
): Promise<string | undefined> {
  const roomRun = roomRunOf(run, room);
  const endVersion = versionAt(run, room, run.upTo);
  const isFresh = run.isInitial || (joined.since > run.since && !wasJoined(roomRun));
  const chosen = await timelineOf(roomRun, { after: isFresh ? BEFORE_FIRST : run.since, upTo: run.upTo, endVersion });
  const settled = isFresh ? undefined : settledBetween(run.reader, room.id, run.since, run.upTo);
  const timeline = {
    ...chosen,
    // To a client that goes on with a room it has just come into, there is a gap before it, whatever is in it.
    ...(isFresh && !run.isInitial && { isLimited: true }),
    // Members became known without an event on the timeline.
    ...(settled !== undefined && { isWhole: false, hasHoles: chosen.events.length > 0 }),
  };
  const changes = await changesOf(roomRun, timeline, { endVersion, isFresh, settled });
  const ephemeral = ephemeralEvents(run, room, news, isFresh);
  const accountData = accountDataEvents(run, room, news, isFresh);
  const isQuiet =
    timeline.events.length === 0 &&
    !timeline.isLimited &&
    settled === undefined &&
    changes.events.length === 0 &&
    ephemeral.length === 0 &&
    accountData.length === 0;
  const unread = await run.unread.of(run.reader, room, run.viewer.userId, run.pacer, readShared(run));
  const isUnreadNews = unread.changedAt > run.since;
  if (isQuiet && !isUnreadNews && !isFresh && !run.isFullState) return undefined;

  const stateJson = await eventsJson(roomRun, changes.events);
  return (
    `{"account_data":{"events":[${accountData.join(',')}]},"ephemeral":{"events":[${ephemeral.join(',')}]},` +
    `"${run.stateSection}":{"events":${stateJson}},"summary":${changes.summary ?? '{}'},` +
    `"timeline":${await timelineJson(roomRun, timeline)},` +
    `${unreadJson(unread, run.filter.room.timeline.unreadThreadNotifications)}}`
  );
}

/** JSON text of a `timeline`. */
export async function timelineJson(roomRun: RoomRun, timeline: Timeline): Promise<string> {
  // Who gets every event gets the relations too, and puts them together. Source: "Aggregations of child events".
  const events = await eventsJson(timeline.isLimited ? withBundles(roomRun) : roomRun, timeline.events);
  return `{"events":${events},"limited":${timeline.isLimited},"prev_batch":"${timeline.prevBatch}"}`;
}

/** Version of a room's state at a moment. */
export function versionAt({ reader }: SyncRun, room: Room, position: Position): number {
  const head = headOf(reader, room.id);
  if (head !== undefined && head.latest <= position) return head.stateVersion;
  return stateVersionAt(reader, room.id, position);
}

/** Whether the user was in the room when the client last heard of it. */
export function wasJoined({ run, room, visibility }: RoomRun): boolean {
  return visibility.membershipAtVersion(stateVersionAt(run.reader, room.id, run.since)) === 'join';
}

/** The timeline of a room between two moments, as the filter and the user's rights leave it. */
export async function timelineOf(
  { run, room, visibility }: RoomRun,
  range: { readonly after: Position; readonly upTo: Position; readonly endVersion: number },
): Promise<Timeline> {
  const filter = run.filter.room.timeline;
  const isUnwanted = filter.passesNone || !filter.matchesRoom(room.roomId);
  const timeline = await chooseTimeline({
    reader: run.reader,
    room: room.id,
    ...range,
    ...(isUnwanted && { after: range.upTo }),
    limit: Math.min(filter.limit ?? DEFAULT_TIMELINE_LIMIT, MAX_TIMELINE_LIMIT),
    pacer: run.pacer,
    read: (position) => run.shared.event(run.reader, position),
    accepts: (event) =>
      passes(filter, event, run.reader) &&
      !isIgnored(run, event) &&
      (visibility.canSee(event) || standsAt(run.reader, room, event, range.endVersion)),
  });
  return isUnwanted ? { ...timeline, isWhole: false } : timeline;
}

/**
 * Whether an event is part of the room's state at the end of a timeline. Who may see that state sees the event, too, where it was
 * sent while they could not see the room.
 */
function standsAt(reader: Reader, room: Room, { type, stateKey, position }: Event, version: number): boolean {
  return stateKey !== undefined && stateEventPosition(reader, room.id, type, stateKey, version) === position;
}

/** State events are shown whoever sent them. Source: client-server API, "Ignoring Users". */
export function isIgnored({ ignored }: SyncRun, event: Event): boolean {
  return ignored.size > 0 && event.stateKey === undefined && ignored.has(event.sender);
}

interface Changes {
  /** What goes into `state` or `state_after`. */
  readonly events: readonly Event[];
  /** JSON text; undefined where nothing about it has changed. */
  readonly summary: string | undefined;
}

interface ChangesOptions {
  readonly endVersion: number;
  readonly isFresh: boolean;
  /** Versions of the state in which members became known. */
  readonly settled: SettledStateRow | undefined;
}

async function changesOf(
  roomRun: RoomRun,
  timeline: Timeline,
  { endVersion, isFresh, settled }: ChangesOptions,
): Promise<Changes> {
  const { run, room } = roomRun;
  const filter = run.filter.room.state;
  const source: StateSource = { reader: run.reader, room: room.id, pacer: run.pacer };
  const target = run.stateSection === 'state' ? timeline.startVersion : endVersion;
  const isWhole = isFresh || run.isFullState;
  const positions = isWhole
    ? await stateAtVersion(source, target, !filter.lazyLoadMembers)
    : await changesUpTo(roomRun, source, timeline, target);
  if (timeline.hasHoles && run.stateSection === 'state') await addHidden(source, timeline, endVersion, positions);
  if (settled !== undefined && filter.lazyLoadMembers && !isWhole) await leaveOutMembers(source, settled, positions);

  const tellsSummary = isWhole || settled !== undefined || touchesSummary(timeline, positions);
  const heroes =
    tellsSummary && isNamedByMembers(run.reader, room)
      ? await run.heroes.of(run.reader, room, run.viewer.userId, run.pacer)
      : undefined;
  const isUnwanted = filter.passesNone || !filter.matchesRoom(room.roomId);
  if (filter.lazyLoadMembers && !isUnwanted) {
    const needed = new Set(timeline.events.map((event) => event.sender));
    for (const hero of heroes ?? []) needed.add(hero);
    if (isWhole) needed.add(run.viewer.userId);
    addLazyMembers(roomRun, { source, target, needed, isWhole, isFresh }, positions);
    rememberMembers(roomRun, timeline, positions);
  }
  return {
    events: isUnwanted
      ? []
      : await stateEvents(source, positions.values(), (event) => passes(filter, event, run.reader)),
    summary: tellsSummary ? summaryJson(run.reader, room, heroes) : undefined,
  };
}

/** What came into the state since the client's last answer. */
async function changesUpTo(
  { run, room }: RoomRun,
  source: StateSource,
  timeline: Timeline,
  target: number,
): Promise<StateMap> {
  if (timeline.isWhole && run.stateSection === 'state') return new Map();
  return stateDelta(source, stateVersionAt(run.reader, room.id, run.since), target);
}

/** Members that became known are news to nobody who is sent members when they say something. */
async function leaveOutMembers(source: StateSource, settled: SettledStateRow, positions: StateMap): Promise<void> {
  for (const [key, position] of await stateDelta(source, settled.from, settled.to)) {
    if (key.startsWith(MEMBER_KEY) && positions.get(key) === position) positions.delete(key);
  }
}

/** State events that lie within the timeline, but are not shown in it, and still stand at its end. */
export async function addHidden(
  source: StateSource,
  timeline: Timeline,
  endVersion: number,
  positions: StateMap,
): Promise<void> {
  const shown = new Set(timeline.events.map((event) => event.position));
  for (const [key, position] of await stateDelta(source, timeline.startVersion, endVersion)) {
    if (!shown.has(position)) positions.set(key, position);
  }
}

const NAME_KEY = stateKeyOf('m.room.name', '');
const ALIAS_KEY = stateKeyOf('m.room.canonical_alias', '');

/** Whether the counts or the heroes may have changed. */
function touchesSummary(timeline: Timeline, positions: StateMap): boolean {
  const keys = [...positions.keys()];
  for (const { type, stateKey } of timeline.events) if (stateKey !== undefined) keys.push(stateKeyOf(type, stateKey));
  return keys.some((key) => key.startsWith(MEMBER_KEY) || key === NAME_KEY || key === ALIAS_KEY);
}

interface LazyMembersNeeded {
  readonly source: StateSource;
  readonly target: number;
  readonly needed: Set<string>;
  readonly isWhole: boolean;
  readonly isFresh: boolean;
}

/** Adds the members that the client needs for this answer and does not have. */
function addLazyMembers(
  { run, room }: RoomRun,
  { source, target, needed, isWhole, isFresh }: LazyMembersNeeded,
  positions: StateMap,
): void {
  const sent = run.lazyMembers.of(deviceName(run), room.roomId, isFresh);
  const sendsAll = isWhole || run.filter.room.state.includeRedundantMembers;
  for (const userId of needed) {
    if (positions.has(stateKeyOf('m.room.member', userId))) needed.delete(userId);
    else if (!sendsAll) {
      const event = stateEventPosition(source.reader, source.room, 'm.room.member', userId, target);
      if (event === undefined || hasMember(sent, userId, event, run.since)) needed.delete(userId);
    }
  }
  addMembers(source, target, needed, positions);
}

function rememberMembers({ run, room }: RoomRun, timeline: Timeline, positions: StateMap): void {
  const sent = run.lazyMembers.of(deviceName(run), room.roomId, false);
  for (const [key, event] of positions) {
    if (key.startsWith(MEMBER_KEY)) sent.set(key.slice(MEMBER_KEY.length), { event, inAnswer: run.upTo });
  }
  for (const { type, stateKey, position } of timeline.events) {
    if (type === 'm.room.member' && stateKey !== undefined) sent.set(stateKey, { event: position, inAnswer: run.upTo });
  }
}

function deviceName({ viewer }: SyncRun): string {
  return `${viewer.userId}\0${viewer.deviceKey}`;
}

function ephemeralEvents(run: SyncRun, room: Room, news: RoomNews, isFresh: boolean): string[] {
  const filter = run.filter.room.ephemeral;
  if (filter.passesNone || !filter.matchesRoom(room.roomId)) return [];
  const events: string[] = [];
  if (news.typing !== undefined && filter.matchesTypeAndSender('m.typing', undefined)) {
    const shown = news.typing.filter((userId) => !run.ignored.has(userId));
    events.push(`{"content":{"user_ids":${JSON.stringify(shown)}},"type":"m.typing"}`);
  }
  if (filter.matchesTypeAndSender('m.receipt', undefined)) {
    const since = isFresh ? BEFORE_FIRST : run.since;
    for (const content of receiptContentsSince(run.reader, room.roomId, since, run.viewer.userId, run.ignored)) {
      events.push(`{"content":${JSON.stringify(content)},"type":"m.receipt"}`);
    }
  }
  return events;
}

function accountDataEvents(run: SyncRun, room: Room, news: RoomNews, isFresh: boolean): string[] {
  const filter = run.filter.room.accountData;
  if (filter.passesNone || !filter.matchesRoom(room.roomId)) return [];
  const entries = isFresh ? roomAccountData(run.reader, run.viewer.userId, room.roomId) : news.accountData;
  const events: string[] = [];
  for (const { type, contentJson } of entries) {
    if (filter.matchesTypeAndSender(type, undefined)) events.push(accountDataJson(type, contentJson));
  }
  return events;
}

/** JSON text of an account data event. */
export function accountDataJson(type: string, contentJson: string): string {
  return `{"content":${contentJson},"type":${JSON.stringify(type)}}`;
}
