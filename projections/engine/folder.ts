/**
 * The folder of an environment: the one in use, its safe copy, and what is being built.
 *
 *     CURRENT        the name of the folder in use; replaced atomically, so a swap happens or does not
 *     env-7/         data.mdb, lock.mdb (LMDB), mark.json (see mark.ts)
 *     safe-3/        data.mdb, seal.json: the latest safe copy (see safe-copy.ts)
 *
 * Anything else is left from a process that ended while building, and is removed.
 */
import { constants } from 'node:fs';
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { readIfThere, syncPath, writeDurably } from './durable-files.ts';
import { Environment } from './environment.ts';
import { EnvironmentDamaged } from './errors.ts';
import { readMark, writeMark } from './mark.ts';
import { findPageDamage } from './page-check.ts';
import { fingerprintOf, type ProjectedLog, type Projection } from './projection.ts';
import { findSafeCopy, SAFE_COPY_NAME } from './safe-copy.ts';

const POINTER_FILE = 'CURRENT';
const ENVIRONMENT_NAME = /^env-(\d{1,9})$/;
export const DATA_FILE = 'data.mdb';

export interface FolderOptions {
  readonly dir: string;
  readonly projections: readonly Projection[];
  readonly bootId: string;
  readonly mapBytes?: number;
}

/** What was found. */
export interface Opening {
  readonly environment: Environment;
  /** Whether {@link EnvironmentFolder.promote} is still to be called, once it has caught up. */
  readonly isBeside: boolean;
  /** Why records are applied before it can be used, for people. */
  readonly reason: string;
}

/** Owns the files of one environment. One process writes to them at a time; the data folder's lock sees to that. */
export class EnvironmentFolder {
  readonly dir: string;
  readonly #projections: readonly Projection[];
  readonly #fingerprint: string;
  readonly #bootId: string;
  readonly #mapBytes: number | undefined;

  constructor(options: FolderOptions) {
    this.dir = options.dir;
    this.#projections = options.projections;
    this.#fingerprint = fingerprintOf(options.projections);
    this.#bootId = options.bootId;
    this.#mapBytes = options.mapBytes;
  }

  get fingerprint(): string {
    return this.#fingerprint;
  }

  /** The environment in use if it can be trusted, else its safe copy, else an empty one beside. */
  async open(log: ProjectedLog): Promise<Opening> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    const current = await this.currentName();
    await this.#sweep(current);
    if (current === undefined) {
      return { environment: await this.begin(), isBeside: true, reason: 'there are no projections yet' };
    }
    const path = join(this.dir, current);
    const distrust = await this.#whyNotTrusted(path);
    if (distrust === undefined) {
      const opened = await this.#tryOpen(path, log);
      if (opened instanceof Environment) {
        return { environment: opened, isBeside: false, reason: 'the projections are behind the log' };
      }
      return this.#replace(opened, log);
    }
    return this.#replace(distrust, log);
  }

  /** Why an environment must be built anew, or undefined if it is usable as far as can be told without opening it. */
  async #whyNotTrusted(path: string): Promise<string | undefined> {
    const mark = await readMark(path);
    if (mark === undefined) return 'the projections carry no readable mark';
    if (mark.fingerprint !== this.#fingerprint) return 'the projections have changed with the program';
    if (mark.state === 'suspect') return 'the projections were found damaged';
    if (mark.state === 'open' && mark.bootId !== this.#bootId) {
      return 'the machine stopped while the projections were in use';
    }
    const damage = await findPageDamage(join(path, DATA_FILE));
    return damage === undefined ? undefined : `the projections are damaged (${damage})`;
  }

  /** Opens what looks whole; a sentence if it cannot be used after all. */
  async #tryOpen(path: string, log: ProjectedLog): Promise<Environment | string> {
    await writeMark(path, { state: 'open', bootId: this.#bootId, fingerprint: this.#fingerprint });
    let environment: Environment | undefined;
    try {
      environment = this.#environment(path);
      const { position, recordId } = environment.readCheckpoint();
      if (position === BEFORE_FIRST) return environment;
      const record = position <= log.head() ? await log.readAt(position) : undefined;
      if (record !== undefined && Buffer.compare(record.id, recordId) === 0) return environment;
      await this.#abandon(environment);
      return 'the projections are of another log, or ahead of this one';
    } catch (error) {
      if (environment !== undefined) await this.#abandon(environment);
      return `the projections cannot be opened (${error instanceof Error ? error.message : String(error)})`;
    }
  }

  async #replace(reason: string, log: ProjectedLog): Promise<Opening> {
    const copy = await findSafeCopy(this.dir, this.#fingerprint);
    if (copy !== undefined) {
      const path = await this.#nextPath();
      await mkdir(path, { mode: 0o700 });
      await copyFile(join(copy, DATA_FILE), join(path, DATA_FILE), constants.COPYFILE_FICLONE);
      const opened = await this.#tryOpen(path, log);
      if (opened instanceof Environment) {
        return { environment: opened, isBeside: true, reason: `${reason}; starting from their safe copy` };
      }
    }
    return { environment: await this.begin(), isBeside: true, reason };
  }

  /** Makes an empty environment beside the one in use. */
  async begin(): Promise<Environment> {
    const path = await this.#nextPath();
    await mkdir(path, { recursive: true, mode: 0o700 });
    await writeMark(path, { state: 'open', bootId: this.#bootId, fingerprint: this.#fingerprint });
    return this.#environment(path);
  }

  /** Opens again what {@link begin} has made, after another thread has built it further. */
  resume(path: string): Environment {
    return this.#environment(path);
  }

  /** Closes and removes an environment that is not in use. */
  async discard(environment: Environment): Promise<void> {
    await environment.close();
    await rm(environment.path, { recursive: true, force: true });
  }

  /** Makes an environment the one in use, and leaves the others where they are. */
  async point(environment: Environment): Promise<void> {
    await writeDurably(join(this.dir, POINTER_FILE), `${environment.path.slice(this.dir.length + 1)}\n`);
  }

  /** Makes an environment the one in use, and removes the others. */
  async promote(environment: Environment): Promise<void> {
    const name = environment.path.slice(this.dir.length + 1);
    await writeDurably(join(this.dir, POINTER_FILE), `${name}\n`);
    await this.#sweep(name);
  }

  /** Closes an environment so that it is trusted whatever happens to the machine. */
  async closeSafely(environment: Environment): Promise<void> {
    await environment.close();
    await syncPath(join(environment.path, DATA_FILE));
    await writeMark(environment.path, { state: 'closed', bootId: this.#bootId, fingerprint: this.#fingerprint });
  }

  /** Closes an environment so that it is built anew at the next start. */
  async closeAsSuspect(environment: Environment): Promise<void> {
    await writeMark(environment.path, { state: 'suspect', bootId: this.#bootId, fingerprint: this.#fingerprint });
    await environment.close();
  }

  /**
   * Opens the environment in use for reading, beside whoever writes it; undefined if there is none by these projections.
   * Throws {@link EnvironmentDamaged} if it cannot be read safely.
   */
  async openReadOnly(): Promise<Environment | undefined> {
    const current = await this.currentName();
    if (current === undefined) return undefined;
    const path = join(this.dir, current);
    const mark = await readMark(path);
    if (mark?.fingerprint !== this.#fingerprint) return undefined;
    if (mark.state === 'suspect') throw new EnvironmentDamaged('the projections were found damaged');
    if (mark.state === 'open' && mark.bootId !== this.#bootId) {
      throw new EnvironmentDamaged('the machine stopped while the projections were in use');
    }
    // While it is written, pages change under whoever looks at them from outside.
    const damage = mark.state === 'closed' ? await findPageDamage(join(path, DATA_FILE)) : undefined;
    if (damage !== undefined) throw new EnvironmentDamaged(`the projections are damaged (${damage})`);
    return new Environment({ path, projections: this.#projections, readOnly: true });
  }

  /** The name of the folder in use, if there is one. */
  async currentName(): Promise<string | undefined> {
    const name = (await readIfThere(join(this.dir, POINTER_FILE)))?.trim();
    return name !== undefined && ENVIRONMENT_NAME.test(name) ? name : undefined;
  }

  #environment(path: string): Environment {
    return new Environment({
      path,
      projections: this.#projections,
      ...(this.#mapBytes !== undefined && { mapBytes: this.#mapBytes }),
    });
  }

  async #abandon(environment: Environment): Promise<void> {
    try {
      await this.closeAsSuspect(environment);
    } catch {
      // It is replaced in any case; what matters is that the next one can be built.
    }
  }

  async #nextPath(): Promise<string> {
    const names = [...(await readdir(this.dir)), (await this.currentName()) ?? ''];
    const numbers = names.map((name) => Number(ENVIRONMENT_NAME.exec(name)?.[1] ?? 0));
    return join(this.dir, `env-${Math.max(0, ...numbers) + 1}`);
  }

  /** Removes every folder that is neither in use nor a safe copy. */
  async #sweep(inUse: string | undefined): Promise<void> {
    for (const name of await readdir(this.dir)) {
      if (name === inUse || name === POINTER_FILE || SAFE_COPY_NAME.test(name)) continue;
      await rm(join(this.dir, name), { recursive: true, force: true });
    }
  }
}
