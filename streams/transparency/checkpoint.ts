/**
 * Checkpoints (https://c2sp.org/tlog-checkpoint): the head of the tree as a signed note that says the log's origin, the
 * number of leaves and the root.
 */
import { HASH_BYTES } from '../record-format.ts';
import type { TreeHead } from './merkle.ts';
import { decodeBase64, type NoteSigner, type NoteVerifier, openNote, parseNote } from './note.ts';

/** What a checkpoint says. */
export interface Checkpoint extends TreeHead {
  /** Which log; the name of its key. */
  readonly origin: string;
}

/** A note is no checkpoint, or not one of this log. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

/** The origin of a server's log. */
export function originOf(serverName: string): string {
  return `${serverName}/stele-log`;
}

/** The signed checkpoint of a tree. */
export function signCheckpoint({ size, root }: TreeHead, signer: NoteSigner): string {
  return signer.sign(`${signer.verifier.name}\n${size}\n${Buffer.from(root).toString('base64')}\n`);
}

/** Verifies and reads a checkpoint. Throws NoteError (see note.ts) or {@link CheckpointError}. */
export function openCheckpoint(note: string, verifier: NoteVerifier): Checkpoint {
  const checkpoint = parseCheckpointText(openNote(note, verifier));
  if (checkpoint.origin !== verifier.name) {
    throw new CheckpointError(`a checkpoint of ${checkpoint.origin}, not of ${verifier.name}`);
  }
  return checkpoint;
}

/** Reads a checkpoint without verifying its signature. Throws NoteError `malformed` or {@link CheckpointError}. */
export function readCheckpoint(note: string): Checkpoint {
  return parseCheckpointText(parseNote(note).text);
}

function parseCheckpointText(text: string): Checkpoint {
  const [origin, sizeLine, rootLine] = text.split('\n');
  const root = decodeBase64(rootLine ?? '');
  const size = /^(0|[1-9][0-9]*)$/.test(sizeLine ?? '') ? Number(sizeLine) : Number.NaN;
  if (!origin || !Number.isSafeInteger(size) || root?.length !== HASH_BYTES) {
    throw new CheckpointError('a signed note, but no checkpoint');
  }
  return { origin, size, root };
}
