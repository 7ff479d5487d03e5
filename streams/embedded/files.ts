/**
 * The few things that the log asks of a file system, so that tests can let each of them fail. Writes are complete or
 * throw; nothing is durable before `datasync` (for bytes) or `syncFolder` (for names).
 */
import fs from 'node:fs';
import fsp from 'node:fs/promises';

/** A file that is read and written at positions. */
export interface OpenFile {
  readonly path: string;
  /** Fills `into` from `position` on; gives the bytes read, fewer only at the end of the file. */
  read(into: Buffer, position: number): Promise<number>;
  /** Writes all the bytes at `position`, or throws with an unknown part of them written. */
  write(bytes: Buffer, position: number): Promise<void>;
  /**
   * The same for bytes that are to be synced at once: they are with the machine when it returns, unless it returns a promise.
   * Copying a commit to the machine's cache takes some tenths of a millisecond at most, and whoever waits for another thread
   * to do it can ask for the sync only when he is next called.
   */
  writeAtOnce(bytes: Buffer, position: number): Promise<void> | undefined;
  /** Makes what was written durable. After a failure nothing is known about it, and asking again proves nothing. */
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** `read`: must exist; `write`: must exist, also read; `create`: made or emptied, also read. */
export type OpenMode = 'read' | 'write' | 'create';

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  /** Names in a folder, sorted; none if it does not exist. */
  list(folder: string): Promise<string[]>;
  /** Makes a folder and those above it. */
  makeFolder(folder: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes created, renamed and removed names in a folder durable. */
  syncFolder(folder: string): Promise<void>;
}

const FLAGS: Readonly<Record<OpenMode, string>> = { read: 'r', write: 'r+', create: 'w+' };
/** Files of the log are for the server's user alone. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** How long writing may go on to a file that somebody deleted. */
const DELETED_CHECK_INTERVAL_MS = 1_000;

/** The machine's file system. */
export const diskFiles: FileSystem = {
  async open(path, mode) {
    const handle = await new Promise<number>((resolve, reject) => {
      fs.open(path, FLAGS[mode], FILE_MODE, (error, fd) => (error ? reject(error) : resolve(fd)));
    });
    return new DiskFile(path, handle);
  },
  async list(folder) {
    try {
      return (await fsp.readdir(folder)).sort();
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  },
  async makeFolder(folder) {
    await fsp.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  },
  rename: (from, to) => fsp.rename(from, to),
  remove: (path) => fsp.rm(path, { force: true }),
  async syncFolder(folder) {
    const handle = await fsp.open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/**
 * The same for a thread that has nothing else to do: it reads at once, waiting where it must. Handing each read to another
 * thread and back takes longer than copying what it gives from the machine's cache.
 */
export const blockingFiles: FileSystem = {
  ...diskFiles,
  open: async (path, mode) => new BlockingFile(path, fs.openSync(path, FLAGS[mode], FILE_MODE)),
};

/** Callbacks on a plain descriptor: half the cost of a FileHandle for each call. */
class DiskFile implements OpenFile {
  readonly path: string;
  protected readonly fd: number;
  /** When the file was last seen to have a name, on the monotonic clock. */
  #foundAtMs = performance.now();

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
  }

  async read(into: Buffer, position: number): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      const bytes = await new Promise<number>((resolve, reject) => {
        fs.read(this.fd, into, filled, into.length - filled, position + filled, (error, count) =>
          error ? reject(error) : resolve(count),
        );
      });
      if (bytes === 0) break;
      filled += bytes;
    }
    return filled;
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      written += await new Promise<number>((resolve, reject) => {
        fs.write(this.fd, bytes, written, bytes.length - written, position + written, (error, count) =>
          error ? reject(error) : resolve(count),
        );
      });
    }
  }

  writeAtOnce(bytes: Buffer, position: number): undefined {
    let written = 0;
    while (written < bytes.length) {
      written += fs.writeSync(this.fd, bytes, written, bytes.length - written, position + written);
    }
  }

  async datasync(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      fs.fdatasync(this.fd, (error) => (error ? reject(error) : resolve()));
    });
    if (performance.now() - this.#foundAtMs > DELETED_CHECK_INTERVAL_MS) await this.#checkStillThere();
  }

  /** What is written to a file without a name is gone when the process ends, however durable. */
  async #checkStillThere(): Promise<void> {
    const links = await new Promise<number>((resolve, reject) => {
      fs.fstat(this.fd, (error, stats) => (error ? reject(error) : resolve(stats.nlink)));
    });
    if (links === 0) throw new Error('the file was deleted while the server had it open');
    this.#foundAtMs = performance.now();
  }

  truncate(length: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.fd, length, (error) => (error ? reject(error) : resolve()));
    });
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.fd, (error, stats) => (error ? reject(error) : resolve(stats.size)));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.fd, (error) => (error ? reject(error) : resolve()));
    });
  }
}

class BlockingFile extends DiskFile {
  override async read(into: Buffer, position: number): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      const bytes = fs.readSync(this.fd, into, filled, into.length - filled, position + filled);
      if (bytes === 0) break;
      filled += bytes;
    }
    return filled;
  }
}

/** The system's code of an error (`ENOSPC`, `EIO`, …), if it has one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Whether the error means that space may come back: then writing may be tried again without a restart. */
export function isOutOfSpace(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}
