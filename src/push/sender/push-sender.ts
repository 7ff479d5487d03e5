/**
 * Follows the timelines of the rooms in which somebody with pushers is, and hands what notifies them to their push gateways.
 * Register: listen to what is committed. Backfill: what came since each pusher sent last, as far as it is recorded. Live: each
 * commit wakes it, and it reads what is new in the rooms that the commit touched. All of it is off the way of whoever writes.
 *
 * How far pushers are is recorded now and then, so after a crash the notifications of the last minutes may be sent again; their
 * event ids tell gateways that they are the same.
 */
import type { AdvanceListener } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { placeOf } from '#projections/notifications/projection.ts';
import { activePushersOf, PUSHERS_TOPIC, usersWithPushers } from '#projections/pushers/projection.ts';
import { receiptSendersSince } from '#projections/receipts/queries.ts';
import {
  type Event,
  eventAt,
  findRoom,
  type Room,
  roomById,
  roomsOf,
  timelineBackwards,
} from '#projections/rooms/queries.ts';
import { lateEvents, timeline } from '#projections/rooms/tables.ts';
import { isSubscribed } from '#projections/thread-subscriptions/projection.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { type Outcome, SILENT } from '../evaluate.ts';
import type { PushProfile, PushProfiles } from '../push-profiles.ts';
import type { UnreadCounts } from '../unread.ts';
import { type Audience, Audiences, hears, type Listener, listenerSince, nameOf } from './audiences.ts';
import { Badges } from './badges.ts';
import { Deliveries } from './deliveries.ts';
import type { Gateway } from './gateway.ts';
import { MAX_AGE_MS, PusherQueue, type PusherQueueOptions } from './pusher-queue.ts';
import { PusherRecords } from './pusher-records.ts';

/** Events of one room that are looked at again after a restart, the newest. */
const MAX_BACKFILL_EVENTS = 500;
/** Invites from elsewhere that are looked at again after a restart, the newest. */
const MAX_BACKFILL_INVITES = 2000;
/** How often it is recorded how far pushers are. */
export const RECORD_INTERVAL_MS = 10 * 60 * 1000;

export interface PushSenderOptions {
  readonly reader: Reader;
  /** Calls the listener after each commit; gives how to stop that. */
  readonly onAdvance: (listener: AdvanceListener) => () => void;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly profiles: PushProfiles;
  readonly unread: UnreadCounts;
  readonly gateway: Gateway;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Default `Math.random`. */
  readonly random?: () => number;
  /** Default: a timer that does not keep the process alive. */
  readonly schedule?: (delayMs: number, callback: () => void) => () => void;
}

export class PushSender {
  readonly #options: PushSenderOptions;
  readonly #schedule: (delayMs: number, callback: () => void) => () => void;
  /** User → the queues of the user's pushers, by app id and pushkey. */
  readonly #users = new Map<string, Map<string, PusherQueue>>();
  readonly #audiences: Audiences;
  readonly #badges: Badges;
  readonly #deliveries: Deliveries;
  readonly #records: PusherRecords;
  readonly #stopping = new AbortController();
  /** Of users with pushers. */
  readonly #profiles = new Map<string, PushProfile>();
  #touchedRooms = new Set<string>();
  /** Users whose pushers may be other ones than before. */
  readonly #changedUsers = new Set<string>();
  /** Everything up to here has been looked at. */
  #at: Position = BEFORE_FIRST;
  #running: Promise<void> | undefined;
  #stopListening: (() => void) | undefined;
  #cancelRecording: (() => void) | undefined;

  constructor(options: PushSenderOptions) {
    this.#options = options;
    this.#schedule = options.schedule ?? startTimer;
    this.#audiences = new Audiences(options.reader, () => this.#users);
    this.#badges = new Badges(options);
    this.#deliveries = new Deliveries({ ...options, badges: this.#badges, signal: this.#stopping.signal });
    this.#records = new PusherRecords(options);
  }

  /** Begins to follow. */
  start(): void {
    const { onAdvance, reader } = this.#options;
    this.#stopListening = onAdvance((_, touched) => this.#note(touched));
    this.#at = reader.frontier;
    for (const userId of usersWithPushers(reader)) this.#changedUsers.add(userId);
    this.#running = this.#backfill(this.#at)
      .then(() => this.#catchUp())
      .finally(() => this.#ended());
    this.#recordLater();
  }

  /** Resolves when everything that is committed has been looked at, and handed to the queues of pushers. For tests. */
  async caughtUp(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Breaks off what is on its way, and records how far pushers are. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    this.#cancelRecording?.();
    this.#stopping.abort();
    await this.caughtUp();
    const queues = [...this.#queues()];
    await Promise.all(queues.map((queue) => queue.stop()));
    await this.#records.record(this.#queues());
  }

  /** Called with every commit: it must cost next to nothing where nobody has a pusher. */
  #note(touched: ReadonlySet<string>): void {
    for (const topic of touched) {
      if (topic.startsWith(PUSHERS_TOPIC)) this.#changedUsers.add(topic.slice(PUSHERS_TOPIC.length));
    }
    if (this.#users.size === 0 && this.#changedUsers.size === 0 && this.#running === undefined) {
      this.#at = this.#options.reader.frontier;
      return;
    }
    for (const topic of touched) {
      if (topic.startsWith('room:')) this.#touchedRooms.add(topic.slice('room:'.length));
      else if (topic.startsWith('user:')) this.#profiles.delete(topic.slice('user:'.length));
    }
    this.#run();
  }

  #run(): void {
    this.#running ??= Promise.resolve()
      .then(() => this.#catchUp())
      .finally(() => this.#ended());
  }

  #ended(): void {
    this.#running = undefined;
    // Something may have come after the last look.
    if (this.#at < this.#options.reader.frontier && !this.#stopping.signal.aborted) this.#run();
  }

  async #catchUp(): Promise<void> {
    const { reader, logger } = this.#options;
    while (this.#at < reader.frontier && !this.#stopping.signal.aborted) {
      const after = this.#at;
      const upTo = reader.frontier;
      const roomIds = this.#touchedRooms;
      this.#touchedRooms = new Set();
      try {
        await this.#readPushers();
        for (const roomId of roomIds) await this.#lookAt(findRoom(reader, roomId), after, upTo);
        this.#lookAtInvites(after, upTo);
        for (const { userId, roomId } of [...receiptSendersSince(reader, after, upTo)]) this.#hasRead(userId, roomId);
      } catch (error) {
        logger.error({ err: error }, 'Notifications of some events could not be made.');
      }
      this.#at = upTo;
    }
  }

  async #readPushers(): Promise<void> {
    for (const userId of this.#changedUsers) {
      if (sharedPacer.isDue) await sharedPacer.pause();
      this.#changedUsers.delete(userId);
      this.#readPushersOf(userId);
    }
  }

  /** Makes queues for the pushers that a user has now, and ends those of the others. */
  #readPushersOf(userId: string): void {
    const queues = this.#users.get(userId) ?? new Map<string, PusherQueue>();
    const gone = new Set(queues.keys());
    for (const active of activePushersOf(this.#options.reader, userId)) {
      const key = JSON.stringify([active.pusher.app_id, active.pusher.pushkey]);
      const known = queues.get(key);
      gone.delete(key);
      if (known !== undefined) {
        known.renew(active);
        continue;
      }
      const queue = new PusherQueue(active, this.#queueOptions());
      queues.set(key, queue);
      this.#records.know(queue);
    }
    for (const key of gone) this.#end(queues, key);
    const hadNone = !this.#users.has(userId);
    if (hadNone === (queues.size === 0)) return;
    if (hadNone) this.#users.set(userId, queues);
    else this.#users.delete(userId);
    this.#profiles.delete(userId);
    this.#audiences.noteUser(userId);
  }

  #end(queues: Map<string, PusherQueue>, key: string): void {
    void queues.get(key)?.stop();
    queues.delete(key);
  }

  #queueOptions(): PusherQueueOptions {
    const { clock, random = Math.random } = this.#options;
    return {
      clock,
      random,
      schedule: this.#schedule,
      send: (queue, next) => this.#deliveries.send(queue, next),
      onRejected: (queue) => void this.#records.remove(queue),
    };
  }

  *#queues(): Generator<PusherQueue> {
    for (const queues of this.#users.values()) yield* queues.values();
  }

  /** Looks at what came while nobody followed. */
  async #backfill(upTo: Position): Promise<void> {
    const { reader, logger } = this.#options;
    try {
      await this.#readPushers();
      const rooms = new Set<Position>();
      let after = upTo;
      for (const [userId, queues] of this.#users) {
        for (const { sentUpTo } of queues.values()) after = Math.min(after, sentUpTo);
        for (const { room, membership } of roomsOf(reader, userId)) {
          if (membership === 'join' || membership === 'invite') rooms.add(room);
        }
        if (sharedPacer.isDue) await sharedPacer.pause();
      }
      if (after >= upTo) return;
      for (const id of rooms) {
        if (this.#stopping.signal.aborted) return;
        const room = roomById(reader, id);
        if (room !== undefined) await this.#lookAt(room, this.#recentFrom(room, after, upTo), upTo);
      }
      this.#lookAtInvites(after, upTo, this.#options.clock() - MAX_AGE_MS);
    } catch (error) {
      logger.error({ err: error }, 'Notifications of events from before the start could not be made.');
    }
  }

  /** Where the events of a room begin that are still worth a notification. */
  #recentFrom({ id }: Room, after: Position, upTo: Position): Position {
    const { reader, clock } = this.#options;
    let left = MAX_BACKFILL_EVENTS;
    for (const { place, position } of timelineBackwards(reader, id, after, upTo)) {
      const event = eventAt(reader, position);
      if (left === 0 || (event !== undefined && clock() - event.originServerTs > MAX_AGE_MS)) return place;
      left -= 1;
    }
    return after;
  }

  /** Looks at the events of a room after one place, up to another. */
  async #lookAt(room: Room | undefined, after: Position, upTo: Position): Promise<void> {
    if (room === undefined) return;
    const { reader } = this.#options;
    const audience = this.#audiences.of(room);
    for (const { position } of [...timelineBackwards(reader, room.id, after, upTo)].reverse()) {
      const event = eventAt(reader, position);
      if (event === undefined) continue;
      if (event.type === 'm.room.member') this.#noteMember(room, audience, event, placeOf(event));
      await this.#judge(room, audience, event);
    }
  }

  /** Looks at the invites to rooms in which this server is not: they are on no timeline. */
  #lookAtInvites(after: Position, upTo: Position, oldestMs = Number.NEGATIVE_INFINITY): void {
    const { reader } = this.#options;
    const bounds = { ...(after >= 0 && { gt: [after] as const }), lte: [upTo] as const };
    const late = [...reader.range(lateEvents, { ...bounds, reverse: true, limit: MAX_BACKFILL_INVITES })];
    for (const { key, value } of late.reverse()) {
      const place = key[0];
      const event = eventAt(reader, value);
      if (event?.type !== 'm.room.member' || !this.#users.has(event.stateKey ?? '')) continue;
      if (event.originServerTs < oldestMs) continue;
      const room = roomById(reader, event.room);
      if (room !== undefined && !reader.has(timeline, [room.id, place]))
        this.#noteMember(room, undefined, event, place);
    }
  }

  #noteMember(room: Room, audience: Audience | undefined, event: Event, place: Position): void {
    const userId = event.stateKey ?? '';
    if (audience !== undefined) this.#audiences.note(audience, event);
    const queues = this.#users.get(userId);
    if (queues === undefined) return;
    this.#badges.forget(userId);
    // Nobody else hears of events in a room that they are not in.
    if (audience?.has(userId) === true) return;
    this.#judgeFor(room, event, place, userId, listenerSince(event.position));
    for (const queue of queues.values()) queue.tellCounts();
  }

  async #judge(room: Room, audience: Audience, event: Event): Promise<void> {
    const { reader } = this.#options;
    if (event.redactedBy !== undefined) return;
    const place = placeOf(event);
    const changesAll = event.type === 'm.room.redaction';
    for (const [userId, listener] of audience) {
      if (sharedPacer.isDue) await sharedPacer.pause();
      if (changesAll) this.#badges.touch(userId, room.id);
      if (!hears(reader, userId, listener, event)) continue;
      if (userId === event.sender) this.#hasRead(userId, room.roomId);
      else this.#judgeFor(room, event, place, userId, listener);
    }
  }

  #judgeFor(room: Room, event: Event, place: Position, userId: string, listener: Listener): void {
    const outcome = this.#outcomeFor(room, event, userId, listener);
    if (outcome === undefined || outcome.weight === SILENT) return;
    this.#badges.touch(userId, room.id);
    const sinceMs = this.#options.clock();
    for (const queue of this.#users.get(userId)?.values() ?? []) {
      queue.add({ room: room.id, event: event.position, place, outcome, sinceMs });
    }
  }

  #outcomeFor(room: Room, event: Event, userId: string, listener: Listener): Outcome | undefined {
    const { reader, unread } = this.#options;
    if (event.sender === userId) return undefined;
    const profile = this.#profileOf(userId);
    if (profile.ignored.has(event.sender)) return undefined;
    const history = unread.historyOf(room);
    const { sender, stateVersion } = event;
    return profile.rules.outcomeOf(unread.factsOf(event, room), {
      memberCount: () => history.memberCount(reader, stateVersion),
      senderMayNotify: (key) => history.mayNotify(reader, stateVersion, sender, key),
      displayName: () => nameOf(reader, listener),
      isSubscribedTo: (threadRoot) => isSubscribed(reader, userId, room.roomId, threadRoot),
    });
  }

  /** Remembered until something about the user is committed: asking for each user and event whether anything was takes longer. */
  #profileOf(userId: string): PushProfile {
    const known = this.#profiles.get(userId);
    if (known !== undefined) return known;
    const profile = this.#options.profiles.of(this.#options.reader, userId);
    this.#profiles.set(userId, profile);
    return profile;
  }

  /** A user may have less to read than before. */
  #hasRead(userId: string, roomId: string): void {
    const queues = this.#users.get(userId);
    const room = queues && findRoom(this.#options.reader, roomId);
    if (queues === undefined || room === undefined) return;
    this.#badges.touch(userId, room.id);
    for (const queue of queues.values()) queue.tellCounts();
  }

  #recordLater(): void {
    this.#cancelRecording = this.#schedule(RECORD_INTERVAL_MS, () => {
      void this.#records.record(this.#queues());
      this.#recordLater();
    });
  }
}

function startTimer(delayMs: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delayMs).unref();
  return () => clearTimeout(timer);
}
