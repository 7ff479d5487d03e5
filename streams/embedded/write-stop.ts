/** Whether a log takes appends, and if not, why and for how long. */
import { NotWritten, OutcomeUnknown, type WriteState } from '../event-log.ts';
import { errorCode, isOutOfSpace } from './files.ts';

/** How long appends are turned down after a full disk, before one tries again; doubled each time up to the most. */
export const RETRY_MS = 250;
const MAX_RETRY_MS = 10_000;

/** `retryAtMs` (of the monotonic clock) where it will be tried again. */
interface Stopped {
  readonly reason: string;
  readonly retryAtMs: number | undefined;
}

export class WriteStop {
  readonly #folder: string;
  readonly #firstRetryMs: number;
  #stopped: Stopped | undefined;
  #retryMs: number;

  /** `folder`: what is written, for messages. `retryMs`: default {@link RETRY_MS}. */
  constructor(folder: string, retryMs = RETRY_MS) {
    this.#folder = folder;
    this.#firstRetryMs = retryMs;
    this.#retryMs = retryMs;
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** Why an append is turned down now, or undefined. */
  refusal(): string | undefined {
    if (this.#stopped === undefined) return undefined;
    const { reason, retryAtMs } = this.#stopped;
    return retryAtMs !== undefined && performance.now() >= retryAtMs ? undefined : reason;
  }

  writeState(): WriteState {
    return this.#stopped === undefined ? { writable: true } : { writable: false, reason: this.#stopped.reason };
  }

  /** Something was written: all is well. */
  clear(): void {
    this.#stopped = undefined;
    this.#retryMs = this.#firstRetryMs;
  }

  /** The outcome of a commit is unknown: nothing more is written until the log is opened again. */
  forGood(what: string): OutcomeUnknown {
    this.#stopped = {
      reason: `the disk failed (${what}); check the disk, then restart the server`,
      retryAtMs: undefined,
    };
    return new OutcomeUnknown(`${what}. After a restart the records are either all there or not at all.`);
  }

  /** Nothing of a commit is there. A full disk is the one failure after which it is tried again. */
  after(error: unknown, consequence: string): NotWritten {
    if (isOutOfSpace(error)) {
      const help = 'free some space, writing goes on by itself';
      const reason = `the disk with ${this.#folder} is full (${messageOf(error)}); ${help}`;
      this.#stopped = { reason, retryAtMs: performance.now() + this.#retryMs };
      this.#retryMs = Math.min(MAX_RETRY_MS, 2 * this.#retryMs);
    } else {
      const help =
        errorCode(error) === 'EROFS'
          ? 'mount the file system for writing, then restart the server'
          : 'check the disk, then restart the server';
      const reason = `the log in ${this.#folder} cannot be written (${messageOf(error)}; ${consequence}); ${help}`;
      this.#stopped = { reason, retryAtMs: undefined };
    }
    return new NotWritten(this.#stopped.reason);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
