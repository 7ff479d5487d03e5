/**
 * Bodies of requests on their way into memory: how many bytes of them there may be at once, and how slowly they may come. Whoever
 * sends is not known yet, so this is the same for all.
 */
import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';

/** Most bytes of bodies that are in memory at the same time, from their first byte until their requests are answered. */
export const MAX_HELD_BYTES = 512 * 1024 * 1024;
/** What one request may hold even then: most need no more. */
export const SMALL_BODY_BYTES = 64 * 1024;
/** For so long a body may come as slowly as it likes. */
export const PATIENCE_MS = 60_000;
/** After that, so many bytes a second since its beginning: what the worst of mobile networks still brings. */
export const MIN_BYTES_PER_SECOND = 1024;
const SWEEP_INTERVAL_MS = 5_000;

export interface HeldBodiesOptions {
  /** Monotonic clock in milliseconds; default `performance.now`. */
  readonly now?: () => number;
  /** Default {@link MAX_HELD_BYTES}. */
  readonly maxBytes?: number;
}

interface Coming {
  readonly request: IncomingMessage;
  readonly startedMs: number;
  bytes: number;
}

/** Keeps account of bodies, and breaks connections off whose bodies are too much. */
export class HeldBodies {
  readonly #now: () => number;
  readonly #maxBytes: number;
  /** Not here in full yet; the one that began first in front. */
  readonly #coming = new Set<Coming>();
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ now = () => performance.now(), maxBytes = MAX_HELD_BYTES }: HeldBodiesOptions = {}) {
    this.#now = now;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of bodies whose requests are not answered. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** To be called in the turn in which somebody begins to read the body. */
  watch(request: IncomingMessage, response: EventEmitter): void {
    const coming: Coming = { request, startedMs: this.#now(), bytes: 0 };
    this.#coming.add(coming);
    this.#startSweeping();
    request.on('data', (chunk: Buffer) => {
      coming.bytes += chunk.length;
      this.#heldBytes += chunk.length;
      if (this.#heldBytes > this.#maxBytes) this.#makeRoom();
    });
    request.once('end', () => this.#coming.delete(coming));
    response.once('close', () => {
      this.#coming.delete(coming);
      this.#heldBytes -= coming.bytes;
      coming.bytes = 0;
    });
  }

  /** Breaks off what comes too slowly. It happens by itself, now and then. */
  sweep(): void {
    const now = this.#now();
    for (const coming of this.#coming) {
      const elapsedMs = now - coming.startedMs;
      if (elapsedMs <= PATIENCE_MS) break;
      if (coming.bytes < (elapsedMs / 1000) * MIN_BYTES_PER_SECOND) this.#breakOff(coming);
    }
    if (this.#coming.size === 0) this.#stopSweeping();
  }

  /** Of those that are not here yet the one that began first has had the most time. */
  #makeRoom(): void {
    for (const coming of this.#coming) {
      if (this.#heldBytes <= this.#maxBytes) return;
      if (coming.bytes > SMALL_BODY_BYTES) this.#breakOff(coming);
    }
  }

  #breakOff(coming: Coming): void {
    this.#coming.delete(coming);
    this.#heldBytes -= coming.bytes;
    coming.bytes = 0;
    coming.request.destroy();
  }

  #startSweeping(): void {
    this.#timer ??= setInterval(() => this.sweep(), SWEEP_INTERVAL_MS).unref();
  }

  #stopSweeping(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
