import type { MessagePort } from 'node:worker_threads';
import type { ProjectedLog } from '#projections/engine/projection.ts';
import type { LogRecord, Position, Subscriber, Subscription, SubscriptionPhase } from '#streams/event-log.ts';
import { type FromIndex, type ToIndex, unpackRecords } from './feed-messages.ts';

/** The log as an index sees it that is fed through a port. It has one subscription. */
export class FedLog implements ProjectedLog {
  readonly #port: MessagePort;
  #head: Position;
  #subscription: FedSubscription | undefined;
  #answerRead: ((record: LogRecord | undefined) => void) | undefined;
  #reading: Promise<unknown> = Promise.resolve();
  /** Once it is over: why, if that is known. */
  #over: { readonly error: Error | undefined } | undefined;

  /** @param head Position of the last record that the log has. */
  constructor(port: MessagePort, head: Position) {
    this.#port = port;
    this.#head = head;
  }

  head(): Position {
    return this.#head;
  }

  readAt(position: Position): Promise<LogRecord | undefined> {
    const read = this.#reading.then(
      () =>
        new Promise<LogRecord | undefined>((resolve) => {
          this.#answerRead = resolve;
          this.#tell({ kind: 'read', position });
        }),
    );
    this.#reading = read;
    return read;
  }

  subscribeAll(from: Position, subscriber: Subscriber): Subscription {
    const subscription = new FedSubscription(subscriber);
    this.#subscription = subscription;
    const over = this.#over;
    if (over === undefined) this.#tell({ kind: 'subscribe', from });
    else queueMicrotask(() => subscription.end(over.error));
    return subscription;
  }

  /** Takes a message that came through the port. */
  receive(message: ToIndex): void {
    switch (message.kind) {
      case 'records':
        this.#head = Math.max(this.#head, message.head);
        this.#subscription?.deliver(unpackRecords(message.packed));
        this.#tell({ kind: 'applied' });
        return;
      case 'live':
        this.#subscription?.goLive();
        return;
      case 'end':
        this.#over = { error: message.reason === undefined ? undefined : new Error(message.reason) };
        this.#subscription?.end(this.#over.error);
        return;
      case 'read':
        this.#answerRead?.(unpackRecords(message.packed)[0]);
        return;
      case 'close':
        return;
    }
  }

  #tell(message: FromIndex): void {
    this.#port.postMessage(message);
  }
}

class FedSubscription implements Subscription {
  readonly live: Promise<void>;
  readonly #subscriber: Subscriber;
  #phase: SubscriptionPhase = 'backfill';
  #isOver = false;
  #reachedLive: () => void = () => undefined;
  #missedLive: (error: Error) => void = () => undefined;

  constructor(subscriber: Subscriber) {
    this.#subscriber = subscriber;
    this.live = new Promise((resolve, reject) => {
      this.#reachedLive = resolve;
      this.#missedLive = reject;
    });
    // Whoever does not look at `live` must not be told of its rejection by a crash.
    this.live.catch(() => undefined);
  }

  get phase(): SubscriptionPhase {
    return this.#phase;
  }

  async stop(): Promise<void> {
    this.end(undefined);
  }

  deliver(records: readonly LogRecord[]): void {
    if (this.#isOver) return;
    try {
      this.#subscriber.onRecords(records);
    } catch (error) {
      this.end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  goLive(): void {
    if (this.#isOver || this.#phase === 'live') return;
    this.#phase = 'live';
    try {
      this.#subscriber.onPhase?.('live');
      this.#reachedLive();
    } catch (error) {
      this.end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  end(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#missedLive(error ?? new Error('the subscription was stopped'));
    this.#subscriber.onEnd?.(error);
  }
}
