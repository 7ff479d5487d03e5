/**
 * One file of the keyring: a header, then slots of 32 bytes. A slot is zeros (never written), a key encrypted with the
 * master key, a mark of a commit, or 32 × 0xFF (destroyed).
 *
 * Header, big-endian, 512 bytes: magic 8 · format u32 · file number u32 · log id 16 · nonce 24 · check value of the
 * master key 32 · zeros · CRC32C of the 508 bytes before u32.
 *
 * Slot s of a file is encrypted with bytes 32 s … 32 s + 31 of the XChaCha20 key stream for the file's nonce, so slots
 * are encrypted and read in runs. No slot is written twice (other than to be destroyed), so no part of the key stream
 * is used twice. A slot lies within one disk sector: it is there or not, never half.
 */
import { randomBytes } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import sodium from 'sodium-native';
import { KEY_BYTES } from './key-store.ts';
import { STREAM_BLOCK_BYTES, STREAM_NONCE_BYTES, xorStream } from './sodium-stream.ts';

export const KEY_FILE_HEADER_BYTES = 512;
/** Slots of one file: 32 MiB of keys. */
export const SLOTS_PER_FILE = 1 << 20;
const MAGIC = Buffer.from('STELEkey', 'latin1');
const FORMAT = 1;
const CHECK_CONTEXT = Buffer.from('stele: is this the master key of this keyring?', 'latin1');
const CHECK_BYTES = 32;
const SLOTS_PER_BLOCK = STREAM_BLOCK_BYTES / KEY_BYTES;
/** What a mark says before its number: no key has these 16 bytes but by a chance of 2⁻¹²⁸. */
const MARK_MAGIC = Buffer.from('stele commit\0\0\0\0', 'latin1');

export interface KeyFileHeader {
  readonly number: number;
  readonly logId: Buffer;
  readonly nonce: Buffer;
  /** What {@link checkValue} must give for the right master key. */
  readonly check: Buffer;
}

export function newKeyFileHeader(number: number, logId: Buffer, masterKey: Buffer): KeyFileHeader {
  const nonce = randomBytes(STREAM_NONCE_BYTES);
  return { number, logId, nonce, check: checkValue(nonce, masterKey) };
}

export function encodeKeyFileHeader(header: KeyFileHeader): Buffer {
  const bytes = Buffer.alloc(KEY_FILE_HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32BE(FORMAT, 8);
  bytes.writeUInt32BE(header.number, 12);
  header.logId.copy(bytes, 16);
  header.nonce.copy(bytes, 32);
  header.check.copy(bytes, 32 + STREAM_NONCE_BYTES);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, KEY_FILE_HEADER_BYTES - 4)), KEY_FILE_HEADER_BYTES - 4);
  return bytes;
}

/** The header, or undefined if the bytes are none. */
export function decodeKeyFileHeader(bytes: Buffer): KeyFileHeader | undefined {
  if (bytes.length < KEY_FILE_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (bytes.readUInt32BE(8) !== FORMAT) return undefined;
  const sum = crc32c(bytes.subarray(0, KEY_FILE_HEADER_BYTES - 4));
  if (bytes.readUInt32BE(KEY_FILE_HEADER_BYTES - 4) !== sum) return undefined;
  const checkStart = 32 + STREAM_NONCE_BYTES;
  return {
    number: bytes.readUInt32BE(12),
    logId: Buffer.from(bytes.subarray(16, 32)),
    nonce: Buffer.from(bytes.subarray(32, checkStart)),
    check: Buffer.from(bytes.subarray(checkStart, checkStart + CHECK_BYTES)),
  };
}

/** A value that tells whether a master key is the right one and nothing else about it. */
export function checkValue(nonce: Buffer, masterKey: Buffer): Buffer {
  const check = Buffer.alloc(CHECK_BYTES);
  sodium.crypto_generichash(check, Buffer.concat([CHECK_CONTEXT, nonce]), masterKey);
  return check;
}

/** Where a slot lies in its file; `slot` counts from the file's first. */
export function slotOffset(slot: number): number {
  return KEY_FILE_HEADER_BYTES + slot * KEY_BYTES;
}

/** Encrypts or decrypts the slots from `firstSlot` (in its file) on, in place. */
export function xorSlots(slots: Buffer, firstSlot: number, nonce: Buffer, masterKey: Buffer): void {
  const block = Math.floor(firstSlot / SLOTS_PER_BLOCK);
  const into = (firstSlot % SLOTS_PER_BLOCK) * KEY_BYTES;
  if (into === 0) {
    xorStream(slots, nonce, block, masterKey);
    return;
  }
  // The run starts in the middle of a block of the key stream: the part before is thrown away.
  const head = Buffer.alloc(STREAM_BLOCK_BYTES);
  const headBytes = Math.min(STREAM_BLOCK_BYTES - into, slots.length);
  slots.copy(head, into, 0, headBytes);
  xorStream(head, nonce, block, masterKey);
  head.copy(slots, 0, into, into + headBytes);
  if (slots.length > headBytes) xorStream(slots.subarray(headBytes), nonce, block + 1, masterKey);
}

/** Whether the 32 bytes at `at` are all `value`. */
export function slotIs(bytes: Buffer, at: number, value: 0 | 0xff): boolean {
  for (let index = at; index < at + KEY_BYTES; index++) if (bytes[index] !== value) return false;
  return true;
}

/** A mark: a slot written with a commit, behind its keys. */
export interface Mark {
  /** Position of the commit's first record. Commits follow each other, so every record before it was durable. */
  readonly firstPosition: number;
  /** Records of the commit; none for the mark of a log that was closed in order. */
  readonly records: number;
}

/** Writes the plain bytes of a mark: magic 16 · zeros 6 · records u32 · first position u48. */
export function writeMark(into: Buffer, at: number, { firstPosition, records }: Mark): void {
  MARK_MAGIC.copy(into, at);
  into.writeUIntBE(0, at + MARK_MAGIC.length, 6);
  into.writeUInt32BE(records, at + MARK_MAGIC.length + 6);
  into.writeUIntBE(firstPosition, at + KEY_BYTES - 6, 6);
}

/** The mark in a decrypted slot, if it is one. */
export function readMark(bytes: Buffer, at: number): Mark | undefined {
  for (let index = 0; index < MARK_MAGIC.length; index++) if (bytes[at + index] !== MARK_MAGIC[index]) return undefined;
  return {
    records: bytes.readUInt32BE(at + MARK_MAGIC.length + 6),
    firstPosition: bytes.readUIntBE(at + KEY_BYTES - 6, 6),
  };
}
