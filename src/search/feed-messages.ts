/** What the search index and the part of the server that feeds it tell each other, in one thread or between two. */
import { Packr } from 'msgpackr';
import type { LogRecord, Position } from '#streams/event-log.ts';

/** From who has the log to who has the index. */
export type ToIndex =
  /** Records in order, see {@link packRecords}; each batch is acknowledged. */
  | { readonly kind: 'records'; readonly packed: Uint8Array; readonly head: Position }
  /** The rest comes as it is appended. */
  | { readonly kind: 'live' }
  /** The log is over: closed, or broken. */
  | { readonly kind: 'end'; readonly reason: string | undefined }
  /** The answer to `read`: no record, or one. */
  | { readonly kind: 'read'; readonly packed: Uint8Array }
  | { readonly kind: 'close' };

/** The other way. */
export type FromIndex =
  | { readonly kind: 'subscribe'; readonly from: Position }
  | { readonly kind: 'applied' }
  /** Asks for one record. One question at a time. */
  | { readonly kind: 'read'; readonly position: Position }
  /** The index follows the log, and can be read. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'closed' };

type PackedRecord = [
  position: number,
  stream: string,
  revision: number,
  kind: string,
  version: number,
  recordedAtMs: number,
  id: Uint8Array,
  sections: readonly (Uint8Array | null)[],
];

const packr = new Packr({ useRecords: false, copyBuffers: true });

/** Records as bytes that can be handed to another thread. */
export function packRecords(records: readonly LogRecord[]): Uint8Array<ArrayBuffer> {
  const packed = records.map(
    (record): PackedRecord => [
      record.position,
      record.stream,
      record.revision,
      record.kind,
      record.version,
      record.recordedAtMs,
      record.id,
      record.sections,
    ],
  );
  // A copy of its own: what is handed over takes all of its memory along.
  return Uint8Array.from(packr.pack(packed));
}

/** The records of {@link packRecords}. */
export function unpackRecords(packed: Uint8Array): LogRecord[] {
  return (packr.unpack(packed) as PackedRecord[]).map(
    ([position, stream, revision, kind, version, recordedAtMs, id, sections]) => ({
      position,
      stream,
      revision,
      kind,
      version,
      recordedAtMs,
      id,
      sections,
    }),
  );
}
