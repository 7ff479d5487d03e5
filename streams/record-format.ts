/**
 * The public header of a record and its leaf in the transparency tree. These bytes are hashed and so fixed for ever;
 * a change needs a new header format number.
 *
 * Header, big-endian: format u8 (1) · stream length u8, stream · revision u48 · kind length u8, kind · kind version u16 ·
 * recorded-at u48 (ms since the epoch) · UUID 16 bytes · section count u8.
 *
 * Leaf (RFC 6962 §2.1): SHA-256(0x00 ‖ header ‖ SHA-256(sealed section 0) ‖ SHA-256(sealed section 1) …).
 */
import { hash } from 'node:crypto';
import { MAX_SECTIONS } from './event-log.ts';

/** What a record's header says; see {@link encodeHeader}. */
export interface RecordHeader {
  readonly stream: string;
  readonly revision: number;
  readonly kind: string;
  readonly version: number;
  readonly recordedAtMs: number;
  readonly id: Uint8Array;
  readonly sectionCount: number;
}

export const HEADER_FORMAT = 1;
/** Longest kind, in bytes. */
export const MAX_KIND_BYTES = 64;
const FIXED_BYTES = 1 + 1 + 6 + 1 + 2 + 6 + 16 + 1;
/** Bytes of a record's id. */
export const ID_BYTES = 16;
export const HASH_BYTES = 32;

/** The header's bytes. Throws RangeError for a value that the format cannot hold. */
export function encodeHeader(header: RecordHeader): Buffer {
  const { stream, kind, sectionCount } = header;
  if (header.id.length !== ID_BYTES) throw new RangeError('a record id has 16 bytes');
  if (stream.length > 0xff || kind.length > MAX_KIND_BYTES) throw new RangeError('a stream or kind name is too long');
  if (sectionCount > MAX_SECTIONS) throw new RangeError(`a record has at most ${MAX_SECTIONS} sections`);
  const bytes = Buffer.allocUnsafe(FIXED_BYTES + stream.length + kind.length);
  let at = bytes.writeUInt8(HEADER_FORMAT, 0);
  at = bytes.writeUInt8(stream.length, at);
  at += bytes.write(stream, at, 'latin1');
  at = bytes.writeUIntBE(header.revision, at, 6);
  at = bytes.writeUInt8(kind.length, at);
  at += bytes.write(kind, at, 'latin1');
  at = bytes.writeUInt16BE(header.version, at);
  at = bytes.writeUIntBE(header.recordedAtMs, at, 6);
  bytes.set(header.id, at);
  bytes.writeUInt8(sectionCount, at + ID_BYTES);
  return bytes;
}

/** The UUID in a header: the 16 bytes before its last. */
export function idOfHeader(header: Buffer): Buffer {
  return header.subarray(header.length - 1 - ID_BYTES, header.length - 1);
}

/** Reads what {@link encodeHeader} wrote. Throws RangeError if the bytes are no header. */
export function decodeHeader(bytes: Buffer): RecordHeader {
  if (bytes.length < FIXED_BYTES || bytes[0] !== HEADER_FORMAT) throw new RangeError('not a record header');
  const streamEnd = 2 + bytes.readUInt8(1);
  const stream = bytes.toString('latin1', 2, streamEnd);
  const revision = bytes.readUIntBE(streamEnd, 6);
  const kindStart = streamEnd + 7;
  const kindEnd = kindStart + bytes.readUInt8(streamEnd + 6);
  if (bytes.length !== kindEnd + 2 + 6 + ID_BYTES + 1) throw new RangeError('not a record header');
  return {
    stream,
    revision,
    kind: bytes.toString('latin1', kindStart, kindEnd),
    version: bytes.readUInt16BE(kindEnd),
    recordedAtMs: bytes.readUIntBE(kindEnd + 2, 6),
    id: bytes.subarray(kindEnd + 8, kindEnd + 8 + ID_BYTES),
    sectionCount: bytes.readUInt8(kindEnd + 8 + ID_BYTES),
  };
}

/** Only the stream and the revision of an encoded header that is known to be one: a third of the work of {@link decodeHeader}. */
export function placeInStream(header: Buffer): Pick<RecordHeader, 'stream' | 'revision'> {
  const streamEnd = 2 + header.readUInt8(1);
  return { stream: header.toString('latin1', 2, streamEnd), revision: header.readUIntBE(streamEnd, 6) };
}

/** The record's leaf hash: 32 bytes. `sealedSections` are the sections as stored. */
export function leafHash(header: Uint8Array, sealedSections: readonly Uint8Array[]): Buffer {
  const leaf = Buffer.allocUnsafe(HASH_BYTES);
  writeLeafHash(leaf, 0, header, sealedSections);
  return leaf;
}

/** The same, written to `target` at `at`: for whoever hashes all the records of a log. */
export function writeLeafHash(
  target: Buffer,
  at: number,
  header: Uint8Array,
  sealedSections: readonly Uint8Array[],
): void {
  const input = leafInput(header, sealedSections.length);
  let end = 1 + header.length;
  for (const section of sealedSections) {
    writeSha256(input, end, section);
    end += HASH_BYTES;
  }
  writeSha256(target, at, input);
}

/** The same from the sections' SHA-256 digests: what a proof carries instead of the sections. */
export function leafHashOfDigests(header: Uint8Array, sectionDigests: readonly Uint8Array[]): Buffer {
  const input = leafInput(header, sectionDigests.length);
  let at = 1 + header.length;
  for (const digest of sectionDigests) {
    input.set(digest, at);
    at += HASH_BYTES;
  }
  return sha256(input);
}

/** By length: what a leaf is the hash of. It is hashed at once, so one buffer of a length serves every record. */
const leafInputs = new Map<number, Buffer>();
/** Headers differ in the lengths of two names, so there are few lengths; beyond these a buffer is made each time. */
const MAX_LEAF_INPUTS = 512;

function leafInput(header: Uint8Array, sections: number): Buffer {
  const length = 1 + header.length + HASH_BYTES * sections;
  let input = leafInputs.get(length);
  if (input === undefined) {
    input = Buffer.alloc(length);
    if (leafInputs.size < MAX_LEAF_INPUTS) leafInputs.set(length, input);
  }
  input.set(header, 1);
  return input;
}

/** SHA-256 of the bytes. */
export function sha256(bytes: Uint8Array): Buffer {
  const digest = Buffer.allocUnsafe(HASH_BYTES);
  writeSha256(digest, 0, bytes);
  return digest;
}

/**
 * Digests come as strings of one character a byte, which cost half of what a Buffer for each does, under the name by which
 * Node finds that encoding soonest; its types know only the other one.
 */
const DIGEST_ENCODING = 'latin1' as 'binary';

/** Writes the SHA-256 of the bytes to `target` at `at`; they may overlap. */
export function writeSha256(target: Buffer, at: number, bytes: Uint8Array): void {
  target.write(hash('sha256', bytes, DIGEST_ENCODING), at, 'latin1');
}
