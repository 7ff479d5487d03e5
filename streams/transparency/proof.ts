/**
 * Proof documents: JSON that shows a record to be in the log, or one state of the log to continue another, to anybody,
 * without the server, its configuration or the log. What is checked here needs no I/O.
 *
 * An inclusion proof carries the record's header and the digests of its sealed sections. From them the leaf is computed
 * (record-format.ts), from leaf and path the root, and the root is the one in the checkpoint that the log signed. Of what
 * the record says it reveals nothing, except sections that were asked for: these carry their sealed bytes, whose digest is
 * in the leaf, and the key that opens them. What an opened section says should in turn be tied to something that its
 * writer could not choose (a PDU to its event id, which is a hash of it), since a seal may be made to open with two keys.
 */
import { z } from 'zod';
import { decodeHeader, HASH_BYTES, leafHashOfDigests, type RecordHeader, sha256 } from '../record-format.ts';
import { openSection } from '../sealing.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { isConsistent, isIncluded, MAX_PROOF_HASHES, sameBytes } from './merkle.ts';
import { decodeBase64, MAX_NOTE_LENGTH, type NoteVerifier, parseVerifier } from './note.ts';

/** Longest document that is read, in characters: a record's sections at their largest, twice over. */
export const MAX_PROOF_LENGTH = 4 * 1024 * 1024;
const MAX_SECTIONS = 4;
const MAX_KEY_LENGTH = 1024;

const base64 = z.string().max(MAX_PROOF_LENGTH);
const sectionSchema = z.strictObject({
  /** SHA-256 of the sealed section. */
  digest: base64,
  /** Where the section is opened: its sealed bytes and the key. */
  sealed: base64.optional(),
  key: base64.optional(),
});
const note = z.string().max(MAX_NOTE_LENGTH);

/** A proof that a record is in the log. All bytes in standard base64. */
const inclusionSchema = z.strictObject({
  format: z.literal('stele-inclusion-proof/1'),
  leaf_index: z.int().min(0),
  header: base64,
  sections: z.array(sectionSchema).max(MAX_SECTIONS),
  /** From the leaf's sibling up (RFC 6962 §2.1.1). */
  inclusion_path: z.array(base64).max(MAX_PROOF_HASHES),
  checkpoint: note,
  /** The log's public key as a note verifier key. It vouches for nothing until compared with a key got elsewhere. */
  log_key: z.string().max(MAX_KEY_LENGTH),
});
export type InclusionProof = z.infer<typeof inclusionSchema>;

/** A proof that the log of one checkpoint goes on in that of another. */
const consistencySchema = z.strictObject({
  format: z.literal('stele-consistency-proof/1'),
  older_checkpoint: note,
  newer_checkpoint: note,
  /** As in RFC 6962 §2.1.2. */
  consistency_path: z.array(base64).max(MAX_PROOF_HASHES),
  log_key: z.string().max(MAX_KEY_LENGTH),
});
export type ConsistencyProof = z.infer<typeof consistencySchema>;

const proofSchema = z.discriminatedUnion('format', [inclusionSchema, consistencySchema]);

/** Why a proof proves nothing. */
export type ProofFlaw =
  /** No proof document, or a part of it is not what it must be. */
  | 'malformed'
  /** The log's key in the document is none, or not the trusted one. */
  | 'key'
  /** A checkpoint is not signed by the log's key. */
  | 'checkpoint'
  /** Header, digests and path do not lead to the checkpoint's root. */
  | 'inclusion'
  /** The newer checkpoint does not continue the older one. */
  | 'consistency'
  /** The sealed bytes are not those of the digest. */
  | 'section-digest'
  /** The sealed bytes do not open with the key. */
  | 'section-seal'
  /** What is opened is not what the record must say; found by who knows the kind of record. */
  | 'content';

/** The document proves nothing; `flaw` says why. */
export class ProofRejected extends Error {
  override readonly name = 'ProofRejected';
  readonly flaw: ProofFlaw;
  constructor(flaw: ProofFlaw, message: string) {
    super(message);
    this.flaw = flaw;
  }
}

/** What a proof has shown. */
export type Proven =
  | {
      readonly kind: 'inclusion';
      readonly leafIndex: number;
      readonly header: RecordHeader;
      /** By section: what it says, where the document opens it. */
      readonly sections: readonly (Buffer | undefined)[];
      readonly checkpoint: Checkpoint;
      readonly logKey: string;
    }
  | { readonly kind: 'consistency'; readonly older: Checkpoint; readonly newer: Checkpoint; readonly logKey: string };

/** What the checker knows beforehand. */
export interface CheckOptions {
  /** The log's public key, from a source that the checker trusts. Without it the document's own key is taken. */
  readonly trustedKey?: string;
}

/** Reads a proof document. Throws {@link ProofRejected} `malformed`. */
export function parseProof(text: string): InclusionProof | ConsistencyProof {
  if (text.length > MAX_PROOF_LENGTH) throw new ProofRejected('malformed', 'longer than any proof');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ProofRejected('malformed', 'not JSON');
  }
  const parsed = proofSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ProofRejected('malformed', `not a proof: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
}

/** Checks a proof; what it gives has been shown. Throws {@link ProofRejected}. */
export function checkProof(proof: InclusionProof | ConsistencyProof, options: CheckOptions = {}): Proven {
  const verifier = verifierOf(proof.log_key, options.trustedKey);
  return proof.format === 'stele-inclusion-proof/1'
    ? checkInclusion(proof, verifier)
    : checkConsistency(proof, verifier);
}

function checkInclusion(proof: InclusionProof, verifier: NoteVerifier): Proven {
  const headerBytes = bytesOf(proof.header, 'header');
  const header = headerOf(headerBytes, proof.sections.length);
  const digests = proof.sections.map(({ digest }, i) => hashOf(digest, `sections.${i}.digest`));
  const path = proof.inclusion_path.map((hash, i) => hashOf(hash, `inclusion_path.${i}`));
  const checkpoint = checkpointOf(proof.checkpoint, verifier);
  if (!isIncluded(leafHashOfDigests(headerBytes, digests), proof.leaf_index, checkpoint, path)) {
    throw new ProofRejected(
      'inclusion',
      `the record is not leaf ${proof.leaf_index} of the log of ${checkpoint.size} records with the signed root`,
    );
  }
  const sections = proof.sections.map((section, index) =>
    openedSection(section, index, digests[index] ?? Buffer.alloc(0), header.id),
  );
  return {
    kind: 'inclusion',
    leafIndex: proof.leaf_index,
    header,
    sections,
    checkpoint,
    logKey: verifier.text,
  };
}

function checkConsistency(proof: ConsistencyProof, verifier: NoteVerifier): Proven {
  const older = checkpointOf(proof.older_checkpoint, verifier);
  const newer = checkpointOf(proof.newer_checkpoint, verifier);
  const path = proof.consistency_path.map((hash, i) => hashOf(hash, `consistency_path.${i}`));
  if (!isConsistent(older, newer, path)) {
    throw new ProofRejected(
      'consistency',
      `it is not shown that the log of ${newer.size} records continues that of ${older.size} records`,
    );
  }
  return { kind: 'consistency', older, newer, logKey: verifier.text };
}

function openedSection(
  { sealed, key }: InclusionProof['sections'][number],
  index: number,
  digest: Uint8Array,
  recordId: Uint8Array,
): Buffer | undefined {
  if (sealed === undefined && key === undefined) return undefined;
  if (sealed === undefined || key === undefined) {
    throw new ProofRejected('malformed', `sections.${index} needs both its sealed bytes and its key, or neither`);
  }
  const bytes = bytesOf(sealed, `sections.${index}.sealed`);
  if (!sameBytes(sha256(bytes), digest)) {
    throw new ProofRejected('section-digest', `the bytes of section ${index} are not those that the log holds`);
  }
  const plain = openSection(bytes, recordId, index, hashOf(key, `sections.${index}.key`));
  if (plain === undefined) {
    throw new ProofRejected('section-seal', `section ${index} does not open with the key that comes with it`);
  }
  return plain;
}

function verifierOf(logKey: string, trustedKey: string | undefined): NoteVerifier {
  if (trustedKey !== undefined && trustedKey !== logKey) {
    throw new ProofRejected('key', `the proof is for the log key ${logKey}, not for the trusted ${trustedKey}`);
  }
  try {
    return parseVerifier(logKey);
  } catch (error) {
    throw new ProofRejected('key', (error as Error).message);
  }
}

function checkpointOf(text: string, verifier: NoteVerifier): Checkpoint {
  try {
    return openCheckpoint(text, verifier);
  } catch (error) {
    throw new ProofRejected('checkpoint', (error as Error).message);
  }
}

function headerOf(bytes: Buffer, sections: number): RecordHeader {
  let header: RecordHeader;
  try {
    header = decodeHeader(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ProofRejected('malformed', `header: ${error.message}`);
  }
  if (header.sectionCount !== sections) {
    throw new ProofRejected(
      'malformed',
      `the header counts ${header.sectionCount} sections, the proof has ${sections}`,
    );
  }
  return header;
}

function hashOf(text: string, where: string): Buffer {
  const bytes = bytesOf(text, where);
  if (bytes.length !== HASH_BYTES) throw new ProofRejected('malformed', `${where}: not ${HASH_BYTES} bytes`);
  return bytes;
}

function bytesOf(text: string, where: string): Buffer {
  const bytes = decodeBase64(text);
  if (bytes === undefined) throw new ProofRejected('malformed', `${where}: not standard base64`);
  return bytes;
}
