/** The events that a user has been notified of, over all rooms, the newest first. */
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt, type Room, roomById, roomsOf, timelineBackwards } from '#projections/rooms/queries.ts';
import type { Pacer } from '#src/sync/pacer.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { HIGHLIGHTS, type Outcome, SILENT } from './evaluate.ts';
import type { PushProfile, PushProfiles } from './push-profiles.ts';
import { DisplayNames, surroundingsOf } from './room-history.ts';
import { joinedSince, type UnreadCounts } from './unread.ts';

/** Most events that are looked at for one answer; where they do not fill it, the next one goes on after them. */
export const MAX_EVENTS_LOOKED_AT = 2000;
/** Events that are read of a room's timeline at a time. */
const CHUNK = 16;

export interface NotificationsRequest {
  readonly userId: string;
  /** Only events before this place; undefined for all. */
  readonly before: Position | undefined;
  readonly limit: number;
  readonly onlyHighlights: boolean;
}

export interface Notification {
  readonly room: Room;
  readonly event: Event;
  readonly outcome: Outcome;
  readonly isRead: boolean;
}

export interface NotificationsPage {
  readonly notifications: readonly Notification[];
  /** Where the next page begins; undefined if there is nothing before. */
  readonly next: Position | undefined;
}

interface NotificationsContext {
  readonly reader: Reader;
  readonly profiles: PushProfiles;
  readonly unread: UnreadCounts;
  readonly pacer: Pacer;
}

/** Where an event of a room is, in the order of the timeline and in the log. */
interface Placed {
  readonly place: Position;
  readonly position: Position;
}

/** One room of the user: what was read of its timeline, the next event last. */
interface Source {
  readonly room: Room;
  /** Only what comes after this is for the user. */
  readonly after: Position;
  readonly names: DisplayNames;
  events: Placed[];
}

/** Looks back from a place over all rooms of a user, by the rules that the user has now. */
export async function listNotifications(
  context: NotificationsContext,
  request: NotificationsRequest,
): Promise<NotificationsPage> {
  const { reader, profiles, pacer } = context;
  const profile = profiles.of(reader, request.userId);
  const before = request.before ?? reader.frontier + 1;
  const sources: Source[] = [];
  for (const source of [...sourcesOf(reader, request.userId, before)]) {
    if (pacer.isDue) await pacer.pause();
    fill(reader, source, before);
    if (source.events.length > 0) sources.push(source);
  }
  const notifications: Notification[] = [];
  let last = before;
  for (let lookedAt = 0; lookedAt < MAX_EVENTS_LOOKED_AT && notifications.length < request.limit; lookedAt += 1) {
    const source = newest(sources);
    const placed = source?.events.pop();
    if (source === undefined || placed === undefined) return { notifications, next: undefined };
    if (source.events.length === 0) fill(reader, source, placed.place);
    last = placed.place;
    const notification = notificationOf(context, request, profile, source, placed.position);
    if (notification !== undefined) notifications.push(notification);
    if (pacer.isDue) await pacer.pause();
  }
  return { notifications, next: newest(sources) === undefined ? undefined : last };
}

function* sourcesOf(reader: Reader, userId: string, before: Position): Generator<Source> {
  for (const { room: id, membership, event, since } of roomsOf(reader, userId)) {
    const room = membership === 'join' || membership === 'invite' ? roomById(reader, id) : undefined;
    if (room === undefined) continue;
    if (membership === 'join') {
      const after = joinedSince(reader, id, userId) ?? before;
      yield { room, after, names: new DisplayNames(), events: [] };
    } else {
      // Whoever is invited is told of that, and of nothing else in the room.
      yield {
        room,
        after: Number.POSITIVE_INFINITY,
        names: new DisplayNames(),
        events: since < before ? [{ place: since, position: event }] : [],
      };
    }
  }
}

function fill(reader: Reader, source: Source, before: Position): void {
  if (source.after >= before) return;
  const events: Placed[] = [];
  for (const placed of timelineBackwards(reader, source.room.id, source.after, before - 1)) {
    if (events.push(placed) === CHUNK) break;
  }
  source.events = events.reverse();
}

function newest(sources: readonly Source[]): Source | undefined {
  let found: Source | undefined;
  let place = BEFORE_FIRST;
  for (const source of sources) {
    const last = source.events.at(-1)?.place ?? BEFORE_FIRST;
    if (last > place) {
      found = source;
      place = last;
    }
  }
  return found;
}

function notificationOf(
  { reader, unread }: NotificationsContext,
  { userId, onlyHighlights }: NotificationsRequest,
  profile: PushProfile,
  { room, names }: Source,
  position: Position,
): Notification | undefined {
  const event = eventAt(reader, position);
  if (event === undefined || event.redactedBy !== undefined) return undefined;
  if (event.sender === userId || profile.ignored.has(event.sender)) return undefined;
  const facts = unread.factsOf(event, room);
  const outcome = profile.rules.outcomeOf(facts, surroundingsOf(reader, unread.historyOf(room), names, userId, facts));
  if (outcome === undefined || outcome.weight === SILENT) return undefined;
  if (onlyHighlights && outcome.weight !== HIGHLIGHTS) return undefined;
  return { room, event, outcome, isRead: unread.isRead(reader, room, userId, event) };
}
