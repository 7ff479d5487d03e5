/** Progress of applying many records. */
import type { Position } from '#streams/event-log.ts';

/** How often progress is told. */
const INTERVAL_MS = 1_000;

/** What is told of a rebuild or of catching up. */
export interface EngineProgress {
  /** Why it is done, as a sentence without a full stop. */
  readonly reason: string;
  /** Records applied so far. */
  readonly records: number;
  /** Where it is, and where the log ends: the share that is done, not a count. */
  readonly position: Position;
  readonly head: Position;
  readonly recordsPerSecond: number;
  readonly isDone: boolean;
}

export type ProgressListener = (progress: EngineProgress) => void;

/** Tells a listener now and then, and once when it is done. */
export class ProgressMeter {
  readonly #reason: string;
  readonly #listener: ProgressListener | undefined;
  readonly #startedMs = performance.now();
  #toldMs = this.#startedMs;
  #records = 0;

  constructor(reason: string, listener: ProgressListener | undefined) {
    this.#reason = reason;
    this.#listener = listener;
  }

  get records(): number {
    return this.#records;
  }

  add(count: number, position: Position, head: Position): void {
    this.#records += count;
    const now = performance.now();
    if (now - this.#toldMs < INTERVAL_MS) return;
    this.#toldMs = now;
    this.#tell(position, head, false);
  }

  done(position: Position, head: Position): void {
    this.#tell(position, head, true);
  }

  #tell(position: Position, head: Position, isDone: boolean): void {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const recordsPerSecond = seconds > 0 ? Math.round(this.#records / seconds) : 0;
    this.#listener?.({ reason: this.#reason, records: this.#records, position, head, recordsPerSecond, isDone });
  }
}
