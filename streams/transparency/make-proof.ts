/** Making proof documents from the published tiles; see proof.ts for what they are. */
import type { RawRecord } from '../raw-log.ts';
import { sha256 } from '../record-format.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { isConsistent, isIncluded, proveConsistency, proveInclusion } from './merkle.ts';
import type { NoteVerifier } from './note.ts';
import type { ConsistencyProof, InclusionProof } from './proof.ts';
import { subtreesFromTiles, type TileFiles } from './tile-files.ts';

/** A proof cannot be made: nothing is published yet, or not as much as is asked for. Time or a running server helps. */
export class NotPublished extends Error {
  override readonly name = 'NotPublished';
}

/** The log, its tiles and its checkpoints do not agree: a finding, to be looked into with `stele verify`. */
export class ProofContradicted extends Error {
  override readonly name = 'ProofContradicted';
}

/** The published log: its files and the key it signs with. */
export interface PublishedLog {
  readonly files: TileFiles;
  readonly verifier: NoteVerifier;
}

/** A record to be proven, and which of its sections to open. */
export interface RecordToProve {
  readonly record: RawRecord;
  readonly leafIndex: number;
  /** By section: the key where the section is to be opened by everybody who holds the proof. */
  readonly revealedKeys?: readonly (Uint8Array | undefined)[];
}

/**
 * The proof that a record is in the published log. Checked before it is given.
 * Throws {@link NotPublished}, {@link ProofContradicted}, TileMissing, NoteError.
 */
export async function makeInclusionProof(
  log: PublishedLog,
  { record, leafIndex, revealedKeys = [] }: RecordToProve,
): Promise<InclusionProof> {
  const { text, checkpoint } = await publishedCheckpoint(log);
  if (leafIndex >= checkpoint.size) {
    throw new NotPublished(
      `record ${leafIndex} is not published yet: the checkpoint is of ${checkpoint.size} records. A running server ` +
        'publishes within a second or so; after a crash, start it once',
    );
  }
  const path = await proveInclusion(leafIndex, checkpoint.size, subtreesFromTiles(log.files, checkpoint.size));
  if (!isIncluded(record.leaf, leafIndex, checkpoint, path)) {
    throw new ProofContradicted(
      `record ${leafIndex} as it is in the log is not the record that was published: \`stele verify\` says more`,
    );
  }
  return {
    format: 'stele-inclusion-proof/1',
    leaf_index: leafIndex,
    header: base64(record.header),
    sections: record.sealedSections.map((sealed, i) => {
      const key = revealedKeys[i];
      const digest = base64(sha256(sealed));
      return key === undefined ? { digest } : { digest, sealed: base64(sealed), key: base64(key) };
    }),
    inclusion_path: path.map(base64),
    checkpoint: text,
    log_key: log.verifier.text,
  };
}

/**
 * The proof that the published log continues that of an older checkpoint. Checked before it is given.
 * Throws {@link NotPublished}, {@link ProofContradicted}, TileMissing, NoteError.
 */
export async function makeConsistencyProof(log: PublishedLog, olderText: string): Promise<ConsistencyProof> {
  const older = openCheckpoint(olderText, log.verifier);
  const { text, checkpoint: newer } = await publishedCheckpoint(log);
  if (older.size > newer.size) {
    throw new ProofContradicted(
      `the older checkpoint is of ${older.size} records, but only ${newer.size} are published: history was lost`,
    );
  }
  const path = await proveConsistency(older.size, newer.size, subtreesFromTiles(log.files, newer.size));
  if (!isConsistent(older, newer, path)) {
    throw new ProofContradicted(
      `the published log of ${newer.size} records does not continue that of ${older.size} records: history was changed`,
    );
  }
  return {
    format: 'stele-consistency-proof/1',
    older_checkpoint: olderText,
    newer_checkpoint: text,
    consistency_path: path.map(base64),
    log_key: log.verifier.text,
  };
}

async function publishedCheckpoint(log: PublishedLog): Promise<{ text: string; checkpoint: Checkpoint }> {
  const text = await log.files.checkpoint();
  if (text === undefined) throw new NotPublished('nothing is published yet: start the server once');
  return { text, checkpoint: openCheckpoint(text, log.verifier) };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
