/**
 * Records what strangers can cause as often as they like: failed sign-ins, refused requests. The first of a kind goes on record at
 * once; those that follow within a minute are counted, and the count goes on record when the minute is over. So an attacker cannot
 * fill the log, and no attempt is left out of it.
 */
import { network } from '#src/http/rate-limit.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Audit, NewAuditEntry } from './audit.ts';

/** How long repetitions are counted into one entry. */
export const WINDOW_MS = 60_000;
/** Kinds that are counted apart. What comes when so many are being counted is counted together. */
export const MAX_KINDS = 1_000;

export interface RepeatsOptions {
  readonly audit: Pick<Audit, 'record'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
}

interface Window {
  readonly entry: NewAuditEntry;
  readonly endsAtMs: number;
  /** Since the first, which is on record. */
  more: number;
}

export class Repeats {
  readonly #audit: Pick<Audit, 'record'>;
  readonly #clock: () => number;
  readonly #logger: Logger;
  /** By kind; in the order in which they end. */
  readonly #windows = new Map<string, Window>();
  readonly #timer: NodeJS.Timeout;

  constructor({ audit, clock, logger }: RepeatsOptions) {
    this.#audit = audit;
    this.#clock = clock;
    this.#logger = logger;
    this.#timer = setInterval(() => void this.flush(this.#clock()), WINDOW_MS);
    this.#timer.unref();
  }

  /**
   * Resolves when the first of a kind is on record, at once for those after it.
   * @param subject what makes it one of a kind beside the action and the network of the address: an account as it was named.
   */
  async note(entry: NewAuditEntry, subject: string): Promise<void> {
    const nowMs = this.#clock();
    await this.flush(nowMs);
    const kind = `${entry.action} ${network(entry.ip ?? '')} ${subject}`;
    const known = this.#windows.get(kind);
    if (known !== undefined) {
      known.more += 1;
      return;
    }
    if (this.#windows.size < MAX_KINDS) {
      this.#windows.set(kind, { entry, endsAtMs: nowMs + WINDOW_MS, more: 0 });
      await this.#audit.record(entry);
      return;
    }
    const others = this.#windows.get(entry.action);
    const { actor: _actor, target: _target, ip: _ip, ...rest } = entry;
    if (others !== undefined) others.more += 1;
    else
      this.#windows.set(entry.action, {
        entry: { ...rest, actor: { kind: 'stranger' } },
        endsAtMs: nowMs + WINDOW_MS,
        more: 1,
      });
  }

  /** Puts the counts of all windows on record that are over at a time. Never rejects. */
  async flush(nowMs: number): Promise<void> {
    const over: Window[] = [];
    for (const [kind, window] of this.#windows) {
      // A clock that was set back must not keep windows open.
      if (window.endsAtMs > nowMs && window.endsAtMs <= nowMs + WINDOW_MS) break;
      this.#windows.delete(kind);
      if (window.more > 0) over.push(window);
    }
    const written = await Promise.allSettled(
      over.map(({ entry, more }) => this.#audit.record({ ...entry, count: more })),
    );
    const failed = written.find((one) => one.status === 'rejected');
    if (failed !== undefined)
      this.#logger.warn({ err: failed.reason }, 'counts of failed attempts could not be recorded');
  }

  /** Puts what was counted on record. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush(Number.MAX_SAFE_INTEGER);
  }
}
