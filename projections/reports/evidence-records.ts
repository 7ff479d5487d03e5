/**
 * The `evidence.captured` record of the stream `server-evidence`: what was reported, or acted on by a moderator, as it was before
 * that. Section 0 is a msgpack map of {@link EvidenceHead}: what it is about, why it was captured, the digests of its media. Section
 * 1 is JSON, {@link EvidenceContent}: what people wrote, with a key of its own.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const EVIDENCE_STREAM = 'server-evidence';
export const EVIDENCE_CAPTURED = 'evidence.captured';

/** A file that what was captured refers to. */
export interface EvidenceMedia {
  /** `mxc://` URI. */
  readonly uri: string;
  /** SHA-256 in lower-case hex; null for media of other servers, whose content this one need not have. */
  readonly sha256: string | null;
  readonly sizeBytes: number | null;
  readonly contentType: string | null;
  readonly uploader: string | null;
}

/** What evidence is about, and why there is any. */
export interface EvidenceHead {
  /** `report`: somebody reported it; `redaction`: a moderator redacted it; `removal`: an administrator removed the media. */
  readonly cause: 'report' | 'redaction' | 'removal';
  /** Who caused it. */
  readonly by: string;
  readonly roomId?: string;
  readonly eventId?: string;
  /** Whose it is: the sender, the uploader, or the user who was reported. */
  readonly userId?: string;
  /** Others whose words are in the context. */
  readonly others?: readonly string[];
  readonly media: readonly EvidenceMedia[];
}

/** What was there: the PDU, those around it, or what the room or user was called. */
export interface EvidenceContent {
  readonly event?: unknown;
  /** In the order of the room. */
  readonly before?: readonly unknown[];
  readonly after?: readonly unknown[];
  /** Event ids of those around it that were too large to be captured. */
  readonly left_out?: readonly string[];
  readonly state?: readonly unknown[];
  readonly profile?: unknown;
}

/** The section that holds what people wrote. */
export const EVIDENCE_CONTENT_SECTION = 1;

const packr = new Packr({ useRecords: false });
const decoder = new TextDecoder();

/** The record of evidence. @param contentJson an {@link EvidenceContent} as JSON. */
export function evidenceRecord(id: Uint8Array, head: EvidenceHead, contentJson: string): RecordDraft {
  return {
    id,
    kind: EVIDENCE_CAPTURED,
    version: recordKinds[EVIDENCE_CAPTURED].version,
    sections: [packr.pack(head), Buffer.from(contentJson, 'utf8')],
  };
}

/** What evidence is about; undefined for other records, and where that was destroyed. */
export function readEvidenceHead(record: LogRecord): EvidenceHead | undefined {
  if (record.kind !== EVIDENCE_CAPTURED) return undefined;
  const [head] = record.sections;
  if (!head) return undefined;
  return packr.unpack(head) as EvidenceHead;
}

/** What was captured, as JSON; undefined where it was destroyed. */
export function readEvidenceContent(record: LogRecord): string | undefined {
  const content = record.sections[EVIDENCE_CONTENT_SECTION];
  return content ? decoder.decode(content) : undefined;
}
