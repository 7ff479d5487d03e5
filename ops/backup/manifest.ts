/**
 * What a generation of a backup says of itself: a note (C2SP signed-note) signed with the log's key, whose text is JSON. It
 * names every file with its digest, so the signature vouches for all of them, and the checkpoint up to which the log is in it.
 */
import { z } from 'zod';
import { openCheckpoint } from '#streams/transparency/checkpoint.ts';
import { NoteError, type NoteSigner, openNote, parseNote, parseVerifier } from '#streams/transparency/note.ts';
import { BackupProblem } from './stored-files.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
/** Below the backup's folder: letters, digits, dots that lead nowhere else, and slashes. */
const filePath = z
  .string()
  .regex(/^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$/)
  .max(512);
const storedFile = z.strictObject({ path: filePath, sha256, bytes: count });

const manifestSchema = z.strictObject({
  format: z.literal('stele-backup/1'),
  id: z.string().regex(/^[0-9]{8}T[0-9]{9}Z-[0-9]+$/),
  server_name: z.string().max(255),
  /** Milliseconds since the epoch. */
  made_at_ms: count,
  /** Hex of the 16 bytes that the log's files carry. */
  log_id: z.string().regex(/^[0-9a-f]{32}$/),
  /** The public key of the log, which also signed this. */
  log_key: z.string().max(1024),
  /** The signed head of the tree over exactly the records that are here. */
  checkpoint: z.string().max(100_000),
  records: count,
  /** When the last record was recorded. */
  recorded_at_ms: count,
  /** The slot after the highest that holds a key of these records. */
  next_key_slot: count,
  segments: z.array(storedFile.extend({ first_position: count })).max(1_000_000),
  /** The list of media, one JSON object a line; null where media were left out. */
  media: storedFile.extend({ count, content_bytes: count }).nullable(),
  /** Checkpoints of the past, what others vouched for of them, and the settings as they were. */
  notes: z.array(storedFile).max(1_000_000),
  key_files: z.array(z.strictObject({ number: count, nonce: z.string().regex(/^[0-9a-f]{48}$/) })).max(1_000_000),
});

/** See the file's comment. */
export type Manifest = z.infer<typeof manifestSchema>;
/** A file of a backup: its path below the backup's folder, its SHA-256 in hex, its length. */
export type StoredFile = z.infer<typeof storedFile>;

const mediaLine = z.strictObject({
  /** Digest of the content. */
  content: sha256,
  content_bytes: count,
  path: filePath,
  sha256,
  bytes: count,
});
/** One file of media: the digest of its content, and the sealed file that holds it. */
export type MediaLine = z.infer<typeof mediaLine>;

/**
 * The most characters of a manifest that are read. The note format's own bound is for checkpoints; the segments of a very large
 * log need more.
 */
export const MAX_MANIFEST_LENGTH = 256 * 1024 * 1024;

/** The signed text of a manifest. */
export function signManifest(manifest: Manifest, signer: NoteSigner): string {
  return signer.sign(`${JSON.stringify(manifest, undefined, 1)}\n`);
}

/**
 * Verifies and reads a manifest. `trustedKey`: the log's public key where the caller has it from elsewhere; without it the
 * manifest's own key counts, which shows only that the backup is in one piece.
 * @throws {BackupProblem}
 */
export function openManifest(note: string, source: string, trustedKey?: string): Manifest {
  try {
    const manifest = manifestSchema.parse(JSON.parse(parseNote(note, MAX_MANIFEST_LENGTH).text));
    if (trustedKey !== undefined && manifest.log_key !== trustedKey) {
      throw new BackupProblem(`it is signed by ${manifest.log_key}, not by the key that was asked for`);
    }
    const verifier = parseVerifier(manifest.log_key);
    openNote(note, verifier, MAX_MANIFEST_LENGTH);
    const { size } = openCheckpoint(manifest.checkpoint, verifier);
    if (size !== manifest.records) throw new BackupProblem('its checkpoint is of another number of records');
    return manifest;
  } catch (error) {
    const isOurs = error instanceof BackupProblem || error instanceof NoteError;
    const what =
      error instanceof z.ZodError
        ? `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`
        : String(isOurs ? error.message : error);
    throw new BackupProblem(`${source} is no manifest of a backup: ${what}.`, { cause: error });
  }
}

/** The lines of a list of media. @throws {BackupProblem} */
export function parseMediaList(text: string, source: string): MediaLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => {
      try {
        return mediaLine.parse(JSON.parse(line));
      } catch (error) {
        throw new BackupProblem(`${source}, line ${index + 1} is no file of media.`, { cause: error });
      }
    });
}
