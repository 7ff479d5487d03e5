/**
 * What others vouched for, beside the tree: `witnessed`, the last checkpoint that enough witnesses cosigned, and
 * `timestamps/<size>-<time>.tsr` with the checkpoint it is of in a file of the same name, `.checkpoint`. Any tool that knows the
 * formats can check them: `openssl ts -verify -data X.checkpoint -in X.tsr -CAfile ca.pem`.
 */
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import path from 'node:path';

const TIMESTAMPS = 'timestamps';
const WITNESSED = 'witnessed';
const STAMP_NAME = /^(\d{16})-\d{8}T\d{9}Z\.tsr$/;
const FILE_NAME = /^(\d{16})-\d{8}T\d{9}Z\.(?:tsr|checkpoint)$/;

/** A time stamp and what it is of. */
export interface StoredTimestamp {
  /** Path of the answer of the authority. */
  readonly file: string;
  /** Records that the checkpoint speaks of. */
  readonly size: number;
  readonly response: Buffer;
  /** The checkpoint's bytes; undefined where that file is missing. */
  readonly checkpoint: Buffer | undefined;
}

/** The files of one transparency folder. */
export class EvidenceFiles {
  readonly #folder: string;

  constructor(transparencyFolder: string) {
    this.#folder = transparencyFolder;
  }

  /** The last checkpoint with enough cosignatures; undefined where there is none. */
  witnessed(): Promise<string | undefined> {
    return readFile(path.join(this.#folder, WITNESSED), 'utf8').catch(ifMissing);
  }

  async writeWitnessed(note: string): Promise<void> {
    await writeDurably(path.join(this.#folder, WITNESSED), Buffer.from(note));
  }

  /** Durable when resolved. */
  async addTimestamp(stamp: {
    readonly size: number;
    readonly timeMs: number;
    readonly checkpoint: string;
    readonly response: Uint8Array;
  }): Promise<void> {
    const folder = path.join(this.#folder, TIMESTAMPS);
    await mkdir(folder, { recursive: true });
    const time = new Date(stamp.timeMs).toISOString().replace(/[-:.]/g, '');
    const name = path.join(folder, `${String(stamp.size).padStart(16, '0')}-${time}`);
    await writeDurably(`${name}.checkpoint`, Buffer.from(stamp.checkpoint));
    await writeDurably(`${name}.tsr`, stamp.response);
  }

  /** How many records the last time stamp is of; 0 where there is none. */
  async lastStampedSize(): Promise<number> {
    const name = (await this.#names()).at(-1);
    return Number(STAMP_NAME.exec(name ?? '')?.[1] ?? 0);
  }

  /** All time stamps, in the order of their checkpoints. */
  async *timestamps(): AsyncGenerator<StoredTimestamp> {
    for (const name of await this.#names()) {
      const file = path.join(this.#folder, TIMESTAMPS, name);
      const checkpoint = await readFile(file.replace(/tsr$/, 'checkpoint')).catch(ifMissing);
      yield { file, size: Number(STAMP_NAME.exec(name)?.[1]), response: await readFile(file), checkpoint };
    }
  }

  /** Paths of all files of time stamps. */
  async timestampFiles(): Promise<string[]> {
    const files = (await this.#names()).map((name) => path.join(this.#folder, TIMESTAMPS, name));
    return files.flatMap((file) => [file, file.replace(/tsr$/, 'checkpoint')]);
  }

  /** How many records a file of a time stamp is about; undefined for another name. */
  static sizeIn(name: string): number | undefined {
    const match = FILE_NAME.exec(name);
    return match === null ? undefined : Number(match[1]);
  }

  /** Where a file of a time stamp is. */
  timestampPath(name: string): string {
    return path.join(this.#folder, TIMESTAMPS, name);
  }

  async #names(): Promise<string[]> {
    const names = await readdir(path.join(this.#folder, TIMESTAMPS)).catch(ifMissing);
    return (names ?? []).filter((name) => STAMP_NAME.test(name)).sort();
  }
}

async function writeDurably(target: string, bytes: Uint8Array): Promise<void> {
  const file = await open(`${target}.new`, 'w', 0o644);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${target}.new`, target);
  const folder = await open(path.dirname(target), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
