/**
 * The certificate of an erasure: what was destroyed, what was kept and why, and the heads of the log before and after. A JSON
 * document, and a signed note (C2SP signed-note) that names its digest and says the same for people; the key is the one that signs
 * the log's checkpoints.
 */
import { createHash } from 'node:crypto';
import type { Erasure } from '#projections/compliance/queries.ts';
import type { DestroyedSoFar } from '#projections/compliance/records.ts';
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

const COPIES = [
  'What others wrote is theirs: quotes of the subject in their replies, and names in their text, stay.',
  'Other servers in a room have copies of what was sent there; they were asked to redact as far as stated here.',
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
    `Stele: certificate of erasure, ${serverName}`,
    `subject ${erasure.userId}`,
    `request ${erasure.id} of ${new Date(erasure.requestedAtMs).toISOString()}`,
    `completed ${new Date(nowMs).toISOString()}`,
    ...Object.entries(destroyed).map(([what, count]) => `destroyed ${what} ${count}`),
    `destroyed files ${media}`,
    ...kept.map(({ rule, why, count }) => `kept ${count} ${rule}: ${oneLine(why)}`),
    `document sha256 ${digest(document)}`,
    '',
  ].join('\n');
  return { document, note: sign === undefined ? text : sign(text) };
}

/** Whether a note is signed by this key and is of this document. Throws NoteError where it is not signed. */
export function checkCertificate({ document, note }: Certificate, verifier: NoteVerifier): boolean {
  return openNote(note, verifier).includes(`document sha256 ${digest(document)}\n`);
}

function digest(document: string): string {
  return createHash('sha256').update(document, 'utf8').digest('hex');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
