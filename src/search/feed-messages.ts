/** What the search index and the part of the server that feeds it tell each other, in one thread or between two. */
import { Packr } from 'msgpackr';
import type { LogRecord, Position } from '#streams/event-log.ts';

/** From who has the log to who has the index. */
export type ToIndex =
  /** Records in order, see {@link RecordPacker}; each batch is acknowledged. */
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

/** Bytes for records that a packer begins with; it takes twice as many whenever it needs more. */
const FIRST_PACKER_BYTES = 64 * 1024;

/**
 * Gathers records as bytes that can be handed to another thread. Each is packed when it comes: records that were kept until then
 * would outlive what V8 expects of what is new, and be copied about.
 */
export class RecordPacker {
  #bytes = Buffer.allocUnsafeSlow(FIRST_PACKER_BYTES);
  #length = 0;
  #count = 0;

  /** Records since the last {@link take}. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of them. */
  get length(): number {
    return this.#length;
  }

  add(record: LogRecord): void {
    const { position, stream, revision, kind, version, recordedAtMs, id, sections } = record;
    const values: PackedRecord = [position, stream, revision, kind, version, recordedAtMs, id, sections];
    const packed = packr.pack(values);
    const end = this.#length + packed.length;
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(packed, this.#length);
    this.#length = end;
    this.#count += 1;
  }

  /** What was gathered, in a memory of its own; nothing is left. */
  take(): Uint8Array<ArrayBuffer> {
    const packed = Uint8Array.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    this.#count = 0;
    return packed;
  }
}

/** The records that were gathered in a {@link RecordPacker}. */
export function unpackRecords(packed: Uint8Array): LogRecord[] {
  if (packed.length === 0) return [];
  return (packr.unpackMultiple(packed) as PackedRecord[]).map(
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
