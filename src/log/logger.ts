/**
 * What the server says to its operator, as JSON lines on standard error.
 *
 * Secrets stay out of it by construction: requests are logged by route, never by URL or header, and configuration is
 * never logged as a whole.
 */
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';
import { BufferedOutput } from './buffered-output.ts';

/** From the loudest to the quietest; `silent` writes nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Writes structured log lines: `log.info({ room: id }, 'a sentence')`. */
export type Logger = PinoLogger;

const STDERR = 2;

export interface LogOutput {
  readonly log: Logger;
  /** Writes what is still in the buffer; to be called before the process ends. */
  flush(): void;
}

let stampedMs = 0;
let stamp = '';

/** The time as pino wants it. Lines of one millisecond share the text. */
function timestamp(): string {
  const nowMs = Date.now();
  if (nowMs !== stampedMs) {
    stampedMs = nowMs;
    stamp = `,"time":"${new Date(nowMs).toISOString()}"`;
  }
  return stamp;
}

function levels(level: LogLevel) {
  return { level, base: null, timestamp, formatters: { level: (label: string) => ({ level: label }) } };
}

/** The log of a server process, to standard error. What is in the buffer is also written when the process exits in order. */
export function openLog(level: LogLevel): LogOutput {
  const output = new BufferedOutput(STDERR);
  const flush = (): void => output.flushSync();
  process.on('exit', flush);
  return { log: pino(levels(level), output), flush };
}

/** A log that writes each line to `stream` at once. */
export function logTo(stream: DestinationStream, level: LogLevel = 'info'): Logger {
  return pino(levels(level), stream);
}

/** A log that writes nothing. */
export function silentLog(): Logger {
  return pino({ level: 'silent' });
}
