/**
 * A witness (https://c2sp.org/tlog-witness): cosigns checkpoints of logs it knows, each only if it continues all that it cosigned of
 * that log before. What it remembers is on the disk before anything is answered, so that no crash makes it sign two histories.
 */

import { hash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { HASH_BYTES } from '../record-format.ts';
import { openCheckpoint, readCheckpoint } from './checkpoint.ts';
import type { Cosigner } from './cosignature.ts';
import { EMPTY_ROOT, isConsistent, sameBytes } from './merkle.ts';
import { decodeBase64, NoteError, type NoteVerifier, parseNote } from './note.ts';

/** Most proof lines of a request, as the protocol has it. */
const MAX_PROOF_LINES = 63;
/** Longest request, in characters. */
export const MAX_WITNESS_REQUEST = 64 * 1024;
/** Logs that one witness looks after. */
export const MAX_WITNESSED_LOGS = 10_000;

/**
 * A submission that does not fit what the witness cosigned of a log. `fork`: of as many records, with another root, which proves
 * that the log signed two histories. `unproven`: its proof does not hold. `smaller`: of fewer records. The last two may be
 * mistakes, or an old note that somebody sent once more.
 */
export interface WitnessedMisbehaviour {
  readonly kind: 'fork' | 'unproven' | 'smaller';
  readonly origin: string;
  /** What was cosigned, as a signed note. */
  readonly cosigned: string;
  /** What was submitted, signed by the same log. */
  readonly submitted: string;
}

/** An answer of the protocol. */
export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly contentType: string;
  readonly body: string;
}

/** What a witness needs. */
export interface WitnessOptions {
  /** Folder of what it remembers; made if absent. */
  readonly folder: string;
  readonly cosigner: Cosigner;
  /** The public keys of the logs that it knows. Several may have one name. */
  readonly logs: readonly NoteVerifier[];
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
  /** Told of each contradiction, with both notes: together they prove it. */
  readonly onMisbehaviour?: (misbehaviour: WitnessedMisbehaviour) => void;
}

interface Submission {
  readonly oldSize: number;
  readonly proof: readonly Buffer[];
  readonly note: string;
}

/** See the file's comment. */
export class Witness {
  readonly #options: WitnessOptions;
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: WitnessOptions) {
    if (options.logs.length > MAX_WITNESSED_LOGS)
      throw new RangeError(`a witness has at most ${MAX_WITNESSED_LOGS} logs`);
    this.#options = options;
  }

  /** Answers the body of an `add-checkpoint` request. Rejects only where its disk does not work: nothing is signed then. */
  async addCheckpoint(body: string): Promise<WitnessAnswer> {
    let submission: Submission;
    let origin: string;
    try {
      submission = parseSubmission(body);
      origin = readCheckpoint(submission.note).origin;
    } catch (error) {
      return plain(400, error instanceof Error ? error.message : String(error));
    }
    const keys = this.#options.logs.filter(({ name }) => name === origin);
    if (keys.length === 0) return plain(404, 'this log is not known here');
    // One at a time for each log: comparing and remembering must not be interleaved.
    const turn = (this.#turns.get(origin) ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => this.#decide(origin, keys, submission));
    this.#turns.set(origin, turn);
    return turn;
  }

  async #decide(origin: string, keys: readonly NoteVerifier[], submission: Submission): Promise<WitnessAnswer> {
    const { note, oldSize, proof } = submission;
    const verified = keys.map((key) => checkpointBy(note, key)).find((one) => one !== undefined);
    if (verified === undefined) return plain(403, 'not signed by a key of this log that is trusted here');
    if (oldSize > verified.size) return plain(400, 'the old size is larger than that of the checkpoint');
    const cosigned = await this.#remembered(origin);
    const before = cosigned === undefined ? { size: 0, root: EMPTY_ROOT } : readCheckpoint(cosigned);
    if (cosigned !== undefined && verified.size < before.size) {
      this.#report('smaller', origin, cosigned, note);
      return size(before.size);
    }
    if (oldSize !== before.size) return size(before.size);
    if (verified.size === before.size && !sameBytes(verified.root, before.root)) {
      if (cosigned !== undefined) this.#report('fork', origin, cosigned, note);
      return size(before.size);
    }
    if (!isConsistent(before, verified, proof)) {
      if (cosigned !== undefined) this.#report('unproven', origin, cosigned, note);
      return plain(422, 'the consistency proof does not hold');
    }
    await this.#remember(origin, note);
    const timeS = Math.floor((this.#options.clock ?? Date.now)() / 1000);
    return {
      status: 200,
      contentType: 'text/plain; charset=utf-8',
      body: this.#options.cosigner.cosign(parseNote(note).text, timeS),
    };
  }

  #report(kind: WitnessedMisbehaviour['kind'], origin: string, cosigned: string, submitted: string): void {
    this.#options.onMisbehaviour?.({ kind, origin, cosigned, submitted });
  }

  async #remembered(origin: string): Promise<string | undefined> {
    const file = this.#fileOf(origin);
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text !== undefined && readCheckpoint(text).origin !== origin) {
      throw new Error(
        `${file} is not what this witness remembered of ${origin}. Put it back from a copy, or retire the witness`,
      );
    }
    return text;
  }

  async #remember(origin: string, note: string): Promise<void> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const target = this.#fileOf(origin);
    const file = await open(`${target}.new`, 'w', 0o600);
    try {
      await file.writeFile(note);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${target}.new`, target);
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Origins hold slashes and may be long. */
  #fileOf(origin: string): string {
    return path.join(this.#options.folder, `${hash('sha256', origin, 'hex')}.checkpoint`);
  }
}

function checkpointBy(note: string, key: NoteVerifier) {
  try {
    return openCheckpoint(note, key);
  } catch (error) {
    if (error instanceof NoteError && (error.reason === 'unsigned' || error.reason === 'forged')) return undefined;
    throw error;
  }
}

/** Reads the body of a request. Throws Error where it is none. */
function parseSubmission(body: string): Submission {
  if (body.length > MAX_WITNESS_REQUEST) throw new Error('the request is too long');
  const split = body.indexOf('\n\n');
  const [first = '', ...lines] = body.slice(0, Math.max(split, 0)).split('\n');
  const oldSize = /^old (0|[1-9][0-9]{0,15})$/.exec(first)?.[1];
  if (split < 0 || oldSize === undefined) throw new Error('the request does not begin with the old size');
  if (lines.length > MAX_PROOF_LINES) throw new Error('the proof has too many lines');
  const proof = lines.map((line) => {
    const bytes = decodeBase64(line);
    if (bytes?.length !== HASH_BYTES) throw new Error('a line of the proof is no hash');
    return bytes;
  });
  return { oldSize: Number(oldSize), proof, note: body.slice(split + 2) };
}

/** The body of a request. */
export function formatSubmission(oldSize: number, proof: readonly Uint8Array[], note: string): string {
  const lines = proof.map((line) => `${Buffer.from(line).toString('base64')}\n`).join('');
  return `old ${oldSize}\n${lines}\n${note}`;
}

function plain(status: WitnessAnswer['status'], body: string): WitnessAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function size(known: number): WitnessAnswer {
  return { status: 409, contentType: 'text/x.tlog.size', body: `${known}\n` };
}
