/**
 * What the server says to its operator, as JSON lines on standard error.
 *
 * Secrets stay out of it by construction: requests are logged by route, never by URL or header, and configuration is
 * never logged as a whole.
 */
import { type DestinationStream, destination, type Logger as PinoLogger, pino } from 'pino';

/** From the loudest to the quietest; `silent` writes nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Writes structured log lines: `log.info({ room: id }, 'a sentence')`. */
export type Logger = PinoLogger;

/** Lines are gathered up to this many bytes before they are written. */
const BUFFER_BYTES = 4096;
/** The longest a line waits in the buffer. */
const FLUSH_INTERVAL_MS = 200;

const STDERR = 2;

export interface LogOutput {
  readonly log: Logger;
  /** Writes what is still in the buffer; to be called before the process ends. */
  flush(): void;
}

function levels(level: LogLevel) {
  return {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
}

/**
 * The log of a server process, to standard error. Lines are written in batches at most {@link FLUSH_INTERVAL_MS} late;
 * the buffer is also written when the process exits in order.
 */
export function openLog(level: LogLevel): LogOutput {
  const output = destination({ fd: STDERR, sync: false, minLength: BUFFER_BYTES });
  const log = pino(levels(level), output);
  setInterval(() => output.flush(), FLUSH_INTERVAL_MS).unref();
  return {
    log,
    flush: () => {
      try {
        output.flushSync();
      } catch {
        // The output is gone (a closed pipe), or was never ready: there is nobody left to read it.
      }
    },
  };
}

/** A log that writes each line to `stream` at once. */
export function logTo(stream: DestinationStream, level: LogLevel = 'info'): Logger {
  return pino(levels(level), stream);
}

/** A log that writes nothing. */
export function silentLog(): Logger {
  return pino({ level: 'silent' });
}
