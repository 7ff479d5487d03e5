/**
 * Progress of long work on standard error: a bar with rate and time left on a terminal, a line now and then elsewhere.
 * Nothing is printed for work that ends before the first interval.
 */

/** How often the bar on a terminal is drawn. */
const BAR_INTERVAL_MS = 100;
/** How often a line is written where there is no terminal. */
const LINE_INTERVAL_MS = 5_000;
const BAR_CELLS = 28;
/** Columns when the terminal does not say. */
const DEFAULT_COLUMNS = 80;

/** Where progress is written: the part of a `tty.WriteStream` that is used. */
export interface ProgressOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface ProgressOptions {
  /** What is being done, as a short noun phrase: `Verifying`, `Rebuilding projections`. */
  readonly label: string;
  /** How much there is to do, in `unit`; leave out if unknown. */
  readonly total?: number;
  /** What is counted, in the plural: `records`, `events`. */
  readonly unit: string;
  /** Default standard error. */
  readonly output?: ProgressOutput;
  /** Monotonic clock in milliseconds; default `performance.now`. */
  readonly now?: () => number;
}

/** A running display. Drive it with {@link update}; it draws at most every interval, so calling often is cheap. */
export interface Progress {
  /** Sets how much is done so far (not what was added), and the total if it changed. */
  update(done: number, total?: number): void;
  /** Draws the last state, ends the line. Says nothing if nothing was drawn before. Calling it again does nothing. */
  finish(): void;
}

/** Starts a display; the clock for the rate starts now. */
export function startProgress(options: ProgressOptions): Progress {
  const output: ProgressOutput = options.output ?? process.stderr;
  const now = options.now ?? (() => performance.now());
  const isTerminal = output.isTTY === true;
  const intervalMs = isTerminal ? BAR_INTERVAL_MS : LINE_INTERVAL_MS;
  const startedMs = now();
  let drawnMs = startedMs;
  let done = 0;
  let total = options.total;
  let hasDrawn = false;
  let isFinished = false;

  const draw = (): void => {
    hasDrawn = true;
    const seconds = (now() - startedMs) / 1000;
    const text = describe(options.label, options.unit, done, total, seconds);
    if (!isTerminal) {
      output.write(`${text}\n`);
      return;
    }
    const columns = output.columns ?? DEFAULT_COLUMNS;
    const line = total === undefined ? text : `${bar(done, total)} ${text}`;
    output.write(`\r\x1b[K${line.length < columns ? line : text.slice(0, columns - 1)}`);
  };

  return {
    update(newDone, newTotal) {
      if (isFinished) return;
      done = newDone;
      if (newTotal !== undefined) total = newTotal;
      const time = now();
      if (time - drawnMs < intervalMs) return;
      drawnMs = time;
      draw();
    },
    finish() {
      if (isFinished) return;
      isFinished = true;
      if (!hasDrawn) return;
      draw();
      if (isTerminal) output.write('\n');
    },
  };
}

function bar(done: number, total: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 1;
  const filled = Math.round(share * BAR_CELLS);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_CELLS - filled)}]`;
}

function describe(label: string, unit: string, done: number, total: number | undefined, seconds: number): string {
  const rate = seconds > 0 ? done / seconds : 0;
  const parts = [`${label}: ${count(done)}`];
  if (total !== undefined) {
    const percent = total > 0 ? Math.floor((100 * Math.min(done, total)) / total) : 100;
    parts.push(` of ${count(total)} ${unit} (${percent} %)`);
  } else {
    parts.push(` ${unit}`);
  }
  parts.push(`, ${count(Math.round(rate))}/s`);
  if (total !== undefined && rate > 0 && done < total) parts.push(`, ${formatSeconds((total - done) / rate)} left`);
  return parts.join('');
}

/** A whole number with commas between thousands, whatever the locale. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Seconds as `7 s`, `3 min 05 s` or `2 h 07 min`, rounded up. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value: number): string => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}
