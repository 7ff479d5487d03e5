/**
 * One subscription: reads what was there before (backfill), closes the gap to the present while commits queue up
 * (cutover), then is fed by each commit (live). Every record after the start is delivered once, in order.
 */
import type { LogRecord, Position, Subscriber, Subscription, SubscriptionPhase } from './event-log.ts';

/** Most records that wait for a subscriber before it falls back to reading them. */
export const MAX_LAG_RECORDS = 8192;
/** Most bytes of sections that wait for a subscriber before it falls back to reading them. */
export const MAX_LAG_BYTES = 16 * 1024 * 1024;

/** What a subscription needs of its log. */
export interface SubscriptionSource {
  head(): Position;
  readAll(from: Position): AsyncIterable<readonly LogRecord[]>;
}

export class LogSubscription implements Subscription {
  readonly live: Promise<void>;
  readonly #source: SubscriptionSource;
  readonly #subscriber: Subscriber;
  readonly #onOver: (subscription: LogSubscription) => void;
  #phase: SubscriptionPhase = 'backfill';
  /** Position of the last record delivered. */
  #at: Position;
  /** Commits that wait while the subscriber is busy or catching up. */
  #waiting: (readonly LogRecord[])[] = [];
  #waitingRecords = 0;
  #waitingBytes = 0;
  #overflowed = false;
  /** What runs outside of commits: catching up, or an asynchronous subscriber. */
  #running: Promise<void> | undefined;
  #over = false;
  #reachedLive: () => void = () => undefined;
  #missedLive: (error: Error) => void = () => undefined;

  constructor(
    source: SubscriptionSource,
    from: Position,
    subscriber: Subscriber,
    onOver: (subscription: LogSubscription) => void,
  ) {
    this.#source = source;
    this.#subscriber = subscriber;
    this.#onOver = onOver;
    this.#at = from;
    this.live = new Promise((resolve, reject) => {
      this.#reachedLive = resolve;
      this.#missedLive = reject;
    });
    // Whoever does not look at `live` must not be told of its rejection by a crash.
    this.live.catch(() => undefined);
    this.#running = Promise.resolve().then(() => this.#catchUp());
  }

  get phase(): SubscriptionPhase {
    return this.#phase;
  }

  /** Takes the records of a commit that has just become durable. Never throws. */
  offer(records: readonly LogRecord[]): void {
    if (this.#over || this.#phase === 'backfill') return;
    if (this.#phase === 'live' && this.#running === undefined) {
      const pending = this.#deliver(records);
      if (pending !== undefined) this.#running = pending.then(() => this.#drain());
      return;
    }
    if (this.#overflowed) return;
    this.#waiting.push(records);
    this.#waitingRecords += records.length;
    this.#waitingBytes += sectionBytes(records);
    if (this.#waitingRecords > MAX_LAG_RECORDS || this.#waitingBytes > MAX_LAG_BYTES) {
      this.#overflowed = true;
      this.#forgetWaiting();
    }
  }

  async stop(): Promise<void> {
    this.#end();
    await this.#running;
  }

  async #catchUp(): Promise<void> {
    try {
      while (!this.#over) {
        this.#enter('backfill');
        await this.#readTo(this.#source.head());
        if (this.#over) return;
        // From here on commits queue up; what the head says now is read, what comes later is in the queue.
        this.#overflowed = false;
        this.#forgetWaiting();
        this.#enter('cutover');
        await this.#readTo(this.#source.head());
        if (await this.#deliverWaiting()) return this.#goLive();
      }
    } catch (error) {
      this.#end(asError(error));
    }
  }

  /** After an asynchronous subscriber is done with a live batch: what came meanwhile. */
  async #drain(): Promise<void> {
    if (await this.#deliverWaiting()) return this.#goLive();
    if (!this.#over) await this.#catchUp();
  }

  /** Runs in the same turn as the last look at the empty queue, so no commit can come between. */
  #goLive(): void {
    this.#running = undefined;
    this.#enter('live');
    this.#reachedLive();
  }

  /** True when the queue is empty; false if it overflowed or the subscription is over. */
  async #deliverWaiting(): Promise<boolean> {
    for (;;) {
      if (this.#over || this.#overflowed) return false;
      const records = this.#waiting.shift();
      if (records === undefined) return true;
      this.#waitingRecords -= records.length;
      this.#waitingBytes -= sectionBytes(records);
      const pending = this.#deliver(records);
      if (pending !== undefined) await pending;
    }
  }

  async #readTo(goal: Position): Promise<void> {
    if (this.#at >= goal) return;
    for await (const records of this.#source.readAll(this.#at)) {
      const pending = this.#deliver(records);
      if (pending !== undefined) await pending;
      if (this.#over || this.#at >= goal) return;
    }
  }

  /** Calls the subscriber; gives a promise if it is not done. A throw ends the subscription and is not passed on. */
  #deliver(records: readonly LogRecord[]): Promise<void> | undefined {
    const last = records.at(-1);
    if (last === undefined || last.position <= this.#at || this.#over) return undefined;
    const first = records[0];
    const at = this.#at;
    const fresh = first !== undefined && first.position > at ? records : records.filter((one) => one.position > at);
    this.#at = last.position;
    try {
      const answer = this.#subscriber.onRecords(fresh);
      if (answer === undefined) return undefined;
      return Promise.resolve(answer).catch((error: unknown) => this.#end(asError(error)));
    } catch (error) {
      this.#end(asError(error));
      return undefined;
    }
  }

  #enter(phase: SubscriptionPhase): void {
    if (this.#over || (this.#phase === phase && phase !== 'backfill')) return;
    this.#phase = phase;
    this.#call(() => this.#subscriber.onPhase?.(phase));
  }

  #end(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#forgetWaiting();
    this.#missedLive(error ?? new Error('the subscription was stopped'));
    this.#onOver(this);
    this.#call(() => this.#subscriber.onEnd?.(error));
  }

  #forgetWaiting(): void {
    this.#waiting = [];
    this.#waitingRecords = 0;
    this.#waitingBytes = 0;
  }

  /** A subscriber's notices must not harm the log or the other subscribers. */
  #call(notice: () => void): void {
    try {
      notice();
    } catch (error) {
      this.#end(asError(error));
    }
  }
}

function sectionBytes(records: readonly LogRecord[]): number {
  let bytes = 0;
  for (const { sections } of records) for (const section of sections) bytes += section?.length ?? 0;
  return bytes;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
