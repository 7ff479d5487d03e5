/**
 * How a record lies in a segment. All numbers big-endian; frames start at multiples of 8 bytes and are padded with zeros.
 *
 * Segment: 64 bytes of header (magic 8 · format u32 · first position u48 · log id 16 bytes · zeros · CRC32C of the
 * 60 bytes before u32), then frames, then zeros.
 *
 * Frame: length of the body u32 · CRC32C of the body u32 · body. Body: flags u8 (1: last of its commit) · section count
 * u8 · header length u16 · offset of the commit's first frame u32 · position u48 · position of the stream's previous
 * record u48 · position of the record of revision r & (r − 1) u48 · slot of the first key u48 · length of each section
 * u32 · header (record-format.ts) · sections · end mark u8. The end mark is never zero, so a frame that was written to its
 * end can be told from one that was not.
 *
 * The two links lead from a stream's head to any of its records in O(log² n) steps, so no index by stream is needed.
 */
import { crc32c } from '@node-rs/crc32';
import { MAX_APPEND_BYTES, MAX_SECTIONS, type Position } from '../event-log.ts';
import type { SealedRecord, StoredRecord } from '../log-driver.ts';

export const SEGMENT_HEADER_BYTES = 64;
export const FRAME_ALIGN_BYTES = 8;
export const LOG_ID_BYTES = 16;
const MAGIC = Buffer.from('STELEseg', 'latin1');
const FORMAT = 1;
/** Length and checksum of a frame's body. */
export const FRAME_PREFIX_BYTES = 8;
const FIXED_BODY_BYTES = 32;
const LAST_OF_COMMIT = 1;
const END_MARK = 0x5a;
const END_MARK_BYTES = 1;
/** A link to nothing: the stream has no such record. */
const NO_LINK = 0xffff_ffff_ffff;
/** An append fits the bound of the log, and so does each of its frames. */
export const MAX_FRAME_BYTES = MAX_APPEND_BYTES;

/** A record in a segment. */
export interface Frame extends StoredRecord {
  /** Where the frame starts in its segment. */
  readonly offset: number;
  /** Bytes it takes, padding included. */
  readonly size: number;
  /** Offset of the first frame of the commit that it was written with. */
  readonly commitStart: number;
  readonly lastOfCommit: boolean;
  /** Position of the stream's previous record, or -1. */
  readonly previous: Position;
  /** Position of the stream's record of revision r & (r − 1), or -1. */
  readonly skip: Position;
}

/** What the driver adds to a record when it is framed. */
export interface FrameFields {
  readonly position: Position;
  readonly previous: Position;
  readonly skip: Position;
  readonly firstKeySlot: number;
  readonly commitStart: number;
  readonly lastOfCommit: boolean;
}

export interface SegmentHeader {
  readonly firstPosition: Position;
  readonly logId: Buffer;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32BE(FORMAT, 8);
  bytes.writeUIntBE(header.firstPosition, 12, 6);
  header.logId.copy(bytes, 18);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, SEGMENT_HEADER_BYTES - 4)), SEGMENT_HEADER_BYTES - 4);
  return bytes;
}

/** The header, or undefined if the bytes are none. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (bytes.readUInt32BE(8) !== FORMAT) return undefined;
  const sum = crc32c(bytes.subarray(0, SEGMENT_HEADER_BYTES - 4));
  if (bytes.readUInt32BE(SEGMENT_HEADER_BYTES - 4) !== sum) return undefined;
  return { firstPosition: bytes.readUIntBE(12, 6), logId: Buffer.from(bytes.subarray(18, 18 + LOG_ID_BYTES)) };
}

/** Bytes that the record's frame takes, padding included. */
export function frameSize(record: SealedRecord): number {
  let body = FIXED_BODY_BYTES + record.header.length + END_MARK_BYTES;
  for (const section of record.sections) body += 4 + section.length;
  return align(FRAME_PREFIX_BYTES + body);
}

/** Writes a frame at `at`, where there must be room for its size; gives where it ends. */
export function encodeFrame(into: Buffer, at: number, record: SealedRecord, fields: FrameFields): number {
  const { header, sections } = record;
  const body = at + FRAME_PREFIX_BYTES;
  into[body] = fields.lastOfCommit ? LAST_OF_COMMIT : 0;
  into[body + 1] = sections.length;
  into.writeUInt16BE(header.length, body + 2);
  into.writeUInt32BE(fields.commitStart, body + 4);
  into.writeUIntBE(fields.position, body + 8, 6);
  into.writeUIntBE(fields.previous < 0 ? NO_LINK : fields.previous, body + 14, 6);
  into.writeUIntBE(fields.skip < 0 ? NO_LINK : fields.skip, body + 20, 6);
  into.writeUIntBE(fields.firstKeySlot, body + 26, 6);
  let end = body + FIXED_BODY_BYTES;
  for (const section of sections) end = into.writeUInt32BE(section.length, end);
  end += header.copy(into, end);
  for (const section of sections) end += section.copy(into, end);
  into[end] = END_MARK;
  end += END_MARK_BYTES;
  into.writeUInt32BE(end - body, at);
  into.writeUInt32BE(crc32c(into.subarray(body, end)), at + 4);
  const next = align(end);
  into.fill(0, end, next);
  return next;
}

/** The size that a frame at `at` claims to have, padding included, or 0 if no frame can have it. */
export function claimedFrameSize(bytes: Buffer, at: number): number {
  if (at + FRAME_PREFIX_BYTES > bytes.length) return 0;
  const body = bytes.readUInt32BE(at);
  return body < FIXED_BODY_BYTES || body > MAX_FRAME_BYTES ? 0 : align(FRAME_PREFIX_BYTES + body);
}

/**
 * The frame at `at`, which lies at `offset` in its segment; undefined if it is not whole or its checksum does not match.
 * The record's buffers are views of `bytes`.
 */
export function decodeFrame(bytes: Buffer, at: number, offset: number): Frame | undefined {
  const size = claimedFrameSize(bytes, at);
  if (size === 0 || at + size > bytes.length) return undefined;
  const body = at + FRAME_PREFIX_BYTES;
  const end = body + bytes.readUInt32BE(at);
  const sectionCount = bytes.readUInt8(body + 1);
  if (sectionCount > MAX_SECTIONS) return undefined;
  const headerStart = body + FIXED_BODY_BYTES + 4 * sectionCount;
  const headerEnd = headerStart + bytes.readUInt16BE(body + 2);
  if (headerEnd > end) return undefined;
  // The lengths are compared before the checksum: it makes looking for a frame at any place cheap.
  const sections: Buffer[] = [];
  let sectionAt = headerEnd;
  for (let index = 0; index < sectionCount; index++) {
    const next = sectionAt + bytes.readUInt32BE(body + FIXED_BODY_BYTES + 4 * index);
    if (next > end) return undefined;
    sections.push(bytes.subarray(sectionAt, next));
    sectionAt = next;
  }
  if (sectionAt + END_MARK_BYTES !== end || crc32c(bytes.subarray(body, end)) !== bytes.readUInt32BE(at + 4))
    return undefined;
  return {
    offset,
    size,
    position: bytes.readUIntBE(body + 8, 6),
    previous: link(bytes.readUIntBE(body + 14, 6)),
    skip: link(bytes.readUIntBE(body + 20, 6)),
    firstKeySlot: bytes.readUIntBE(body + 26, 6),
    commitStart: bytes.readUInt32BE(body + 4),
    lastOfCommit: bytes[body] === LAST_OF_COMMIT,
    header: bytes.subarray(headerStart, headerEnd),
    sections,
  };
}

function link(stored: number): Position {
  return stored === NO_LINK ? -1 : stored;
}

function align(bytes: number): number {
  return Math.ceil(bytes / FRAME_ALIGN_BYTES) * FRAME_ALIGN_BYTES;
}
