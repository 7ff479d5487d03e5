/** What one answer tells of one room. Source: MSC4186, `RoomResult`. */
import { type Event, eventAt, headOf, type Room, roomById, stateVersionAt } from '#projections/rooms/queries.ts';
import { departureOf } from '#src/rooms/visibility.ts';
import { strippedRoomEvents } from '#src/sync/invited-room.ts';
import { isIgnored, versionAt } from '#src/sync/joined-room.ts';
import type { LazyMembers } from '#src/sync/lazy-members.ts';
import { eventsJson, type RoomRun, roomRunOf, type SyncRun, withBundles } from '#src/sync/run.ts';
import { chooseTimeline, type Timeline } from '#src/sync/timeline.ts';
import { readShared } from '#src/sync/unread-json.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import type { BumpStamps } from './bump-stamps.ts';
import { type SentRoom, UP_TO_DATE, WHOLE_TIMELINE } from './connection.ts';
import { namingTexts } from './room-naming.ts';
import { requiredStateOf, stateNewsOf } from './room-required-state.ts';
import { isForgotten, type WindowRoom } from './windows.ts';

/** One look at what is new on one connection. */
export interface SlidingRun {
  /** `since` is what the client has seen of rooms that are up to date. */
  readonly base: SyncRun;
  /** Names the connection. */
  readonly connection: string;
  /** Number of the last answer that the client has got, and of the one that is being made. */
  readonly seenAnswer: number;
  readonly answer: number;
  readonly lazyMembers: LazyMembers;
  readonly bumpStamps: BumpStamps;
}

/** A room that the rules reach, and what the client was told of it. */
export interface RoomQuestion {
  readonly window: WindowRoom;
  readonly sent: SentRoom | undefined;
  readonly isDirect: boolean;
}

export interface RoomAnswer {
  /** JSON text; undefined where there is nothing to tell. */
  readonly json: string | undefined;
  readonly sent: SentRoom;
  /** Whether the client is told of the room anew, with all that there is. */
  readonly isInitial: boolean;
  /** Event ids of the timeline. */
  readonly eventIds: readonly string[];
}

/** Undefined for a room that is not to be told of. */
export async function roomAnswer(run: SlidingRun, question: RoomQuestion): Promise<RoomAnswer | undefined> {
  const { row, id } = question.window.room;
  const room = roomById(run.base.reader, id);
  if (room === undefined) return undefined;
  switch (row.membership) {
    case 'join':
      return roomAsMember(run, question, room, {
        upTo: run.base.upTo,
        endVersion: versionAt(run.base, room, run.base.upTo),
      });
    case 'invite':
    case 'knock':
      return roomFromOutside(run, question, room);
    default: {
      const { reader, viewer } = run.base;
      const departure = isForgotten(reader, viewer.userId, id) ? undefined : departureOf(reader, id, viewer.userId);
      return departure === undefined
        ? deniedRoom(run, question, room)
        : roomAsMember(run, question, room, { upTo: row.since, endVersion: departure.version });
    }
  }
}

/** The last moment of a room that the user may know of. */
interface RoomEnd {
  readonly upTo: Position;
  /** Version of the room's state there. */
  readonly endVersion: number;
}

async function roomAsMember(
  run: SlidingRun,
  { window, sent, isDirect }: RoomQuestion,
  room: Room,
  { upTo, endVersion }: RoomEnd,
): Promise<RoomAnswer> {
  const { base } = run;
  const roomRun = roomRunOf(base, room);
  const { config } = window;
  const { row } = window.room;
  const isJoined = row.membership === 'join';
  const since = sent === undefined ? BEFORE_FIRST : sent.upTo === UP_TO_DATE ? base.since : sent.upTo;
  const isInitial = sent === undefined || !wasMember(roomRun, sent, since, row.since);
  const isExpanded = !isInitial && config.timelineLimit > sent.known;
  const timeline = await chooseTimeline({
    reader: base.reader,
    room: room.id,
    after: isInitial || isExpanded ? BEFORE_FIRST : since,
    upTo,
    endVersion,
    limit: config.timelineLimit,
    pacer: base.pacer,
    read: (position) => base.shared.event(base.reader, position),
    accepts: (event) => !isIgnored(base, event) && roomRun.visibility.canSee(event),
  });
  const news = await stateNewsOf(roomRun, {
    sinceVersion: isInitial ? undefined : stateVersionAt(base.reader, room.id, since),
    endVersion,
    sentRequired: isInitial ? undefined : sent.required,
  });
  const state = await requiredStateOf(run, roomRun, { config, timeline, news, endVersion });
  const parts: string[] = [];
  if (isInitial) parts.push('"initial":true');
  if (isInitial ? isDirect : sent.isDirect !== isDirect) parts.push(`"is_dm":${isDirect}`);
  if (isInitial || sent.membership !== row.membership) parts.push(`"membership":${JSON.stringify(row.membership)}`);
  parts.push(...(await namingTexts(base, room, { endVersion, news, isInitial, isJoined })));
  if (isJoined && (isInitial || news.hasMembers)) {
    const head = headOf(base.reader, room.id);
    parts.push(`"joined_count":${head?.joined ?? 0}`, `"invited_count":${head?.invited ?? 0}`);
  }
  if (state.events.length > 0 || state.stubs.length > 0) {
    parts.push(`"required_state":${withStubs(await eventsJson(roomRun, state.events), state.stubs)}`);
  }
  const hasTimeline = isInitial || isExpanded || timeline.events.length > 0 || timeline.isLimited;
  if (hasTimeline) {
    if (isExpanded) parts.push('"unstable_expanded_timeline":true', '"expanded_timeline":true');
    parts.push(await timelineTexts(roomRun, timeline, isExpanded));
    const stamp = isJoined
      ? run.bumpStamps.of(base.reader, room.id, upTo, (reader, position) => base.shared.event(reader, position))
      : Math.max(row.since, 1);
    parts.push(`"bump_stamp":${stamp}`);
  }
  if (isJoined) {
    const unread = await base.unread.of(base.reader, room, base.viewer.userId, base.pacer, readShared(base));
    if (isInitial || hasTimeline || unread.changedAt > since) {
      const { notifications, highlights } = unread.total;
      parts.push(`"notification_count":${notifications}`, `"highlight_count":${highlights}`);
    }
  }
  return {
    json: parts.length === 0 ? undefined : `{${parts.join(',')}}`,
    sent: {
      upTo: UP_TO_DATE,
      known: knownAfter(timeline, config.timelineLimit, isInitial || isExpanded ? undefined : sent?.known),
      required: config.requiredState.key,
      isDirect,
      membership: row.membership,
    },
    isInitial,
    eventIds: timeline.events.map(({ eventId }) => eventId),
  };
}

/** Whether what the client was told of the room was told to a member, who has not been away in between. */
function wasMember({ run, room, visibility }: RoomRun, sent: SentRoom, since: Position, changedAt: Position): boolean {
  if (sent.membership !== 'join')
    return sent.membership !== 'invite' && sent.membership !== 'knock' && changedAt <= since;
  return changedAt <= since || visibility.membershipAtVersion(stateVersionAt(run.reader, room.id, since)) === 'join';
}

/** How many of the latest events the client then has, at least. */
function knownAfter(timeline: Timeline, limit: number, known: number | undefined): number {
  if (timeline.isLimited) return limit;
  return known ?? WHOLE_TIMELINE;
}

async function timelineTexts(roomRun: RoomRun, timeline: Timeline, isExpanded: boolean): Promise<string> {
  const { run } = roomRun;
  const events = await eventsJson(timeline.isLimited ? withBundles(roomRun) : roomRun, timeline.events);
  // Clients only look for events that they have among those of a timeline that says that it is limited.
  const isLimited = timeline.isLimited || isExpanded;
  return (
    `"timeline":${events},"limited":${isLimited},"prev_batch":"${timeline.prevBatch}",` +
    `"num_live":${liveCount(timeline.events, run.since)}`
  );
}

/** How many of the last events have just happened; none for a client that comes for the first time. */
function liveCount(events: readonly Event[], since: Position): number {
  if (since === BEFORE_FIRST) return 0;
  let count = 0;
  for (let index = events.length - 1; index >= 0; index -= 1) {
    const event = events[index];
    if (event === undefined || (event.fork?.place ?? event.position) <= since) break;
    count += 1;
  }
  return count;
}

function withStubs(listJson: string, stubs: readonly string[]): string {
  if (stubs.length === 0) return listJson;
  return listJson === '[]' ? `[${stubs.join(',')}]` : `${listJson.slice(0, -1)},${stubs.join(',')}]`;
}

/** A room that the user is invited to, or has asked to join. */
function roomFromOutside(
  { base }: SlidingRun,
  { window, sent, isDirect }: RoomQuestion,
  room: Room,
): RoomAnswer | undefined {
  const { row } = window.room;
  const isNews = sent?.membership !== row.membership || row.since > (sent.upTo === UP_TO_DATE ? base.since : sent.upTo);
  const name = row.membership === 'knock' ? 'knock_state' : 'invite_state';
  const events = isNews ? strippedRoomEvents(base, room, name, row.event) : undefined;
  if (isNews && events === undefined) return undefined;
  const parts: string[] = [];
  if (isNews) {
    parts.push('"initial":true', `"membership":"${row.membership}"`, `"bump_stamp":${Math.max(row.since, 1)}`);
    parts.push(`"${name}":${events}`);
  }
  if (isNews ? isDirect : sent?.isDirect !== isDirect) parts.push(`"is_dm":${isDirect}`);
  return aside(parts, window, isDirect, isNews);
}

/** A room that the user never was in, and of which nothing has come, or that they have forgotten: they learn that, and no more. */
async function deniedRoom(
  { base }: SlidingRun,
  { window, sent, isDirect }: RoomQuestion,
  room: Room,
): Promise<RoomAnswer> {
  const { row } = window.room;
  const event = sent?.membership === row.membership ? undefined : eventAt(base.reader, row.event);
  if (event === undefined) return aside([], window, isDirect, false);
  const json = await eventsJson(roomRunOf(base, room), [event]);
  const parts = [
    `"membership":${JSON.stringify(row.membership)}`,
    `"bump_stamp":${Math.max(row.since, 1)}`,
    `"required_state":${json}`,
    `"timeline":${json}`,
  ];
  return aside(parts, window, isDirect, false);
}

function aside(
  parts: readonly string[],
  { room, config }: WindowRoom,
  isDirect: boolean,
  isInitial: boolean,
): RoomAnswer {
  return {
    json: parts.length === 0 ? undefined : `{${parts.join(',')}}`,
    sent: {
      upTo: UP_TO_DATE,
      known: WHOLE_TIMELINE,
      required: config.requiredState.key,
      isDirect,
      membership: room.row.membership,
    },
    isInitial,
    eventIds: [],
  };
}
