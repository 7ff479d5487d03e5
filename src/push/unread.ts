/**
 * How much of a room a user has not read: events that notify, by thread, after what receipts and the user's own events mark as
 * read. https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications
 *
 * Nothing is counted when an event is written. A count is made when it is first asked for, from the timeline since the user's
 * receipt, and afterwards goes on with what is new; what is remembered can be lost at any time. Events are judged by the rules
 * that the user has now, on the room as it was before the event.
 */

import type { Reader } from '#projections/engine/reader.ts';
import { placeOf, threadOf, threadPlacesBackwards } from '#projections/notifications/projection.ts';
import { hasReceiptSince, receiptsOf } from '#projections/receipts/queries.ts';
import {
  type Event,
  eventAt,
  eventById,
  headOf,
  type Room,
  stateHistoryBackwards,
  timelineBackwards,
} from '#projections/rooms/queries.ts';
import { timeline } from '#projections/rooms/tables.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { membershipIn } from '#src/rooms/visibility.ts';
import { Lru } from '#src/sync/lru.ts';
import type { Pacer } from '#src/sync/pacer.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { HIGHLIGHTS, SILENT } from './evaluate.ts';
import { EventFacts } from './event-facts.ts';
import type { PushProfile, PushProfiles } from './push-profiles.ts';
import { DisplayNames, RoomHistory, surroundingsOf } from './room-history.ts';
import { isSameUnread, type UnreadThread } from './unread-threads.ts';

/** The thread of events that are in none. */
export const MAIN_THREAD = 'main';
/** Most events of one room that a first count looks at: what is older than the newest so many is not counted. */
export const MAX_EVENTS_COUNTED = 5000;
/** Most events in threads that a first count looks at before the user's place in the main timeline. */
export const MAX_OLD_THREAD_EVENTS = 1000;
/** Weight of what is remembered: an unread event is 1, some 10 bytes. */
const MAX_WEIGHT = 4_000_000;
/** Weight of a room of a user with nothing unread. */
const BASE_WEIGHT = 60;
/** Rooms whose members and power levels are remembered. */
const MAX_HISTORIES = 5000;
/** Events whose content stays parsed, for the next member who asks for the same. */
const MAX_FACTS = 256;
/** Events that are judged before others get their turn. */
const SLICE_EVENTS = 64;

/** What is unread of one thread. */
export interface ThreadUnread {
  /** Events that notify. */
  readonly notifications: number;
  /** Those of them that highlight. */
  readonly highlights: number;
}

/** What is unread of one room. */
export interface RoomUnread {
  /** What is in no thread. */
  readonly main: ThreadUnread;
  /** By the event id of the root; only threads with something unread. */
  readonly threads: ReadonlyMap<string, ThreadUnread>;
  /** Everything together. */
  readonly total: ThreadUnread;
  /** Position of the last event or receipt that may have changed the counts. */
  readonly changedAt: Position;
}

/** Gives the event at a position; for sharing what was read for others. */
export type ReadEvent = (reader: Reader, position: Position) => Event | undefined;

/** One room of one user, as far as it has been counted. */
interface Counted {
  readonly profile: PushProfile;
  readonly names: DisplayNames;
  readonly threads: Map<string, UnreadThread>;
  /** Places before `upTo` that are still to be looked at, the oldest last. */
  readonly backlog: Position[];
  /** The timeline is counted up to this place. */
  upTo: Position;
  /** Redactions up to here were seen in the events themselves when those were looked at. */
  readonly startedAt: Position;
  changedAt: Position;
  /** What was counted by other rules, until all is counted anew and it shows whether that is the same. */
  former: Counted | undefined;
  marks: Marks;
  /** No receipt of the user up to here is missing from `marks`. */
  receiptsUpTo: Position;
}

/** How far the user's receipts go. */
interface Marks {
  /** Position of the last receipt that is counted in. */
  readonly receivedAt: Position;
  /** Place of the event up to which everything is read. */
  readonly everything: Position;
  /** Thread → place of the event up to which it is read. */
  readonly threads: ReadonlyMap<string, Position>;
}

const NOTHING: ThreadUnread = { notifications: 0, highlights: 0 };

export class UnreadCounts {
  readonly #profiles: PushProfiles;
  readonly #counted = new Lru<string, Counted>(MAX_WEIGHT, weightOf);
  readonly #histories = new Lru<Position, RoomHistory>(MAX_HISTORIES);
  readonly #facts = new Map<Position, EventFacts>();

  constructor(profiles: PushProfiles) {
    this.#profiles = profiles;
  }

  /** Forgets what was counted and read. */
  clear(): void {
    this.#counted.clear();
    this.#histories.clear();
    this.#facts.clear();
  }

  /** What is unread for a user in a room that they are in, as of the moment when the promise resolves. */
  async of(reader: Reader, room: Room, userId: string, pacer: Pacer, read: ReadEvent = eventAt): Promise<RoomUnread> {
    for (;;) {
      const unread = this.peek(reader, room, userId, read);
      if (unread !== undefined) return unread;
      if (pacer.isDue) await pacer.pause();
    }
  }

  /** The same without waiting: undefined where more is to be done than one turn should take; the next call goes on with it. */
  peek(reader: Reader, room: Room, userId: string, read: ReadEvent = eventAt): RoomUnread | undefined {
    const key = keyOf(room, userId);
    const profile = this.#profiles.of(reader, userId);
    const known = this.#counted.get(key);
    const counted = known?.profile === profile ? known : firstCount(reader, room, userId, profile, known);
    takeReceipts(reader, room, userId, counted);
    const isDone = this.#goOn(reader, room, userId, counted, read);
    if (isDone) forgetFormer(counted);
    this.#counted.set(key, counted);
    return isDone ? unreadOf(counted) : undefined;
  }

  /** Whether a user has read an event of a room, by receipts or by having said something after it. */
  isRead(reader: Reader, room: Room, userId: string, event: Event): boolean {
    const thread = threadOf(reader, event) ?? MAIN_THREAD;
    const place = placeOf(event);
    if (place <= readUpTo(marksOf(reader, room.roomId, userId), thread)) return true;
    const counted = this.#counted.get(keyOf(room, userId));
    if (counted === undefined || counted.backlog.length > 0 || counted.upTo < place) return false;
    return counted.threads.get(thread)?.places.includes(place) !== true;
  }

  /** What the room was like at its events. */
  historyOf(room: Room): RoomHistory {
    const known = this.#histories.get(room.id);
    if (known !== undefined) return known;
    const history = new RoomHistory(room);
    this.#histories.set(room.id, history);
    return history;
  }

  /** The facts of an event; the same for the same object, where it was asked for a short while ago. */
  factsOf(event: Event, room: Room): EventFacts {
    const known = this.#facts.get(event.position);
    if (known?.event === event) return known;
    const facts = new EventFacts(event, room.roomId);
    if (this.#facts.size >= MAX_FACTS) this.#facts.clear();
    this.#facts.set(event.position, facts);
    return facts;
  }

  /** Counts what is new on the timeline; false if there is more. */
  #goOn(reader: Reader, room: Room, userId: string, counted: Counted, read: ReadEvent): boolean {
    let left = SLICE_EVENTS;
    for (; left > 0; left -= 1) {
      const place = counted.backlog.pop();
      if (place === undefined) break;
      // What was fetched later as history has a thread, and no place on the timeline.
      const position = reader.get(timeline, [room.id, place]);
      if (position !== undefined) this.#count(reader, room, userId, counted, read(reader, position));
    }
    if (left === 0) return false;
    if ((headOf(reader, room.id)?.latest ?? BEFORE_FIRST) <= counted.upTo) return true;
    const redactions: Event[] = [];
    const bounds = counted.upTo < 0 ? {} : { gt: [room.id, counted.upTo] as const };
    for (const { key, value } of [...reader.range(timeline, { prefix: [room.id], ...bounds, limit: left })]) {
      left -= 1;
      counted.upTo = key[1];
      const event = read(reader, value);
      if (event?.type === 'm.room.redaction' && key[1] > counted.startedAt) redactions.push(event);
      this.#count(reader, room, userId, counted, event);
    }
    if (redactions.length > 0) forgetRedacted(reader, room.id, counted, redactions);
    return left > 0;
  }

  #count(reader: Reader, room: Room, userId: string, counted: Counted, event: Event | undefined): void {
    if (event === undefined) return;
    const place = placeOf(event);
    if (event.type === 'm.room.member' && event.stateKey === userId) {
      // Whoever comes in has not missed what was before.
      if (!wasJoinedBefore(reader, event)) forgetAll(counted, place);
      if (event.sender === userId) return;
    }
    if (event.sender === userId) {
      // Whoever writes has read what is before. Source: client-server API, "Marking notifications as read".
      forgetUpTo(counted, threadOf(reader, event) ?? MAIN_THREAD, place, place);
      return;
    }
    if (event.redactedBy !== undefined || counted.profile.ignored.has(event.sender)) return;
    const facts = this.factsOf(event, room);
    const surroundings = surroundingsOf(reader, this.historyOf(room), counted.names, userId, facts);
    const weight = counted.profile.rules.weightOf(facts, surroundings);
    if (weight === SILENT) return;
    add(counted, threadOf(reader, event) ?? MAIN_THREAD, place, weight === HIGHLIGHTS);
  }
}

function keyOf(room: Room, userId: string): string {
  return `${room.id} ${userId}`;
}

/** A count that begins where the user has everything read, or came into the room. */
function firstCount(
  reader: Reader,
  room: Room,
  userId: string,
  profile: PushProfile,
  known: Counted | undefined,
): Counted {
  const marks = marksOf(reader, room.roomId, userId);
  const begin = Math.max(marks.everything, joinedSince(reader, room.id, userId) ?? reader.frontier);
  const mainBegin = Math.max(begin, marks.threads.get(MAIN_THREAD) ?? BEFORE_FIRST);
  const backlog: Position[] = [];
  for (const place of threadPlacesBackwards(reader, room.id, begin, mainBegin)) {
    if (backlog.push(place) === MAX_OLD_THREAD_EVENTS) break;
  }
  return {
    profile,
    names: new DisplayNames(),
    threads: new Map(),
    backlog,
    upTo: newestFrom(reader, room.id, mainBegin),
    startedAt: reader.frontier,
    changedAt: profile.changedAt,
    // One that is not done itself says nothing; what it was to be compared with may.
    former: known?.former ?? known,
    marks,
    receiptsUpTo: reader.frontier,
  };
}

/** Other rules that count the same are no news. */
function forgetFormer(counted: Counted): void {
  const { former } = counted;
  if (former === undefined) return;
  counted.former = undefined;
  if (isSameUnread(former.threads, counted.threads)) counted.changedAt = former.changedAt;
}

/** A place in the timeline at or after one, with no more than {@link MAX_EVENTS_COUNTED} events behind it. */
function newestFrom(reader: Reader, room: Position, begin: Position): Position {
  let left = MAX_EVENTS_COUNTED;
  for (const { place } of timelineBackwards(reader, room, begin, reader.frontier)) {
    if (left === 0) return place;
    left -= 1;
  }
  return begin;
}

/** Member events that are gone back over to find where somebody came in: changes of name and picture. */
const MAX_MEMBER_EVENTS = 1000;

/** Place of the event with which a member came into the room; undefined for somebody who is not in it. */
export function joinedSince(reader: Reader, room: Position, userId: string): Position | undefined {
  let since: Position | undefined;
  let left = MAX_MEMBER_EVENTS;
  for (const { position } of stateHistoryBackwards(reader, room, 'm.room.member', userId)) {
    const event = eventAt(reader, position);
    if (event === undefined || membershipIn(event.contentJson) !== 'join' || left === 0) break;
    left -= 1;
    since = placeOf(event);
  }
  return since;
}

/** Whether a member event changes nothing about being in the room. */
function wasJoinedBefore(reader: Reader, event: Event): boolean {
  if (event.replaces === undefined || membershipIn(event.contentJson) !== 'join') return false;
  const replaced = eventAt(reader, event.replaces);
  return replaced !== undefined && membershipIn(replaced.contentJson) === 'join';
}

/** What the user's receipts say now. */
function marksOf(reader: Reader, roomId: string, userId: string): Marks {
  const receipts = [...receiptsOf(reader, roomId, userId)];
  const receivedAt = receipts.reduce((latest, { at }) => Math.max(latest, at), BEFORE_FIRST);
  let everything = BEFORE_FIRST;
  const threads = new Map<string, Position>();
  for (const { eventId, threadId } of receipts) {
    const event = eventById(reader, eventId);
    const place = event === undefined ? BEFORE_FIRST : placeOf(event);
    if (threadId === undefined) everything = Math.max(everything, place);
    else threads.set(threadId, Math.max(place, threads.get(threadId) ?? BEFORE_FIRST));
  }
  return { receivedAt, everything, threads };
}

function takeReceipts(reader: Reader, room: Room, userId: string, counted: Counted): void {
  const { receiptsUpTo } = counted;
  if (receiptsUpTo === reader.frontier) return;
  counted.receiptsUpTo = reader.frontier;
  // Somebody may have receipts for very many threads: they are read again only when there is a new one.
  if (!hasReceiptSince(reader, room.roomId, userId, receiptsUpTo)) return;
  const marks = marksOf(reader, room.roomId, userId);
  counted.marks = marks;
  for (const thread of [...counted.threads.keys()]) {
    forgetUpTo(counted, thread, readUpTo(marks, thread), marks.receivedAt);
  }
}

function readUpTo({ everything, threads }: Marks, thread: string): Position {
  return Math.max(everything, threads.get(thread) ?? BEFORE_FIRST);
}

function add(counted: Counted, thread: string, place: Position, isHighlight: boolean): void {
  if (place <= readUpTo(counted.marks, thread)) return;
  const unread = counted.threads.get(thread) ?? { places: [], highlights: [] };
  counted.threads.set(thread, unread);
  unread.places.push(place);
  if (isHighlight) unread.highlights.push(place);
  counted.changedAt = Math.max(counted.changedAt, place);
}

function forgetAll(counted: Counted, at: Position): void {
  if (counted.threads.size > 0) counted.changedAt = Math.max(counted.changedAt, at);
  counted.threads.clear();
}

/** Takes out what is read of a thread by something that came at a position. */
function forgetUpTo(counted: Counted, thread: string, upTo: Position, at: Position): void {
  keepOnly(counted, thread, at, (place) => place > upTo);
}

function forgetRedacted(reader: Reader, room: Position, counted: Counted, redactions: readonly Event[]): void {
  const at = counted.upTo;
  const isRedacted = (place: Position): boolean => {
    const position = reader.get(timeline, [room, place]);
    return position !== undefined && eventAt(reader, position)?.redactedBy !== undefined;
  };
  const targets = new Set<Position>();
  for (const { contentJson } of redactions) {
    const content = parseJson(contentJson);
    const redacts = isJsonObject(content) ? content.redacts : undefined;
    // Older room versions have the target outside of the content: then every event is looked at again.
    const target = typeof redacts === 'string' ? eventById(reader, redacts) : undefined;
    if (target === undefined) {
      forgetWhere(counted, at, isRedacted);
      return;
    }
    targets.add(placeOf(target));
  }
  forgetWhere(counted, at, (place) => targets.has(place) && isRedacted(place));
}

function forgetWhere(counted: Counted, at: Position, isGone: (place: Position) => boolean): void {
  for (const thread of [...counted.threads.keys()]) keepOnly(counted, thread, at, (place) => !isGone(place));
}

function keepOnly(counted: Counted, thread: string, at: Position, isKept: (place: Position) => boolean): void {
  const unread = counted.threads.get(thread);
  if (unread === undefined) return;
  const places = unread.places.filter(isKept);
  if (places.length === unread.places.length) return;
  counted.changedAt = Math.max(counted.changedAt, at);
  if (places.length === 0) counted.threads.delete(thread);
  else counted.threads.set(thread, { places, highlights: unread.highlights.filter(isKept) });
}

function weightOf({ threads, backlog, former }: Counted): number {
  let weight = BASE_WEIGHT + backlog.length + (former === undefined ? 0 : weightOf(former));
  for (const { places, highlights } of threads.values()) weight += BASE_WEIGHT + places.length + highlights.length;
  return weight;
}

function unreadOf(counted: Counted): RoomUnread {
  const threads = new Map<string, ThreadUnread>();
  let main = NOTHING;
  let notifications = 0;
  let highlights = 0;
  for (const [thread, unread] of counted.threads) {
    const count = { notifications: unread.places.length, highlights: unread.highlights.length };
    if (thread === MAIN_THREAD) main = count;
    else threads.set(thread, count);
    notifications += count.notifications;
    highlights += count.highlights;
  }
  const changedAt = Math.max(counted.changedAt, counted.marks.receivedAt);
  return { main, threads, total: { notifications, highlights }, changedAt };
}
