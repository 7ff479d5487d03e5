/**
 * Building tables anew beside those of a running engine, up to the moment at which they can take their place. Most of it can be
 * done ahead by another thread; the rest is done here in small pieces, so that other work comes in between.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LogRecord } from '#streams/event-log.ts';
import { Applier } from './applier.ts';
import type { EnvironmentFolder } from './folder.ts';
import type { ProjectedLog, Projection } from './projection.ts';

/** Records that are applied in one turn of the event loop: a few milliseconds. */
const RECORDS_PER_TURN = 64;

/**
 * Applies the log to the empty environment at a path, as far as it likes, and closes it. It must read keys that were destroyed
 * before it was called as destroyed.
 */
export type BuildAhead = (path: string, signal?: AbortSignal) => Promise<void>;

/** What was built. */
export interface Renewed {
  readonly records: number;
  readonly seconds: number;
}

export interface RenewalOptions {
  readonly folder: EnvironmentFolder;
  readonly projections: readonly Projection[];
  readonly log: ProjectedLog;
  readonly buildAhead: BuildAhead | undefined;
  /** Ends the work of `buildAhead`. */
  readonly signal: AbortSignal | undefined;
  /** Whether there is no use in going on. */
  readonly isStopped: () => boolean;
  /**
   * Takes over tables that have seen the whole log, in the turn in which they have; from then on whoever took them applies what
   * comes. May throw: then they are given up.
   */
  readonly take: (applier: Applier) => void;
}

/** The renewal was given up because the engine was closed, or failed. */
export class RenewalStopped extends Error {
  override readonly name = 'RenewalStopped';
}

/** Builds tables and hands them over; nothing is left of them if that fails. */
export async function renewedApplier(options: RenewalOptions): Promise<{ readonly renewed: Renewed }> {
  const { folder, projections, buildAhead } = options;
  const startedMs = performance.now();
  let environment = await folder.begin();
  try {
    if (buildAhead !== undefined) {
      await environment.close();
      await buildAhead(environment.path, options.signal);
      environment = folder.resume(environment.path);
    }
    const applier = new Applier(environment, projections);
    await catchUp(options, applier);
    return { renewed: { records: applier.checkpoint.count, seconds: (performance.now() - startedMs) / 1000 } };
  } catch (error) {
    await folder.discard(environment);
    throw error;
  }
}

/** Follows the log until it is live, and hands over in the turn in which it is. */
async function catchUp({ log, isStopped, take }: RenewalOptions, applier: Applier): Promise<void> {
  let isTaken = false;
  let isLive = false;
  let sinceTurn = 0;
  const done = Promise.withResolvers<void>();
  done.promise.catch(() => undefined);
  const apply = (records: readonly LogRecord[]): void => {
    if (isStopped()) throw new RenewalStopped('the engine has stopped');
    applier.apply(records);
  };
  const subscription = log.subscribeAll(applier.position, {
    onRecords: (records) => {
      if (isTaken) return;
      // Commits that came one by one are not worth a turn each: it would never be done.
      sinceTurn += records.length;
      if (isLive || sinceTurn <= RECORDS_PER_TURN) return apply(records);
      sinceTurn = 0;
      return inPieces(records, apply);
    },
    onPhase: (phase) => {
      isLive = phase === 'live';
      if (!isLive || isTaken) return;
      try {
        // No commit is between what both have seen: this is the turn in which the last gap was closed.
        take(applier);
        isTaken = true;
        done.resolve();
      } catch (error) {
        done.reject(error);
      }
    },
    onEnd: (error) => {
      if (!isTaken) done.reject(error ?? new RenewalStopped('the log was closed'));
    },
  });
  try {
    await done.promise;
  } finally {
    await subscription.stop();
  }
}

async function inPieces(records: readonly LogRecord[], apply: (records: readonly LogRecord[]) => void): Promise<void> {
  for (let at = 0; at < records.length; at += RECORDS_PER_TURN) {
    apply(records.slice(at, at + RECORDS_PER_TURN));
    await nextTurn();
  }
}
