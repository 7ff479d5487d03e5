/**
 * Passes entries on to one sink, in order, from where it was. It reads committed entries a batch at a time when the sink is
 * ready for them, so it holds nothing up and nothing piles up; its position is kept in a file, so that a restart goes on there.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AUDIT_TOPIC } from '#projections/audit/projection.ts';
import { auditEntriesAfter } from '#projections/audit/queries.ts';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Logger } from '#src/log/logger.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { auditEntryJson } from '../entry-json.ts';
import type { AuditSink } from './sink.ts';

/** Most entries that are sent at once. */
const BATCH_SIZE = 200;
/** How long until the sink is tried again after it failed: doubled each time, up to the longest. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

export interface ForwarderOptions {
  readonly engine: Pick<ProjectionEngine, 'reader' | 'onAdvance'>;
  readonly sink: AuditSink;
  /** Keeps the position. */
  readonly file: string;
  readonly logger: Logger;
  /** Waits before the sink is tried again. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #closer = new AbortController();
  #running: Promise<void> | undefined;
  #wake: () => void = () => {};
  #position: Position = BEFORE_FIRST;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Position of the last entry that was sent. */
  get position(): Position {
    return this.#position;
  }

  start(): void {
    const { logger, sink } = this.#options;
    this.#running ??= this.#run().catch((error: unknown) => {
      logger.error({ err: error, sink: sink.name }, 'the audit log is not passed on any more');
    });
  }

  /** Ends after the batch under way. What was not sent is sent after the next start. */
  async close(): Promise<void> {
    this.#closer.abort();
    this.#wake();
    await this.#running;
    await this.#options.sink.close();
  }

  async #run(): Promise<void> {
    const { engine, sink, logger, wait = waitFor } = this.#options;
    const { signal } = this.#closer;
    let news = Promise.withResolvers<void>();
    this.#wake = () => news.resolve();
    const stop = engine.onAdvance((_frontier, touched) => {
      if (touched.has(AUDIT_TOPIC)) this.#wake();
    });
    this.#position = await this.#readPosition();
    let failures = 0;
    while (!signal.aborted) {
      news = Promise.withResolvers();
      try {
        if (await this.#sendSome()) {
          if (failures > 0) logger.warn({ sink: sink.name }, 'the audit log is passed on again');
          failures = 0;
        } else await news.promise;
      } catch (error) {
        if (failures === 0) logger.error({ err: error, sink: sink.name }, 'the audit log cannot be passed on');
        failures += 1;
        await wait(Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10)), signal);
      }
    }
    stop();
  }

  /** Whether there was something to send. */
  async #sendSome(): Promise<boolean> {
    const { engine, sink } = this.#options;
    const entries = auditEntriesAfter(engine.reader, this.#position, BATCH_SIZE);
    const last = entries.at(-1);
    if (last === undefined) return false;
    await sink.send(entries.map(auditEntryJson));
    this.#position = last.position;
    await this.#writePosition();
    return true;
  }

  /** Without a file, or with one that says nothing, everything is sent. */
  async #readPosition(): Promise<Position> {
    const { file, engine } = this.#options;
    try {
      const position = Number.parseInt(await readFile(file, 'utf8'), 10);
      // A log that was put back from a backup may end before.
      return Number.isSafeInteger(position) ? Math.min(position, engine.reader.frontier) : BEFORE_FIRST;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return BEFORE_FIRST;
      throw error;
    }
  }

  async #writePosition(): Promise<void> {
    const { file } = this.#options;
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(`${file}.new`, `${this.#position}\n`, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}

async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
}
