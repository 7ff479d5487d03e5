/**
 * The projection engine: keeps the rows of one environment in step with the log.
 *
 * It is a synchronous live subscriber, so the rows of a record are committed after it is durable and before its append is
 * acknowledged. Readers see committed rows only. If a projection fails, the engine stops where it was and says so; reads go
 * on at the last frontier.
 */
import { stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { BEFORE_FIRST, type LogRecord, type Position, type Subscription } from '#streams/event-log.ts';
import { Applier } from './applier.ts';
import type { Environment } from './environment.ts';
import { EngineStopped, saysDamaged, saysOutOfSpace } from './errors.ts';
import { DATA_FILE, EnvironmentFolder } from './folder.ts';
import { Gatherer } from './gatherer.ts';
import { HiddenRows, type ToHide } from './hidden-rows.ts';
import { machineBootId } from './mark.ts';
import { type EngineProgress, ProgressMeter } from './progress.ts';
import { checkNames, type ProjectedLog, type Projection } from './projection.ts';
import type { Reader } from './reader.ts';
import { type BuildAhead, type Renewed, renewedApplier } from './renewal.ts';
import { RowReader } from './row-access.ts';
import { makeSafeCopy, removeOutdatedCopies, removeSafeCopies } from './safe-copy.ts';
import { Waiters } from './waiters.ts';

/** When a safe copy is made. */
export interface SafeCopyPolicy {
  /** How often it is considered. */
  readonly intervalMs: number;
  /** Fewest records since the last copy. */
  readonly minRecords: number;
  /** Smallest share of all records since the last copy; bounds what copying costs in the long run. */
  readonly minShare: number;
}

export const DEFAULT_SAFE_COPIES: SafeCopyPolicy = { intervalMs: 5 * 60_000, minRecords: 1_000, minShare: 0.1 };

const RETRY_MS = 2_000;
/** Tables that are built anew may take so many times what those in use take: the log goes on growing meanwhile. */
const ROOM_FACTOR = 1.1;

export interface EngineOptions {
  /** The environment's folder, as `data/projections/core`; made if it is not there. */
  readonly dir: string;
  readonly log: ProjectedLog;
  /** From the catalogue. Throws DuplicateName if two of them, or of their tables, share a name. */
  readonly projections: readonly Projection[];
  /** Told now and then while there is much to apply before the engine is ready, and once when that is done. */
  readonly onProgress?: (progress: EngineProgress) => void;
  /** Told of what goes wrong in the background, or in a listener; default: thrown, as uncaught. */
  readonly onError?: (error: Error) => void;
  /** Default: the machine's. */
  readonly bootId?: string;
  /** How long the engine waits before it tries again when the disk was full. Default {@link RETRY_MS}. */
  readonly retryMs?: number;
  /** Address space to map at first; it grows by itself. */
  readonly mapBytes?: number;
  /** `false` for none. Default {@link DEFAULT_SAFE_COPIES}. */
  readonly safeCopies?: SafeCopyPolicy | false;
}

/** Told after each commit, synchronously: how far, and whom it concerns. */
export type AdvanceListener = (frontier: Position, touched: ReadonlySet<string>) => void;

export class ProjectionEngine {
  /** Reads the committed frontier. */
  readonly reader: Reader;
  readonly #rows: RowReader;
  readonly #folder: EnvironmentFolder;
  readonly #projections: readonly Projection[];
  #applier: Applier;
  readonly #log: ProjectedLog;
  readonly #onError: (error: Error) => void;
  readonly #advanceListeners = new Set<AdvanceListener>();
  readonly #failureListeners = new Set<(error: Error) => void>();
  readonly #waiters = new Waiters();
  #subscription: Subscription | undefined;
  /** Until the engine is live. */
  #gatherer: Gatherer | undefined;
  #meter: ProgressMeter | undefined;
  #failure: Error | undefined;
  #isClosed = false;
  readonly #retryMs: number;
  #retryTimer: NodeJS.Timeout | undefined;
  #copyTimer: NodeJS.Timeout | undefined;
  #copying: Promise<void> | undefined;
  #copiedCount = 0;
  readonly #renewalListeners = new Set<() => void>();
  #renewing: Promise<Renewed> | undefined;
  readonly #hidden = new HiddenRows();
  /** Snapshots that are held, by the environment that they are of. */
  readonly #held = new Map<Environment, number>();
  #onReleased: (() => void) | undefined;

  private constructor(options: EngineOptions, folder: EnvironmentFolder, applier: Applier) {
    this.#folder = folder;
    this.#applier = applier;
    this.#log = options.log;
    this.#onError = options.onError ?? throwUncaught;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    this.#projections = options.projections;
    this.#rows = new RowReader(applier.environment, () => this.frontier);
    this.reader = this.#rows;
  }

  /**
   * Opens the environment, rebuilding it if it is missing, damaged, of other versions or not to be trusted, applies what
   * the log has beyond it, and resolves when it follows the log live. Rejects with ProjectionFailed.
   */
  static async open(options: EngineOptions): Promise<ProjectionEngine> {
    checkNames(options.projections);
    const folder = new EnvironmentFolder({
      dir: options.dir,
      projections: options.projections,
      bootId: options.bootId ?? (await machineBootId()),
      ...(options.mapBytes !== undefined && { mapBytes: options.mapBytes }),
    });
    const opening = await folder.open(options.log);
    const engine = new ProjectionEngine(options, folder, new Applier(opening.environment, options.projections));
    try {
      await engine.#catchUp(new ProgressMeter(opening.reason, options.onProgress));
      if (opening.isBeside) await folder.promote(opening.environment);
      await removeOutdatedCopies(options.dir, folder.fingerprint);
    } catch (error) {
      await engine.close();
      throw engine.failure ?? error;
    }
    engine.#considerCopies(options.safeCopies ?? DEFAULT_SAFE_COPIES);
    return engine;
  }

  /** Position of the last record whose rows are committed; {@link BEFORE_FIRST} before any. */
  get frontier(): Position {
    return this.#applier.position;
  }

  /** Records applied since the environment was built. */
  get recordCount(): number {
    return this.#applier.checkpoint.count;
  }

  /**
   * What stopped the engine, if anything has: appends must then be refused, since nobody would see them. When the disk was
   * full the engine tries again by itself, and this is undefined again once it has caught up.
   */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Calls `listener` whenever the engine fails; returns how to stop listening. */
  onFailure(listener: (error: Error) => void): () => void {
    this.#failureListeners.add(listener);
    return () => this.#failureListeners.delete(listener);
  }

  /** Calls `listener` after each commit; returns how to stop listening. What it throws goes to `onError`. */
  onAdvance(listener: AdvanceListener): () => void {
    this.#advanceListeners.add(listener);
    return () => this.#advanceListeners.delete(listener);
  }

  /**
   * Resolves when the frontier is at or beyond a position. Rejects with {@link EngineStopped} if the engine fails or is
   * closed before, TooManyWaiters at the bound, or the signal's reason.
   */
  waitFor(position: Position, signal?: AbortSignal): Promise<void> {
    if (this.frontier >= position) return Promise.resolve();
    if (this.#failure !== undefined || this.#isClosed) return Promise.reject(this.#stopped());
    return this.#waiters.add(position, signal);
  }

  /**
   * Runs `read` with a reader that stays at one moment of the log, also across awaits. The environment cannot reuse the
   * space of rows that changed meanwhile: keep it short.
   */
  async snapshot<T>(read: (reader: Reader) => T | Promise<T>): Promise<T> {
    const { environment } = this.#applier;
    const transaction = environment.root.useReadTransaction();
    const frontier = this.frontier;
    this.#held.set(environment, (this.#held.get(environment) ?? 0) + 1);
    try {
      const rows = new RowReader(environment, () => frontier, transaction);
      rows.hidden = this.#hidden.current;
      return await read(rows);
    } finally {
      transaction.done();
      const others = (this.#held.get(environment) ?? 1) - 1;
      if (others > 0) this.#held.set(environment, others);
      else this.#held.delete(environment);
      this.#onReleased?.();
    }
  }

  /** Makes a safe copy now, whether or not enough has changed. One at a time. Rejects with NoRoomForCopy. */
  async copySafely(): Promise<void> {
    await this.#copying?.catch(() => undefined);
    const count = this.recordCount;
    this.#copying = makeSafeCopy(this.#folder.dir, this.#applier.environment, this.#folder.fingerprint);
    try {
      await this.#copying;
      this.#copiedCount = count;
    } finally {
      this.#copying = undefined;
    }
  }

  /**
   * Builds the tables anew from the log, beside those in use, and puts them in their place while reading and writing go on;
   * then removes the old files and every safe copy. After the keys of sections were destroyed, nothing is left in this folder
   * of what they said: not in free pages, nor in gaps of used ones; and the tables are what a replay gives.
   *
   * `signal` ends it early. One at a time: a second call waits for the first and begins anew. Rejects with what went wrong; the tables in use then
   * stay in use. What it takes of the event loop comes in small pieces.
   */
  async renew(options: { readonly buildAhead?: BuildAhead; readonly signal?: AbortSignal } = {}): Promise<Renewed> {
    while (this.#renewing !== undefined) await this.#renewing.catch(() => undefined);
    if (this.#isClosed || this.#failure !== undefined) throw this.#stopped();
    this.#renewing = this.#renew(options.buildAhead, options.signal);
    try {
      return await this.#renewing;
    } finally {
      this.#renewing = undefined;
    }
  }

  /**
   * Shows nothing any more of what records say, whose keys are being destroyed, until {@link renew} has put tables in place that it
   * was begun for after this. To be called before keys are destroyed and again after: a renewal that begins in between may still
   * have read them.
   */
  hide(records: ToHide): void {
    this.#hidden.add(records);
    this.#rows.hidden = this.#hidden.current;
  }

  /** How much of the disk {@link renew} takes, and how much there is, in bytes. */
  async roomToRenew(): Promise<{ readonly neededBytes: number; readonly freeBytes: number }> {
    const [{ bavail, bsize }, { size }] = await Promise.all([
      statfs(this.#folder.dir),
      stat(path.join(this.#applier.environment.path, DATA_FILE)),
    ]);
    return { neededBytes: Math.ceil(ROOM_FACTOR * size), freeBytes: bavail * bsize };
  }

  /** Calls `listener` whenever {@link renew} has put other tables in place; returns how to stop listening. */
  onRenewed(listener: () => void): () => void {
    this.#renewalListeners.add(listener);
    return () => this.#renewalListeners.delete(listener);
  }

  async #renew(buildAhead: BuildAhead | undefined, signal: AbortSignal | undefined): Promise<Renewed> {
    await this.#copying?.catch(() => undefined);
    const old = this.#applier.environment;
    this.#hidden.beginBuilding();
    const { renewed } = await renewedApplier({
      folder: this.#folder,
      projections: this.#projections,
      log: this.#log,
      buildAhead,
      signal,
      isStopped: () => this.#isClosed || this.#failure !== undefined || signal?.aborted === true,
      take: (applier) => {
        if (this.#isClosed || this.#failure !== undefined || applier.position !== this.frontier) throw this.#stopped();
        this.#applier = applier;
        this.#rows.switchTo(applier.environment);
        this.#hidden.built();
        this.#rows.hidden = this.#hidden.current;
      },
    });
    for (const listener of this.#renewalListeners) {
      try {
        listener();
      } catch (error) {
        this.#onError(error instanceof Error ? error : new Error(String(error)));
      }
    }
    await this.#folder.point(this.#applier.environment);
    // A copy that began meanwhile is of the old tables.
    await this.#copying?.catch(() => undefined);
    await removeSafeCopies(this.#folder.dir);
    this.#copiedCount = 0;
    await this.#unheld(old);
    await this.#folder.discard(old);
    return renewed;
  }

  /** Resolves when no snapshot of an environment is held. */
  async #unheld(environment: Environment): Promise<void> {
    while (this.#held.has(environment)) {
      await new Promise<void>((resolve) => {
        this.#onReleased = resolve;
      });
    }
    this.#onReleased = undefined;
  }

  /** Stops following the log, syncs the environment and marks it as closed. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#copyTimer);
    clearTimeout(this.#retryTimer);
    await this.#subscription?.stop();
    await this.#copying?.catch(() => undefined);
    await this.#renewing?.catch(() => undefined);
    this.#waiters.rejectAll(this.#stopped());
    const { environment } = this.#applier;
    const isDamaged = saysDamaged(this.#failure);
    await (isDamaged ? this.#folder.closeAsSuspect(environment) : this.#folder.closeSafely(environment));
  }

  async #catchUp(meter: ProgressMeter): Promise<void> {
    this.#meter = meter;
    await this.#follow();
    this.#meter = undefined;
    if (meter.records > 0) meter.done(this.frontier, this.#log.head());
  }

  /** Subscribes from the frontier on; resolves when live. */
  async #follow(): Promise<void> {
    this.#gatherer = new Gatherer();
    this.#subscription = this.#log.subscribeAll(this.frontier, {
      onRecords: (records) => {
        if (this.#gatherer === undefined) return this.#apply(records);
        this.#gatherer.add(records);
        if (this.#gatherer.isFull) this.#apply(this.#gatherer.take());
      },
      onPhase: (phase) => {
        // Entered before any record comes live.
        const gathered = phase === 'live' ? this.#gatherer?.take() : undefined;
        if (gathered === undefined) return;
        this.#gatherer = undefined;
        this.#apply(gathered);
      },
      onEnd: (error) => {
        if (error !== undefined) this.#fail(error);
        else if (!this.#isClosed) this.#fail(new EngineStopped('the log was closed'));
      },
    });
    await this.#subscription.live;
  }

  #apply(records: readonly LogRecord[]): void {
    if (records.length === 0) return;
    let touched: ReadonlySet<string>;
    try {
      touched = this.#applier.apply(records);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    const { frontier } = this;
    this.#meter?.add(records.length, frontier, this.#log.head());
    this.#waiters.resolveUpTo(frontier);
    for (const listener of this.#advanceListeners) {
      try {
        listener(frontier, touched);
      } catch (error) {
        this.#onError(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  #fail(error: Error): void {
    const isFirst = this.#failure === undefined;
    this.#failure = error;
    if (isFirst) {
      this.#waiters.rejectAll(this.#stopped());
      for (const listener of this.#failureListeners) listener(error);
    }
    if (saysOutOfSpace(error) && !this.#isClosed)
      this.#retryTimer ??= setTimeout(() => void this.#retry(), this.#retryMs);
  }

  async #retry(): Promise<void> {
    this.#retryTimer = undefined;
    try {
      await this.#follow();
      this.#failure = undefined;
    } catch {
      // The end of the subscription has said why, and whether to try again.
    }
  }

  #stopped(): EngineStopped {
    if (this.#failure === undefined) return new EngineStopped('the projections were closed');
    return new EngineStopped(`the projections stopped at ${this.frontier}: ${this.#failure.message}`, {
      cause: this.#failure,
    });
  }

  #considerCopies(policy: SafeCopyPolicy | false): void {
    if (policy === false) return;
    this.#copyTimer = setInterval(() => {
      const added = this.recordCount - this.#copiedCount;
      if (this.#failure !== undefined || this.#copying !== undefined || this.#renewing !== undefined) return;
      if (added < Math.max(policy.minRecords, policy.minShare * this.recordCount)) return;
      this.copySafely().catch(this.#onError);
    }, policy.intervalMs);
    this.#copyTimer.unref();
  }
}

function throwUncaught(error: Error): void {
  queueMicrotask(() => {
    throw error;
  });
}
