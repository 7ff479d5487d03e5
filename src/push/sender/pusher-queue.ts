/**
 * What one pusher still has to send, one notification after the other. A gateway that takes none is tried again after ever
 * longer pauses; what is too old by then is given up.
 */
import type { ActivePusher } from '#projections/pushers/projection.ts';
import type { Position } from '#streams/event-log.ts';
import type { Outcome } from '../evaluate.ts';
import { type GatewayAnswer, GatewayFailed } from './gateway.ts';
import { wantsCounts } from './notification.ts';

/** Notifications that wait for one gateway; beyond it the oldest are given up. */
export const MAX_WAITING = 100;
/** The first pause after a failure, and the longest. */
export const FIRST_PAUSE_MS = 1000;
export const LONGEST_PAUSE_MS = 60 * 60 * 1000;
/** Pauses double so often that the longest is reached before this. */
const MAX_DOUBLINGS = 20;
/** How long a notification is worth sending. */
export const MAX_AGE_MS = 24 * 60 * 60 * 1000;

/** An event that a user is to hear of. */
export interface Waiting {
  readonly room: Position;
  readonly event: Position;
  /** Place of the event in the order in which events came to be shown. */
  readonly place: Position;
  readonly outcome: Outcome;
  readonly sinceMs: number;
}

/** What a queue sends next: an event, or only how much is unread. */
export type Next = { readonly kind: 'event'; readonly waiting: Waiting } | { readonly kind: 'counts' };

export interface PusherQueueOptions {
  readonly clock: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Calls back after a time, unless the function that it gives is called before. */
  readonly schedule: (delayMs: number, callback: () => void) => () => void;
  /**
   * Sends what is next. Resolves with undefined where there was nothing to say after all; rejects with GatewayFailed, or
   * anything else, if it is to be tried again.
   */
  readonly send: (queue: PusherQueue, next: Next) => Promise<GatewayAnswer | undefined>;
  /** The gateway says that the pushkey is not valid any more. */
  readonly onRejected: (queue: PusherQueue) => void;
}

export class PusherQueue {
  readonly #options: PusherQueueOptions;
  readonly #waiting: Waiting[] = [];
  active: ActivePusher;
  /** What the gateway was told last of how much is unread; undefined where that is not known. */
  toldUnread: number | undefined;
  /** Place of the last event that was sent or given up. */
  sentUpTo: Position;
  failingSinceMs: number | undefined;
  #hasNewCounts = false;
  #failures = 0;
  #isSending = false;
  #isStopped = false;
  #cancelPause: (() => void) | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(active: ActivePusher, options: PusherQueueOptions) {
    this.active = active;
    this.sentUpTo = active.sentUpTo;
    this.failingSinceMs = active.failingSinceMs;
    this.#options = options;
    // A gateway that failed before a restart is not overrun by all that wait for it.
    if (active.failingSinceMs !== undefined) {
      this.#failures = Math.ceil(Math.log2(Math.max(options.clock() - active.failingSinceMs, 1) / FIRST_PAUSE_MS + 1));
      this.#pause(undefined);
    }
  }

  /** Its user has set the pusher again, perhaps to repair it. */
  renew(active: ActivePusher): void {
    if (active.setAt === this.active.setAt) return;
    this.active = active;
    this.#failures = 0;
    this.#cancelPause?.();
    this.#cancelPause = undefined;
    this.#pump();
  }

  /** Adds an event, unless it was sent before. */
  add(waiting: Waiting): void {
    if (waiting.place <= this.sentUpTo || waiting.place <= (this.#waiting.at(-1)?.place ?? -1)) return;
    this.#waiting.push(waiting);
    // The first may be on its way.
    if (this.#waiting.length > MAX_WAITING) this.#waiting.splice(this.#isSending ? 1 : 0, 1);
    this.#pump();
  }

  /** What is unread may have changed without an event to tell of. */
  tellCounts(): void {
    if (!wantsCounts(this.active)) return;
    this.#hasNewCounts = true;
    this.#pump();
  }

  /** Sends nothing more; resolves when nothing is on its way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelPause?.();
    await this.#sending;
  }

  #pump(): void {
    if (this.#isSending || this.#isStopped || this.#cancelPause !== undefined) return;
    if (this.#waiting.length === 0 && !this.#hasNewCounts) return;
    this.#isSending = true;
    this.#sending = this.#sendNext().finally(() => {
      this.#isSending = false;
      this.#pump();
    });
  }

  async #sendNext(): Promise<void> {
    const { clock, send, onRejected } = this.#options;
    const waiting = this.#waiting[0];
    if (waiting !== undefined && clock() - waiting.sinceMs > MAX_AGE_MS) {
      this.#done(waiting);
      return;
    }
    // Whatever is sent says how much is unread.
    this.#hasNewCounts = false;
    try {
      const answer = await send(this, waiting === undefined ? { kind: 'counts' } : { kind: 'event', waiting });
      if (waiting !== undefined) this.#done(waiting);
      if (answer === undefined) return;
      this.#failures = 0;
      this.failingSinceMs = undefined;
      if (answer.rejected.includes(this.active.pusher.pushkey)) onRejected(this);
    } catch (error) {
      if (this.#isStopped) return;
      if (waiting === undefined) this.#hasNewCounts = true;
      this.failingSinceMs ??= clock();
      this.#failures += 1;
      this.#pause(error instanceof GatewayFailed ? error.retryAfterMs : undefined);
    }
  }

  #done(waiting: Waiting): void {
    this.sentUpTo = Math.max(this.sentUpTo, waiting.place);
    this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
  }

  #pause(retryAfterMs: number | undefined): void {
    const { random, schedule } = this.#options;
    const pauseMs = FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, MAX_DOUBLINGS);
    // Spread out, so that what failed together does not come back together.
    const spreadMs = Math.min(pauseMs, LONGEST_PAUSE_MS) * (0.5 + random() / 2);
    this.#cancelPause = schedule(Math.min(Math.max(spreadMs, retryAfterMs ?? 0), LONGEST_PAUSE_MS), () => {
      this.#cancelPause = undefined;
      this.#pump();
    });
  }
}
