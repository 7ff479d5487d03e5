/**
 * Sends events when their delay is over, unless they are cancelled or put off before: how a call notices that somebody's
 * connection broke.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 */
import { streamOfUser } from '#projections/accounts/queries.ts';
import { delayedEventOf, delayedEvents } from '#projections/delayed-events/projection.ts';
import {
  type DelayedEvent,
  type DelayOutcome,
  endedRecord,
  restartedRecord,
  scheduledRecord,
} from '#projections/delayed-events/records.ts';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, findRoom, stateEventPosition } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { roomTopic } from '#src/bus/bus.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { limitExceeded, MatrixError, notFound } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Position, RecordDraft } from '#streams/event-log.ts';

/** Longest delay. */
export const MAX_DELAY_MS = 24 * 60 * 60 * 1000;
/** Events of one user that may be waiting. */
export const MAX_DELAYED_OF_USER = 100;
/** Events of all users that may be waiting. */
export const MAX_DELAYED = 20_000;
/**
 * Up to this delay the restarts are not logged: clients in a call restart theirs every few seconds. After a start of the server
 * such a delay begins anew, so that nothing is sent too early.
 */
export const SHORT_DELAY_MS = 60_000;
/** When it is tried again to send what could not be sent for a reason that may pass. */
const RETRY_MS = 5_000;
const BUSY_RETRY_MS = 60_000;
/** Delayed events that are over whose end is remembered, for clients that ask again after a lost answer. */
export const MAX_ENDED_REMEMBERED = 10_000;

/** What can be done with a delayed event before its time. */
export const DELAYED_EVENT_ACTIONS = ['send', 'cancel', 'restart'] as const;
export type DelayedEventAction = (typeof DELAYED_EVENT_ACTIONS)[number];

export interface DelayedEventsOptions {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly engine: Pick<ProjectionEngine, 'onAdvance'>;
  /** Sends an event now. With the same transaction id it is sent once. */
  readonly send: (event: DelayedEvent, content: JsonObject) => Promise<unknown>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly newRecordId: () => Uint8Array;
  readonly logger: Logger;
}

interface Waiting {
  event: DelayedEvent;
  timer: NodeJS.Timeout | undefined;
  /** The event that has its place in the room's state as long as nothing changes there; undefined for none. */
  readonly stateBefore: Position | undefined;
  /** Being sent, or its end being recorded. */
  isEnding: boolean;
}

export class DelayedEvents implements Disposable {
  readonly #options: DelayedEventsOptions;
  readonly #waiting = new Map<string, Waiting>();
  /** Those of state events, by the topic of their room. */
  readonly #statesOfRoom = new Map<string, Set<string>>();
  /** How those of late ended, the one that ended first first. */
  readonly #ended = new Map<string, DelayOutcome>();
  readonly #stopListening: () => void;
  #isStopped = false;

  constructor(options: DelayedEventsOptions) {
    this.#options = options;
    this.#stopListening = options.engine.onAdvance((_frontier, touched) => this.#onAdvance(touched));
  }

  /** Takes up what was waiting when the server stopped. */
  start(): void {
    const nowMs = this.#options.clock();
    for (const event of [...delayedEvents(this.#options.reader)]) {
      const beganAtMs = event.delayMs <= SHORT_DELAY_MS ? nowMs : event.startedAtMs;
      this.#wait({ ...event, startedAtMs: beganAtMs });
    }
  }

  /**
   * Has an event sent later; gives the id of the delay. The same transaction is scheduled once.
   * @throws {MatrixError} `M_UNKNOWN` (400) for a delay that is too long, `M_LIMIT_EXCEEDED` where too many are waiting.
   */
  async schedule(event: Omit<DelayedEvent, 'delayId' | 'startedAtMs'>): Promise<string> {
    if (event.delayMs > MAX_DELAY_MS) throw delayTooLong();
    const { newRecordId, clock } = this.#options;
    const scheduled: DelayedEvent = {
      ...event,
      delayId: Buffer.from(newRecordId()).toString('base64url'),
      startedAtMs: clock(),
    };
    const delayId = await this.#change(event.userId, () => {
      const known = this.#sameTransaction(event);
      if (known !== undefined) return { records: [], result: known.delayId };
      if (this.#waiting.size >= MAX_DELAYED || this.#countOf(event.userId) >= MAX_DELAYED_OF_USER) {
        throw limitExceeded(this.#untilNextOf(event.userId));
      }
      return { records: [scheduledRecord(newRecordId(), scheduled)], result: scheduled.delayId };
    });
    if (delayId === scheduled.delayId) this.#wait(scheduled);
    return delayId;
  }

  /** What is to be sent for a user, in the order of sending. */
  of(userId: string): DelayedEvent[] {
    const own = [...this.#waiting.values()].map(({ event }) => event).filter((event) => event.userId === userId);
    return own.sort((a, b) => dueAtMs(a) - dueAtMs(b));
  }

  /**
   * Sends a delayed event now, cancels it, or lets its delay begin anew. Whoever knows the id may. What has been done already, and the
   * client may not have heard of, is done again without effect.
   * @throws {MatrixError} `M_NOT_FOUND`; `M_UNKNOWN` (409) for what ended in another way lately; for `send`, why the event cannot be
   *   sent.
   */
  async act(delayId: string, action: DelayedEventAction): Promise<void> {
    const waiting = this.#waiting.get(delayId);
    if (waiting === undefined && this.#hasDone(delayId, action)) return;
    if (waiting === undefined || waiting.isEnding) throw notFound('There is no such delayed event any more.');
    if (action === 'restart') await this.#restart(waiting);
    else if (action === 'cancel') await this.#end(waiting, 'cancelled');
    else await this.#send(waiting, true);
  }

  /** Whether an event that is over ended as is asked for; clients take it from 404 alone that they cannot restart one. */
  #hasDone(delayId: string, action: DelayedEventAction): boolean {
    const outcome = this.#ended.get(delayId);
    if (outcome === undefined || action === 'restart') return false;
    if ((action === 'send') === (outcome === 'sent')) return true;
    throw new MatrixError('M_UNKNOWN', `The delayed event has been ${outcome} already.`, { status: 409 });
  }

  #untilNextOf(userId: string): number {
    const [next] = this.of(userId);
    return next === undefined ? BUSY_RETRY_MS : Math.max(1, dueAtMs(next) - this.#options.clock());
  }

  [Symbol.dispose](): void {
    this.#isStopped = true;
    this.#stopListening();
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #wait(event: DelayedEvent): void {
    const waiting: Waiting = { event, timer: undefined, stateBefore: this.#stateOf(event), isEnding: false };
    this.#waiting.set(event.delayId, waiting);
    if (event.stateKey !== undefined) {
      const topic = roomTopic(event.roomId);
      const others = this.#statesOfRoom.get(topic);
      if (others === undefined) this.#statesOfRoom.set(topic, new Set([event.delayId]));
      else others.add(event.delayId);
    }
    this.#setTimer(waiting, dueAtMs(event) - this.#options.clock());
  }

  #setTimer(waiting: Waiting, delayMs: number): void {
    clearTimeout(waiting.timer);
    if (this.#isStopped) return;
    waiting.timer = setTimeout(() => void this.#sendAtLast(waiting), Math.max(0, delayMs));
    waiting.timer.unref();
  }

  #forget({ event, timer }: Waiting): void {
    clearTimeout(timer);
    this.#waiting.delete(event.delayId);
    const topic = roomTopic(event.roomId);
    const others = this.#statesOfRoom.get(topic);
    others?.delete(event.delayId);
    if (others?.size === 0) this.#statesOfRoom.delete(topic);
  }

  async #restart(waiting: Waiting): Promise<void> {
    const { clock, newRecordId, reader } = this.#options;
    waiting.event = { ...waiting.event, startedAtMs: clock() };
    const { event } = waiting;
    this.#setTimer(waiting, event.delayMs);
    if (event.delayMs <= SHORT_DELAY_MS) return;
    await this.#change(event.userId, () => ({
      records:
        delayedEventOf(reader, event.userId, event.delayId) === undefined
          ? []
          : [restartedRecord(newRecordId(), event)],
      result: undefined,
    }));
  }

  /** The time has come. What cannot be sent for a reason that may pass is tried again. */
  async #sendAtLast(waiting: Waiting): Promise<void> {
    try {
      await this.#send(waiting, false);
    } catch (error) {
      if (this.#isStopped) return;
      this.#options.logger.warn({ err: error }, 'a delayed event could not be sent; it is tried again');
      waiting.isEnding = false;
      this.#setTimer(waiting, RETRY_MS);
    }
  }

  async #send(waiting: Waiting, tellsRefusal: boolean): Promise<void> {
    if (waiting.isEnding || this.#isStopped) return;
    waiting.isEnding = true;
    clearTimeout(waiting.timer);
    try {
      await this.#options.send(waiting.event, parseJson(waiting.event.contentJson) as JsonObject);
    } catch (error) {
      const isFinal = error instanceof MatrixError && error.status < 500 && error.status !== 429;
      if (isFinal && !tellsRefusal) {
        await this.#end(waiting, 'refused');
        return;
      }
      if (tellsRefusal) {
        waiting.isEnding = false;
        this.#setTimer(waiting, dueAtMs(waiting.event) - this.#options.clock());
      }
      throw error;
    }
    await this.#end(waiting, 'sent');
  }

  async #end(waiting: Waiting, outcome: DelayOutcome): Promise<void> {
    const { newRecordId, reader } = this.#options;
    const { event } = waiting;
    waiting.isEnding = true;
    clearTimeout(waiting.timer);
    try {
      await this.#change(event.userId, () => ({
        records:
          delayedEventOf(reader, event.userId, event.delayId) === undefined
            ? []
            : [endedRecord(newRecordId(), event, outcome)],
        result: undefined,
      }));
    } catch (error) {
      waiting.isEnding = false;
      this.#setTimer(waiting, Math.max(RETRY_MS, dueAtMs(event) - this.#options.clock()));
      throw error;
    }
    this.#forget(waiting);
    this.#ended.set(event.delayId, outcome);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= MAX_ENDED_REMEMBERED) break;
      this.#ended.delete(oldest);
    }
  }

  /** Somebody else has set what a delayed state event would set: it does not come any more. */
  #onAdvance(touched: ReadonlySet<string>): void {
    if (this.#statesOfRoom.size === 0) return;
    for (const [topic, delayIds] of this.#statesOfRoom) {
      if (!touched.has(topic)) continue;
      for (const delayId of delayIds) {
        const waiting = this.#waiting.get(delayId);
        if (waiting === undefined || waiting.isEnding || !this.#isSuperseded(waiting)) continue;
        this.#end(waiting, 'superseded').catch((error: unknown) => {
          this.#options.logger.warn({ err: error }, 'the end of a delayed event could not be recorded');
        });
      }
    }
  }

  #isSuperseded({ event, stateBefore }: Waiting): boolean {
    const now = this.#stateOf(event);
    if (now === undefined || now === stateBefore) return false;
    return eventAt(this.#options.reader, now)?.sender !== event.userId;
  }

  #stateOf({ roomId, type, stateKey }: DelayedEvent): Position | undefined {
    const { reader } = this.#options;
    const room = stateKey === undefined ? undefined : findRoom(reader, roomId);
    return room && stateEventPosition(reader, room.id, type, stateKey ?? '');
  }

  #sameTransaction({ userId, deviceKey, roomId, type, txnId }: Omit<DelayedEvent, 'delayId' | 'startedAtMs'>) {
    if (txnId === undefined) return undefined;
    return this.of(userId).find(
      (one) => one.txnId === txnId && one.deviceKey === deviceKey && one.roomId === roomId && one.type === type,
    );
  }

  #countOf(userId: string): number {
    let count = 0;
    for (const { event } of this.#waiting.values()) if (event.userId === userId) count += 1;
    return count;
  }

  async #change<Result>(
    userId: string,
    decide: () => { readonly records: readonly RecordDraft[]; readonly result: Result },
  ): Promise<Result> {
    const { reader, commands } = this.#options;
    const stream = streamOfUser(reader, userId);
    if (stream === undefined) throw notFound('There is no such user here.');
    return (await commands.run(stream, decide)).result;
  }
}

function dueAtMs({ startedAtMs, delayMs }: DelayedEvent): number {
  return startedAtMs + delayMs;
}

function delayTooLong(): MatrixError {
  return new MatrixError('M_UNKNOWN', `An event can be delayed by at most ${MAX_DELAY_MS} ms.`, {
    status: 400,
    extra: { 'org.matrix.msc4140.errcode': 'M_MAX_DELAY_EXCEEDED', 'org.matrix.msc4140.max_delay': MAX_DELAY_MS },
  });
}
