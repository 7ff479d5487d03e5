/**
 * The key that signs checkpoints: a file of its own, one line in the signer form of note.ts, readable by its owner only.
 */
import { open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type NoteSigner, type NoteVerifier, newSignerText, parseSigner } from './note.ts';
import { TileFiles } from './tile-files.ts';

/** Begins the last part of the name of a log that was restored; the number of restores follows. */
const SUCCESSOR = 'restored-';
const SUCCESSOR_END = /\/restored-(\d{1,9})$/;

/** The key file is missing though it has signed checkpoints, is no key, or is that of another server name. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError';
}

/** What {@link openSigningKey} needs. */
export interface SigningKeyOptions {
  /** Made if absent. */
  readonly keyFile: string;
  /** The log's origin, which is the key's name. */
  readonly origin: string;
  /** Folder of the transparency log: with a checkpoint in it, a missing key is an error. */
  readonly folder: string;
}

/** The signer in the key file; a new one where neither a key nor anything it could have signed is there. Throws {@link SigningKeyError}. */
export async function openSigningKey({ keyFile, origin, folder }: SigningKeyOptions): Promise<NoteSigner> {
  const existing = await readSigner(keyFile);
  if (existing !== undefined) {
    const { name } = existing.verifier;
    if (name !== origin && !name.startsWith(`${origin}/${SUCCESSOR}`)) {
      throw new SigningKeyError(
        `${keyFile} signs for ${name}, but this log's origin is ${origin}. A log keeps its name: set the server name back`,
      );
    }
    return existing;
  }
  const files = new TileFiles(folder);
  if ((await files.checkpoint()) !== undefined) {
    throw new SigningKeyError(
      `${keyFile} is missing, but ${files.checkpointPath} was signed with it. Put the file back from a copy. If it is ` +
        'lost for ever, keep that checkpoint as evidence elsewhere and remove it here: the log then goes on under a new key',
    );
  }
  const text = newSignerText(origin);
  await writeNew(keyFile, `${text}\n`);
  return parseSigner(text);
}

/**
 * The name under which a log goes on after a restore: that of the log, and how often it was restored. The old name may have signed
 * for records that are gone, so the new key must not speak under it.
 */
export function successorName(name: string): string {
  const match = SUCCESSOR_END.exec(name);
  if (match === null) return `${name}/${SUCCESSOR}1`;
  return `${name.slice(0, match.index)}/${SUCCESSOR}${Number(match[1]) + 1}`;
}

/** The public key of a key file, for those who only read. Throws {@link SigningKeyError} where it cannot be had. */
export async function readPublicKey(keyFile: string): Promise<NoteVerifier> {
  return (await readSigningKey(keyFile)).verifier;
}

/** The signer of a key file that must be there. Throws {@link SigningKeyError}. */
export async function readSigningKey(keyFile: string): Promise<NoteSigner> {
  const signer = await readSigner(keyFile);
  if (signer === undefined)
    throw new SigningKeyError(`${keyFile} is missing: start the server once, it makes the file`);
  return signer;
}

/** The signer in a key file; undefined where there is none. Throws {@link SigningKeyError}. */
export async function readSigner(keyFile: string): Promise<NoteSigner | undefined> {
  let text: string;
  try {
    text = await readFile(keyFile, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return parseSigner(text.trim());
  } catch (error) {
    throw new SigningKeyError(`${keyFile}: ${(error as Error).message}. Put the file back from a copy`);
  }
}

/** Durable before it is used: what it signs may be published at once. */
async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
