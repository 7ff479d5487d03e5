/** A push gateway in this process, and time that a test moves. */
import type { Gateway, GatewayAnswer } from '#src/push/sender/gateway.ts';

/** A notification as it came, and how to answer it. */
export interface Taken {
  readonly url: string;
  readonly notification: Record<string, unknown>;
  answer(answer?: Partial<GatewayAnswer>): void;
  fail(error?: Error): void;
}

export class TestGateway implements Gateway {
  /** Everything that came, in order. */
  readonly all: Taken[] = [];
  /** Whether to answer by itself. */
  answers = true;
  /** What it fails with by itself, if anything. */
  failure: Error | undefined;
  #read = 0;
  #wake: () => void = () => undefined;

  notify(url: string, bodyJson: string, signal: AbortSignal): Promise<GatewayAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<GatewayAnswer>();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    const { notification } = JSON.parse(bodyJson) as { notification: Record<string, unknown> };
    const taken: Taken = {
      url,
      notification,
      answer: (answer = {}) => resolve({ rejected: [], ...answer }),
      fail: (error = new Error('unwilling')) => reject(error),
    };
    this.all.push(taken);
    if (this.failure !== undefined) taken.fail(this.failure);
    else if (this.answers) taken.answer();
    this.#wake();
    return promise;
  }

  /** The next notification that the test has not seen. */
  async next(): Promise<Taken> {
    for (;;) {
      const taken = this.all[this.#read];
      if (taken !== undefined) {
        this.#read += 1;
        return taken;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  /** Those that came and that the test has not seen. */
  get unseen(): readonly Taken[] {
    return this.all.slice(this.#read);
  }
}

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** Timers that go off when the test says. */
export class TestTimers {
  nowMs = 1_700_000_000_000;
  readonly pending = new Set<Timer>();

  readonly schedule = (delayMs: number, callback: () => void): (() => void) => {
    const timer: Timer = { atMs: this.nowMs + delayMs, callback };
    this.pending.add(timer);
    return () => this.pending.delete(timer);
  };

  /** Lets time pass, and what is due go off, in order. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const due = [...this.pending].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.nowMs = due.atMs;
      this.pending.delete(due);
      due.callback();
    }
    this.nowMs = untilMs;
  }

  /** Milliseconds until the next timer. */
  get nextInMs(): number {
    return Math.min(...[...this.pending].map(({ atMs }) => atMs)) - this.nowMs;
  }
}

/** Lets everything that does not wait for a timer or a gateway happen. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
