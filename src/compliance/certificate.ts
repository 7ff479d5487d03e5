/**
 * The certificate of an erasure: what was destroyed, what was kept and why, and the heads of the log before and after. A JSON
 * document, and a signed note (C2SP signed-note) that names its digest and says the same for people; the key is the one that signs
 * the log's checkpoints.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Erasure } from '#projections/compliance/queries.ts';
import type { DestroyedSoFar } from '#projections/compliance/records.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { openCheckpoint } from '#streams/transparency/checkpoint.ts';
import { type NoteVerifier, openNote } from '#streams/transparency/note.ts';
import type { KeptCount } from './ledger.ts';

/** What of a signed log a certificate names. */
export interface LogProof {
  /** The latest checkpoint, once all that is in the log is in it; undefined where it cannot be had. */
  checkpoint(): Promise<string | undefined>;
  /** Signs a text that ends in a newline. */
  sign(text: string): string;
}

export interface CertificateFacts {
  readonly serverName: string;
  readonly erasure: Erasure;
  readonly destroyed: DestroyedSoFar;
  readonly kept: readonly KeptCount[];
  readonly headBefore: string | undefined;
  readonly headAfter: string | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** A certificate as it is stored. */
export interface Certificate {
  /** JSON. */
  readonly document: string;
  /** The signed note; the text alone where there is no key to sign with. */
  readonly note: string;
}

/** How the signed text begins. */
const TITLE = 'Stele: certificate of erasure, ';

const COPIES = [
  'What others wrote is theirs: quotes of the subject in their replies, and names in their text, stay.',
  'Other servers in a room have copies of what was sent there; they were asked to redact as far as stated here.',
  'Other servers were not asked about rooms that the subject had left: only who is in a room can redact there.',
  'People keep what their own devices have downloaded.',
];

/** Makes a certificate. */
export function makeCertificate(facts: CertificateFacts, sign: LogProof['sign'] | undefined): Certificate {
  const { serverName, erasure, kept, headBefore, headAfter, nowMs } = facts;
  const { items, media, records, peersAsked } = facts.destroyed;
  const destroyed = Object.fromEntries(Object.entries(items).sort(([a], [b]) => (a < b ? -1 : 1)));
  const document = JSON.stringify(
    {
      type: 'stele.erasure.certificate',
      version: 1,
      server: serverName,
      subject: erasure.userId,
      request: {
        id: erasure.id,
        by: erasure.by,
        reason: erasure.reason,
        case_id: erasure.caseId,
        requested_at: new Date(erasure.requestedAtMs).toISOString(),
      },
      completed_at: new Date(nowMs).toISOString(),
      destroyed: { items: destroyed, media_files: media, decided_in_records: records },
      kept,
      events_redacted_elsewhere: peersAsked,
      copies: COPIES,
      log: { head_before: headBefore ?? null, head_after: headAfter ?? null },
    },
    undefined,
    2,
  );
  const text = [
    `${TITLE}${serverName}`,
    `subject ${erasure.userId}`,
    `request ${erasure.id} of ${new Date(erasure.requestedAtMs).toISOString()}`,
    `completed ${new Date(nowMs).toISOString()}`,
    ...Object.entries(destroyed).map(([what, count]) => `destroyed ${what} ${count}`),
    `destroyed files ${media}`,
    ...kept.map(({ rule, why, count }) => `kept ${count} ${rule}: ${oneLine(why)}`),
    digestLine(document),
    '',
  ].join('\n');
  return { document, note: sign === undefined ? text : sign(text) };
}

/** Whether a note is signed by this key and is of this document. Throws NoteError where it is not signed. */
export function checkCertificate({ document, note }: Certificate, verifier: NoteVerifier): boolean {
  const lines = openNote(note, verifier).split('\n');
  // Other texts are signed with the same key, and what people gave as reasons is in the lines between.
  return lines[0]?.startsWith(TITLE) === true && lines.at(-2) === digestLine(document);
}

/** What is not a certificate of erasure, or of another key; the message says why. */
export class CertificateRejected extends Error {
  override readonly name = 'CertificateRejected';
}

/** What a certificate says that was checked. */
export interface CheckedCertificate {
  readonly server: string;
  readonly subject: string;
  readonly request_id: string;
  readonly completed_at: string;
  readonly destroyed: unknown;
  readonly kept: unknown;
  /** The records of the log that decided what goes. */
  readonly decided_in_records: readonly number[];
  /** Records of the log before and after; null where there was no signed head. */
  readonly log_size_before: number | null;
  readonly log_size_after: number | null;
}

const documentSchema = z.object({
  type: z.literal('stele.erasure.certificate'),
  version: z.literal(1),
  server: z.string(),
  subject: z.string(),
  request: z.object({ id: z.string() }),
  completed_at: z.string(),
  destroyed: z.object({ decided_in_records: z.array(z.int().min(0)) }).loose(),
  kept: z.array(z.unknown()),
  log: z.object({ head_before: z.string().nullable(), head_after: z.string().nullable() }),
});

/**
 * Checks all that a certificate alone can show: the signature, that the document is the one that was signed, and the signatures of
 * the heads of the log that it names. @throws {CertificateRejected}
 */
export function readCertificate(certificate: Certificate, verifier: NoteVerifier): CheckedCertificate {
  try {
    if (!checkCertificate(certificate, verifier)) {
      throw new CertificateRejected('what is signed is no certificate of erasure, or is of another document.');
    }
    const { server, subject, request, completed_at, destroyed, kept, log } = documentSchema.parse(
      parseJson(certificate.document),
    );
    const sizeOf = (head: string | null): number | null => (head === null ? null : openCheckpoint(head, verifier).size);
    const [before, after] = [sizeOf(log.head_before), sizeOf(log.head_after)];
    if (before !== null && after !== null && before > after) {
      throw new CertificateRejected('the log has fewer records after it than before.');
    }
    return {
      server,
      subject,
      request_id: request.id,
      completed_at,
      destroyed,
      kept,
      decided_in_records: destroyed.decided_in_records,
      log_size_before: before,
      log_size_after: after,
    };
  } catch (error) {
    if (error instanceof CertificateRejected) throw error;
    throw new CertificateRejected(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function digestLine(document: string): string {
  return `document sha256 ${digest(document)}`;
}

function digest(document: string): string {
  return createHash('sha256').update(document, 'utf8').digest('hex');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
