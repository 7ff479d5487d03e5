/** Building an environment from the log outside a running engine: to replace the one in use, or to check it. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BEFORE_FIRST, type EventLog, type Position } from '#streams/event-log.ts';
import { Applier } from './applier.ts';
import { compareTable, openAsBytes, type TableComparison } from './compare.ts';
import { Environment } from './environment.ts';
import { EnvironmentFolder } from './folder.ts';
import { Gatherer } from './gatherer.ts';
import { machineBootId } from './mark.ts';
import type { Projection } from './projection.ts';

/** The part of a log that replaying reads. */
export type ReadableLog = Pick<EventLog, 'readAll' | 'head'>;

export interface ReplayOptions {
  /** The environment's folder. */
  readonly dir: string;
  readonly projections: readonly Projection[];
  readonly log: ReadableLog;
  /** Told after each batch: records applied, the position, and where the log ends. */
  readonly onProgress?: (records: number, position: Position, head: Position) => void;
  readonly signal?: AbortSignal;
  /** Default: the machine's. */
  readonly bootId?: string;
}

export interface Replayed {
  readonly records: number;
  readonly frontier: Position;
  readonly seconds: number;
}

/**
 * Builds the environment from the log and puts it in the place of the one in use. Only while no server runs: the lock of the
 * data folder, which whoever opened `log` for writing holds, sees to that. If it ends early, the one in use stays.
 */
export async function rebuild(options: ReplayOptions): Promise<Replayed> {
  const { dir, projections } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const folder = new EnvironmentFolder({ dir, projections, bootId: options.bootId ?? (await machineBootId()) });
  const environment = await folder.begin();
  try {
    const replayed = await applyAll(options, new Applier(environment, projections));
    await folder.closeSafely(environment);
    await folder.promote(environment);
    return replayed;
  } catch (error) {
    await environment.close();
    await rm(environment.path, { recursive: true, force: true });
    throw error;
  }
}

export interface CheckOptions extends ReplayOptions {
  /** Opened for reading; `refresh` looks for what a running server has appended since. */
  readonly log: ReadableLog & { refresh(): Promise<Position> };
  /** Most differences that are told of each table. */
  readonly maxDifferences: number;
  /** Told while tables are compared: rows so far, of how many. */
  readonly onCompared?: (rows: number, total: number) => void;
}

export interface CheckResult extends Replayed {
  readonly tables: readonly TableComparison[];
  readonly isEqual: boolean;
}

/** There is nothing to compare with, in a sentence that says what to do. */
export class NothingToCheck extends Error {
  override readonly name = 'NothingToCheck';
}

/**
 * Builds the environment from the log in a temporary folder and compares it with the one in use, row by row, at the same
 * position. A server may be running. Throws {@link NothingToCheck}, or EnvironmentDamaged if the one
 * in use cannot be read safely.
 */
export async function check(options: CheckOptions): Promise<CheckResult> {
  const { dir, projections } = options;
  const folder = new EnvironmentFolder({ dir, projections, bootId: options.bootId ?? (await machineBootId()) });
  const live = await folder.openReadOnly();
  if (live === undefined) {
    throw new NothingToCheck(
      `there are no projections of this version in ${dir}; start the server, or rebuild them with 'stele replay'`,
    );
  }
  try {
    const path = await temporaryFolder(dir);
    try {
      const rebuilt = new Environment({ path, projections });
      try {
        return await checkAgainst(options, live, rebuilt);
      } finally {
        await rebuilt.close();
      }
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  } finally {
    await live.close();
  }
}

async function checkAgainst(options: CheckOptions, live: Environment, rebuilt: Environment): Promise<CheckResult> {
  const { projections, log, signal } = options;
  const applier = new Applier(rebuilt, projections);
  const startedMs = performance.now();
  // What has long been applied first; then the little that came meanwhile, up to a moment of the live one that is held.
  await applyAll(options, applier, live.readCheckpoint().position);
  const [liveTables, rebuiltTables] = [openAsBytes(live), openAsBytes(rebuilt)];
  live.root.resetReadTxn();
  const transaction = live.root.useReadTransaction();
  try {
    const { position } = live.readCheckpoint(transaction);
    await log.refresh();
    await applyAll(options, applier, position);
    const seconds = (performance.now() - startedMs) / 1000;
    const tables: TableComparison[] = [];
    const progress = { done: 0, total: rebuilt.rowCount(), told: options.onCompared };
    for (const projection of projections) {
      for (const table of projection.tables) {
        tables.push(
          await compareTable(table.name, liveTables, rebuiltTables, {
            transaction,
            progress,
            describeKey: (key) => rebuilt.describeKey(table.name, key),
            maxDifferences: options.maxDifferences,
            ...(signal && { signal }),
          }),
        );
      }
    }
    const isEqual = applier.position === position && tables.every(({ differences }) => differences === 0);
    return { records: applier.checkpoint.count, frontier: position, seconds, tables, isEqual };
  } finally {
    transaction.done();
  }
}

/** Applies what the log has beyond the applier's position, at most up to `upTo`. */
async function applyAll(options: ReplayOptions, applier: Applier, upTo?: Position): Promise<Replayed> {
  const { log, onProgress, signal } = options;
  const startedMs = performance.now();
  const head = upTo ?? log.head();
  if (applier.position < head || upTo === undefined) {
    const gatherer = new Gatherer();
    const applyGathered = (): void => {
      applier.apply(gatherer.take());
      onProgress?.(applier.checkpoint.count, applier.position, head);
    };
    for await (const batch of log.readAll(applier.position)) {
      signal?.throwIfAborted();
      const isPast = (batch.at(-1)?.position ?? BEFORE_FIRST) > head;
      gatherer.add(isPast ? batch.filter(({ position }) => position <= head) : batch);
      if (gatherer.isFull) applyGathered();
      if (isPast) break;
    }
    applyGathered();
  }
  const { count, position } = applier.checkpoint;
  return { records: count, frontier: position, seconds: (performance.now() - startedMs) / 1000 };
}

/** A new folder beside the environment's; those of processes that are gone are removed. */
async function temporaryFolder(dir: string): Promise<string> {
  const parent = dirname(dir);
  const prefix = `${basename(dir)}.check-`;
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || isRunning(Number(name.slice(prefix.length)))) continue;
    await rm(join(parent, name), { recursive: true, force: true });
  }
  const path = join(parent, `${prefix}${process.pid}`);
  await mkdir(path, { mode: 0o700 });
  return path;
}

function isRunning(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
