/**
 * Exports that were asked for over HTTP. Each has a folder of its own: `export.json` says what was asked for and how it stands, `files` is
 * the export itself. One is made at a time, in the order in which they were asked for; one that the end of the server cut short is gone on
 * with at the next start. They are there to be fetched: they go after {@link KEPT_MS}, and when somebody is erased of whom there is
 * something in them. What was asked for can be asked for again.
 */
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { readIfThere, writeDurably } from '#projections/engine/durable-files.ts';
import { limitExceeded, MatrixError, notFound } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Exporter, ExportProgress, ExportQuery, ExportSummary } from './exporter.ts';

/** How long a finished export is kept to be fetched. */
export const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
/** Exports that are there at a time, unfinished ones included. */
export const MAX_EXPORTS = 100;
/** How often it is looked whether some are over. */
const SWEEP_MS = 60 * 60 * 1000;
/** When it is told to try again who asks for one too many. */
const RETRY_AFTER_MS = 60_000;
const STATE_FILE = 'export.json';
const FILES = 'files';

/** What somebody asks for. */
export interface NewExport {
  readonly caseId: string;
  readonly reason: string;
  /** Who asks, as the audit log names them. */
  readonly by: string;
  readonly query: ExportQuery;
  /** Ids of the rooms of which something may be in it. */
  readonly roomIds: readonly string[];
}

export type ExportState = 'waiting' | 'running' | 'complete' | 'failed';

/** An export, as its folder has it. */
export interface CaseExport extends NewExport {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly requestedAtMs: number;
  readonly state: ExportState;
  /** Milliseconds since the epoch; null while it is not finished. */
  readonly finishedAtMs: number | null;
  /** The signed head of the log that it is of; null before it began. */
  readonly checkpoint: string | null;
  readonly summary: ExportSummary | null;
  /** Why it could not be made, in a sentence. */
  readonly error: string | null;
}

export interface CaseExportsOptions {
  readonly folder: string;
  /** Undefined where this process makes none. */
  readonly exporter: Exporter | undefined;
  /** A signed head of the log with all that is in it; undefined where heads are published by nobody. */
  readonly checkpoint: (() => Promise<string | undefined>) | undefined;
  /** Puts on record that an export is gone. */
  readonly onRemoved: (one: CaseExport, why: string) => Promise<void>;
  readonly newId: () => string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
}

export class CaseExports {
  readonly #options: CaseExportsOptions;
  readonly #exports = new Map<string, CaseExport>();
  readonly #progress = new Map<string, ExportProgress>();
  readonly #closing = new AbortController();
  #running: { readonly id: string; readonly cancel: AbortController; readonly ended: Promise<void> } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #opened: Promise<void> | undefined;

  constructor(options: CaseExportsOptions) {
    this.#options = options;
  }

  /** Finds what is there, and goes on with what was cut short. Resolves when all of it can be asked for. */
  start(): Promise<void> {
    this.#opened ??= this.#open().catch((error: unknown) => {
      this.#options.logger.error({ err: error }, 'the folder of exports cannot be read');
    });
    if (this.#timer === undefined) {
      this.#timer = setInterval(() => void this.#sweep(), SWEEP_MS);
      this.#timer.unref();
    }
    return this.#opened;
  }

  /** All of them, the newest first. */
  async list(): Promise<readonly CaseExport[]> {
    await this.#opened;
    return [...this.#exports.values()]
      .filter((one) => !this.#isOver(one))
      .sort((a, b) => b.requestedAtMs - a.requestedAtMs);
  }

  /** One of them. @throws {MatrixError} `M_NOT_FOUND` */
  find(id: string): CaseExport {
    const found = this.#exports.get(id);
    if (found === undefined || this.#isOver(found)) throw notFound('There is no such export.');
    return found;
  }

  /** How far one is that is being made. */
  progressOf(id: string): ExportProgress | undefined {
    return this.#progress.get(id);
  }

  /** The folder of the files of a finished one. @throws {MatrixError} `M_NOT_FOUND`; `M_BAD_STATE` while it is not there in full */
  filesOf(id: string): string {
    const { state } = this.find(id);
    if (state !== 'complete') throw new MatrixError('M_BAD_STATE', 'The export is not finished.', { status: 409 });
    return this.#path(id, FILES);
  }

  /**
   * Asks for one, which is made in its turn. Gives its id once it is sure to be made.
   * @throws {MatrixError} `M_LIMIT_EXCEEDED` where there are {@link MAX_EXPORTS}; with status 501 where this server makes none
   */
  async request(wanted: NewExport): Promise<string> {
    this.checkRoom();
    await this.#opened;
    const id = this.#options.newId();
    await this.#save({
      ...wanted,
      id,
      requestedAtMs: this.#options.clock(),
      state: 'waiting',
      finishedAtMs: null,
      checkpoint: null,
      summary: null,
      error: null,
    });
    this.#next();
    return id;
  }

  /** Throws what {@link request} would throw. */
  checkRoom(): void {
    if (this.#options.exporter === undefined) {
      throw new MatrixError('M_UNRECOGNIZED', 'Exports are made with `stele export case` here.', { status: 501 });
    }
    if (this.#exports.size >= MAX_EXPORTS) throw limitExceeded(RETRY_AFTER_MS);
  }

  /** Removes one, finished or not. @throws {MatrixError} `M_NOT_FOUND` */
  async remove(id: string): Promise<void> {
    this.find(id);
    await this.#discard(id);
    this.#next();
  }

  /** Removes all in which there is something of a user, and begins those anew that are being made. */
  async forgetUser(userId: string): Promise<void> {
    await this.#opened;
    for (const one of [...this.#exports.values()]) {
      if (one.state === 'waiting' || !(await this.#mentions(one, userId))) continue;
      await this.#discard(one.id);
      await this.#options.onRemoved(one, `${userId} is erased`);
      if (one.state === 'running') await this.#save({ ...one, state: 'waiting', checkpoint: null });
    }
    this.#next();
  }

  /** Stops what is under way; it is gone on with at the next start. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await this.#opened;
    await this.#running?.ended;
  }

  async #open(): Promise<void> {
    const { folder, logger } = this.#options;
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const id of names) {
      const text = await readIfThere(this.#path(id, STATE_FILE));
      if (text === undefined) await rm(this.#path(id), { recursive: true, force: true });
      else this.#exports.set(id, JSON.parse(text) as CaseExport);
    }
    await this.#sweep();
    const unfinished = [...this.#exports.values()].filter(({ state }) => state === 'waiting' || state === 'running');
    if (unfinished.length > 0) logger.info({ exports: unfinished.length }, 'exports are gone on with');
    this.#next();
  }

  /** Begins the one that was asked for first, unless one is being made. */
  #next(): void {
    const { exporter } = this.#options;
    if (this.#running !== undefined || this.#closing.signal.aborted || exporter === undefined) return;
    const [first] = [...this.#exports.values()]
      .filter(({ state }) => state === 'waiting' || state === 'running')
      .sort((a, b) => a.requestedAtMs - b.requestedAtMs);
    if (first === undefined) return;
    const cancel = new AbortController();
    const ended = this.#make(first, exporter, AbortSignal.any([cancel.signal, this.#closing.signal])).finally(() => {
      this.#running = undefined;
      this.#progress.delete(first.id);
      this.#next();
    });
    this.#running = { id: first.id, cancel, ended };
  }

  /** Never rejects. */
  async #make(wanted: CaseExport, exporter: Exporter, signal: AbortSignal): Promise<void> {
    const { checkpoint, clock, logger } = this.#options;
    const { id, caseId, query } = wanted;
    try {
      const head = wanted.checkpoint ?? (await checkpoint?.()) ?? null;
      signal.throwIfAborted();
      await this.#save({ ...wanted, state: 'running', checkpoint: head });
      const summary = await exporter(
        { folder: this.#path(id, FILES), caseId, query, checkpoint: head ?? undefined },
        { signal, onProgress: (progress) => this.#progress.set(id, progress) },
      );
      if (signal.aborted) return;
      await this.#save({ ...wanted, state: 'complete', checkpoint: head, finishedAtMs: clock(), summary });
    } catch (error) {
      if (signal.aborted) return;
      logger.warn({ err: error, export: id }, 'an export could not be made');
      const text = error instanceof Error ? error.message : String(error);
      await this.#fail({ ...wanted, state: 'failed', finishedAtMs: clock(), error: text });
    }
  }

  /** What there is of it is in nobody's way, and could not be fetched. */
  async #fail(failed: CaseExport): Promise<void> {
    try {
      await rm(this.#path(failed.id, FILES), { recursive: true, force: true });
      await this.#save(failed);
    } catch (error) {
      this.#exports.set(failed.id, failed);
      this.#options.logger.error({ err: error, export: failed.id }, 'that an export failed could not be written down');
    }
  }

  async #save(one: CaseExport): Promise<void> {
    await mkdir(this.#path(one.id), { recursive: true, mode: 0o700 });
    await writeDurably(this.#path(one.id, STATE_FILE), JSON.stringify(one));
    this.#exports.set(one.id, one);
  }

  async #discard(id: string): Promise<void> {
    this.#exports.delete(id);
    if (this.#running?.id === id) {
      const { cancel, ended } = this.#running;
      cancel.abort();
      await ended;
      this.#exports.delete(id);
    }
    // Without this file the rest counts as removed.
    await rm(this.#path(id, STATE_FILE), { force: true });
    await rm(this.#path(id), { recursive: true, force: true });
  }

  async #sweep(): Promise<void> {
    for (const one of [...this.#exports.values()]) {
      if (!this.#isOver(one)) continue;
      try {
        await this.#discard(one.id);
        await this.#options.onRemoved(one, 'it was kept as long as exports are kept');
      } catch (error) {
        this.#options.logger.warn({ err: error, export: one.id }, 'an export could not be removed');
      }
    }
  }

  #isOver({ finishedAtMs }: CaseExport): boolean {
    return finishedAtMs !== null && finishedAtMs + KEPT_MS <= this.#options.clock();
  }

  /** Whether there is something of a user in it. One that is being made counts as if there were. */
  async #mentions({ id, state, query }: CaseExport, userId: string): Promise<boolean> {
    if (state === 'failed') return false;
    if (state === 'running' || query.users.includes(userId)) return true;
    const wanted = Buffer.from(JSON.stringify(userId));
    const files = await readdir(this.#path(id, FILES), { recursive: true, withFileTypes: true });
    for (const file of files) {
      if (!file.isFile() || !file.name.endsWith('.jsonl')) continue;
      if (await isIn(path.join(file.parentPath, file.name), wanted)) return true;
    }
    return false;
  }

  #path(id: string, ...names: string[]): string {
    return path.join(this.#options.folder, id, ...names);
  }
}

/** Whether bytes are somewhere in a file. */
async function isIn(file: string, wanted: Buffer): Promise<boolean> {
  let before: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(file)) {
    const window = Buffer.concat([before, chunk as Buffer]);
    if (window.includes(wanted)) return true;
    before = window.subarray(Math.max(0, window.length - wanted.length + 1));
  }
  return false;
}
