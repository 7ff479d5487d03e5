/** The search index as the rest of the server sees it. */
import { rm } from 'node:fs/promises';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Environment } from '#projections/engine/environment.ts';
import { EnvironmentFolder } from '#projections/engine/folder.ts';
import { machineBootId } from '#projections/engine/mark.ts';
import type { ProjectedLog } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { RowReader } from '#projections/engine/row-access.ts';
import { searchProjections } from '#projections/search/catalogue.ts';
import { unavailable } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import { BEFORE_FIRST, type Position, type Subscription } from '#streams/event-log.ts';
import type { FromIndex, ToIndex } from './feed-messages.ts';
import { hostIndex } from './index-host.ts';
import { FED_KINDS, LogFeed } from './log-feed.ts';

/** How long a search waits for an index that is being built, or lags. */
const MAX_WAIT_MS = 3_000;
/** Of the thread's memory; the usual size would be kept also by an idle server. */
const YOUNG_GENERATION_MIB = 8;
/** When an index that failed is opened again. */
const RESTART_MS = 60_000;
/** After so long without anything to index or to search the thread is ended: it takes some 30 MiB. */
const REST_AFTER_MS = 120_000;
/** How often that is looked at. */
const REST_CHECK_MS = 30_000;
/** A log of no more records is looked through first: a fresh server has nothing to index. */
const FEW_RECORDS = 1000;

export interface SearchIndexOptions {
  /** Folder of the environment. */
  readonly dir: string;
  readonly log: ProjectedLog;
  readonly logger: Logger;
  /** Whether it works in a thread of its own, as in a server, or in this one. */
  readonly isThreaded: boolean;
  /** How long a search waits for what is not indexed yet; default {@link MAX_WAIT_MS}. */
  readonly maxWaitMs?: number;
  /** Default {@link REST_AFTER_MS}. */
  readonly restAfterMs?: number;
}

/** One run of the index, from its opening to its end. */
interface Run {
  readonly port: MessagePort;
  readonly feed: LogFeed;
  /** Resolves when it can be read; rejects if it ends before. */
  readonly ready: Promise<Environment>;
  /** Once it is ready. */
  environment?: Environment;
  /** Resolves when it is closed. */
  readonly closed: Promise<void>;
}

/**
 * Opens the index, feeds it with the log, and gives it to readers. It follows by itself, and may lag; where there is nothing
 * to do for long it is closed, and opened again when there is.
 */
export class SearchIndex {
  readonly #options: SearchIndexOptions;
  #run: Run | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #restTimer: NodeJS.Timeout | undefined;
  /** While a run is being closed that has nothing to do. */
  #resting: Promise<void> | undefined;
  /** Tells when there is something to index again. */
  #watch: Subscription | undefined;
  #lastSearchMs = performance.now();
  #isClosed = false;
  /** While its files are removed. */
  #isRenewing = false;

  constructor(options: SearchIndexOptions) {
    this.#options = options;
  }

  /** Begins to follow the log, if it does not yet. */
  start(): void {
    if (this.#isClosed || this.#run !== undefined || this.#resting !== undefined || this.#watch !== undefined) return;
    if (this.#restartTimer !== undefined) return;
    if (this.#options.log.head() < FEW_RECORDS) this.#watchFrom(BEFORE_FIRST);
    else this.#wake();
  }

  /** Whether the index is at work: open, or being opened. */
  get isAwake(): boolean {
    return this.#run !== undefined;
  }

  #wake(): void {
    if (this.#isClosed || this.#isRenewing || this.#run !== undefined || this.#restartTimer !== undefined) return;
    void this.#watch?.stop();
    this.#watch = undefined;
    this.#lastSearchMs = performance.now();
    const { restAfterMs = REST_AFTER_MS } = this.#options;
    this.#run = this.#open();
    this.#restTimer ??= setInterval(() => this.#considerRest(restAfterMs), Math.min(REST_CHECK_MS, restAfterMs));
    this.#restTimer.unref();
  }

  #considerRest(restAfterMs: number): void {
    const run = this.#run;
    if (run?.environment === undefined || !run.feed.isSettled) return;
    if (performance.now() - Math.max(this.#lastSearchMs, run.feed.lastHandedOverMs) < restAfterMs) return;
    this.#run = undefined;
    const { applied } = run.feed;
    this.#resting = this.#end(run).finally(() => {
      this.#resting = undefined;
      if (!this.#isClosed) this.#watchFrom(applied);
    });
  }

  #watchFrom(position: Position): void {
    this.#watch = this.#options.log.subscribeAll(position, {
      onRecords: (records) => {
        if (records.some(({ kind }) => FED_KINDS.has(kind))) this.#wake();
      },
    });
  }

  /**
   * The index with all that the log has up to a position, or as far as it comes in a few seconds. What was read is of one
   * moment until the next `await`.
   *
   * @throws {MatrixError} with status 503 while there is none.
   */
  async readerAt(position: Position): Promise<Reader> {
    await this.#resting;
    this.#wake();
    this.#lastSearchMs = performance.now();
    const { maxWaitMs = MAX_WAIT_MS } = this.#options;
    const run = this.#run;
    const environment = run && (await within(run.ready, maxWaitMs));
    if (run === undefined || environment === undefined) {
      throw unavailable('The search is being prepared. Please try again in a while.');
    }
    await run.feed.waitFor(position, maxWaitMs);
    if (this.#run !== run) throw unavailable('The search is being prepared. Please try again in a while.');
    // Another thread has written: what this one has read so far may be of an earlier moment.
    environment.root.resetReadTxn();
    return new RowReader(environment, () => run.feed.applied);
  }

  /**
   * Removes the files of the index, and builds it anew from the log, which can be read only in so far as there are keys. Searches
   * meanwhile are told that it is being prepared. Resolves when nothing of the old files is left. Unless somebody searches, building
   * begins once `others` are done who need the processor more.
   */
  async renew(others: Promise<unknown> = Promise.resolve()): Promise<void> {
    await this.#resting;
    if (this.#isClosed) return;
    this.#isRenewing = true;
    let wasAtWork = false;
    const removed = this.#stop().then((was) => {
      wasAtWork = was;
      return rm(this.#options.dir, { recursive: true, force: true });
    });
    // Whoever searches meanwhile waits for it.
    this.#resting = removed
      .catch(() => undefined)
      .finally(() => {
        this.#isRenewing = false;
        this.#resting = undefined;
        if (wasAtWork) void others.catch(() => undefined).then(() => this.start());
      });
    await removed;
  }

  /** Stops following, and closes the index. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#resting;
    await this.#stop();
  }

  /** Gives whether it followed the log. */
  async #stop(): Promise<boolean> {
    const watch = this.#watch;
    let wasAtWork = watch !== undefined || this.#restartTimer !== undefined;
    clearTimeout(this.#restartTimer);
    this.#restartTimer = undefined;
    clearInterval(this.#restTimer);
    this.#restTimer = undefined;
    await watch?.stop();
    this.#watch = undefined;
    const run = this.#run;
    if (run === undefined) return wasAtWork;
    wasAtWork = true;
    this.#run = undefined;
    await this.#end(run);
    return wasAtWork;
  }

  async #end(run: Run): Promise<void> {
    await run.feed.stop();
    run.port.postMessage({ kind: 'close' } satisfies ToIndex);
    await run.closed;
    await this.#leave(run);
  }

  #open(): Run {
    const { dir, log } = this.#options;
    const { port1: port, port2: far } = new MessageChannel();
    const feed = new LogFeed(log, port);
    const ready = Promise.withResolvers<Environment>();
    const closed = Promise.withResolvers<void>();
    // Whoever searches is told; when nobody does, it is no news.
    ready.promise.catch(() => undefined);
    const run: Run = { port, feed, ready: ready.promise, closed: closed.promise };
    const fail = (reason: string): void => {
      ready.reject(unavailable('The search is not available at the moment.', new Error(reason)));
      this.#failed(run, reason);
    };
    let isOver = false;
    const over = (): void => {
      isOver = true;
      ready.reject(unavailable('The search is not available at the moment.'));
      closed.resolve();
    };
    port.on('message', (message: FromIndex) => {
      switch (message.kind) {
        case 'subscribe':
          return feed.subscribe(message.from);
        case 'applied':
          return feed.noteApplied();
        case 'read':
          return void feed.read(message.position).catch((error: unknown) => fail(String(error)));
        case 'ready':
          return void this.#openForReading().then(
            (environment) => {
              run.environment = environment;
              if (isOver) void environment.close();
              else ready.resolve(environment);
            },
            (error: unknown) => fail(String(error)),
          );
        case 'failed':
          return fail(message.reason);
        case 'closed':
          return over();
      }
    });
    const host = { dir, head: log.head(), port: far };
    if (this.#options.isThreaded) {
      const worker = new Worker(new URL('./index-worker.ts', import.meta.url), {
        workerData: host,
        transferList: [far],
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      });
      worker.on('error', (error) => fail(String(error)));
      worker.on('exit', over);
    } else {
      void hostIndex(host);
    }
    return run;
  }

  async #openForReading(): Promise<Environment> {
    const bootId = await machineBootId();
    const folder = new EnvironmentFolder({ dir: this.#options.dir, projections: searchProjections, bootId });
    const environment = await folder.openReadOnly();
    if (environment === undefined) throw new Error('the index is not where it was opened');
    return environment;
  }

  /** Searching is not worth stopping a server for: it is tried again later. */
  #failed(run: Run, reason: string): void {
    if (this.#run !== run || this.#isClosed) return;
    this.#run = undefined;
    this.#options.logger.error({ reason }, 'the search index has stopped; it is opened again in a minute');
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = undefined;
      this.#wake();
    }, RESTART_MS);
    this.#restartTimer.unref();
    void this.#end(run);
  }

  async #leave(run: Run): Promise<void> {
    run.port.close();
    const environment = await run.ready.catch(() => undefined);
    await environment?.close();
  }
}

/** What a promise gives within a time, or undefined. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
