/**
 * The index beside a finished segment: where each record starts, and the heads of the streams that the segment touches
 * as of its end. It is made from the segment and can be made again.
 *
 * Bytes, big-endian: magic 8 · format u32 · first position u48 · record count u32 · end of the last frame u32 · bytes of
 * the heads u32 · CRC32C of the heads u32 · CRC32C of the offsets u32 · CRC32C of the 42 bytes before u32 · heads ·
 * offsets (u32 each, little-endian). A head: name length u8 · name · revision u48 · chain length u8 · positions u48 each.
 */
import { endianness } from 'node:os';
import { crc32c } from '@node-rs/crc32';
import type { Position, Revision } from '../event-log.ts';
import type { Chain, StreamHeads } from './heads.ts';

const MAGIC = Buffer.from('STELEidx', 'latin1');
const FORMAT = 1;
export const INDEX_HEADER_BYTES = 46;
const LITTLE_ENDIAN = endianness() === 'LE';

/** A stream's head as a segment left it. */
export interface IndexedHead {
  readonly stream: string;
  readonly revision: Revision;
  readonly chain: Chain;
}

export interface IndexSummary {
  readonly firstPosition: Position;
  readonly count: number;
  /** Where the last frame ends. */
  readonly end: number;
  readonly headsBytes: number;
  readonly headsSum: number;
  readonly offsetsSum: number;
}

export function encodeIndex(
  firstPosition: Position,
  end: number,
  offsets: Uint32Array,
  heads: readonly IndexedHead[],
): Buffer {
  const headBytes = encodeHeads(heads);
  const offsetBytes = offsetsToBytes(offsets);
  const header = Buffer.alloc(INDEX_HEADER_BYTES);
  MAGIC.copy(header, 0);
  header.writeUInt32BE(FORMAT, 8);
  header.writeUIntBE(firstPosition, 12, 6);
  header.writeUInt32BE(offsets.length, 18);
  header.writeUInt32BE(end, 22);
  header.writeUInt32BE(headBytes.length, 26);
  header.writeUInt32BE(crc32c(headBytes), 30);
  header.writeUInt32BE(crc32c(offsetBytes), 34);
  header.writeUInt32BE(crc32c(header.subarray(0, INDEX_HEADER_BYTES - 4)), INDEX_HEADER_BYTES - 4);
  return Buffer.concat([header, headBytes, offsetBytes]);
}

/** What the index's first bytes say, or undefined if they are not whole. */
export function decodeIndexSummary(bytes: Buffer): IndexSummary | undefined {
  if (bytes.length < INDEX_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (bytes.readUInt32BE(8) !== FORMAT) return undefined;
  const sum = crc32c(bytes.subarray(0, INDEX_HEADER_BYTES - 4));
  if (bytes.readUInt32BE(INDEX_HEADER_BYTES - 4) !== sum) return undefined;
  return {
    firstPosition: bytes.readUIntBE(12, 6),
    count: bytes.readUInt32BE(18),
    end: bytes.readUInt32BE(22),
    headsBytes: bytes.readUInt32BE(26),
    headsSum: bytes.readUInt32BE(30),
    offsetsSum: bytes.readUInt32BE(34),
  };
}

/** Moves the heads to what the bytes say; false, with nothing moved, if they are not what was written. */
export function decodeHeads(bytes: Buffer, summary: IndexSummary, heads: StreamHeads): boolean {
  if (bytes.length !== summary.headsBytes || crc32c(bytes) !== summary.headsSum) return false;
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 1 + bytes.readUInt8(at);
    const stream = bytes.toString('latin1', at + 1, nameEnd);
    const revision = bytes.readUIntBE(nameEnd, 6);
    const chain: Position[] = [];
    const chainStart = nameEnd + 7;
    at = chainStart + 6 * bytes.readUInt8(nameEnd + 6);
    for (let entry = chainStart; entry < at; entry += 6) chain.push(bytes.readUIntBE(entry, 6));
    heads.set(stream, revision, chain);
  }
  return true;
}

/** The offsets, or undefined if the bytes are not what was written. */
export function decodeOffsets(bytes: Buffer, summary: IndexSummary): Uint32Array | undefined {
  if (bytes.length !== 4 * summary.count || crc32c(bytes) !== summary.offsetsSum) return undefined;
  const copy = Buffer.from(bytes);
  if (!LITTLE_ENDIAN) copy.swap32();
  const offsets = new Uint32Array(summary.count);
  new Uint8Array(offsets.buffer).set(copy);
  return offsets;
}

function encodeHeads(heads: readonly IndexedHead[]): Buffer {
  let size = 0;
  for (const head of heads) size += 1 + head.stream.length + 6 + 1 + 6 * head.chain.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const head of heads) {
    at = bytes.writeUInt8(head.stream.length, at);
    at += bytes.write(head.stream, at, 'latin1');
    at = bytes.writeUIntBE(head.revision, at, 6);
    at = bytes.writeUInt8(head.chain.length, at);
    for (const position of head.chain) at = bytes.writeUIntBE(position, at, 6);
  }
  return bytes;
}

function offsetsToBytes(offsets: Uint32Array): Buffer {
  const bytes = Buffer.from(new Uint8Array(offsets.buffer, offsets.byteOffset, offsets.byteLength));
  return LITTLE_ENDIAN ? bytes : bytes.swap32();
}
