/**
 * Opened records as bytes, to hand them from one thread to another without a copy.
 *
 * Big-endian: record count u32, then for each record: position u48 · header length u16 · section count u8 · length of each
 * section u32 (0xFFFFFFFF: its key was destroyed) · header · sections, each behind a gap of 32 bytes.
 */
import type { LogRecord } from '../event-log.ts';
import type { KeyStore } from '../keyring/key-store.ts';
import type { StoredRecord } from '../log-driver.ts';
import { decodeHeader } from '../record-format.ts';
import { keyFor, unopened } from '../record-reader.ts';
import { COMMITMENT_BYTES, openSectionInto, SEAL_BYTES } from '../sealing.ts';

const COUNT_BYTES = 4;
/** Position, header length, section count. */
const FIXED_BYTES = 6 + 2 + 1;
const DESTROYED = 0xffff_ffff;
/** The record's id stands in front of the last byte of its header; see record-format.ts. */
const ID_FROM_END = 17;

/** Opens records into one buffer of their own. Throws Damaged if a section does not open. */
export async function openIntoBatch(stored: readonly StoredRecord[], keys: KeyStore): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.from(new ArrayBuffer(batchSize(stored)));
  let at = bytes.writeUInt32BE(stored.length, 0);
  for (const one of stored) {
    const { header, sections } = one;
    at = bytes.writeUIntBE(one.position, at, 6);
    at = bytes.writeUInt16BE(header.length, at);
    at = bytes.writeUInt8(sections.length, at);
    let lengthAt = at;
    at += 4 * sections.length;
    at += header.copy(bytes, at);
    const id = header.subarray(header.length - ID_FROM_END, header.length - 1);
    for (const [index, sealed] of sections.entries()) {
      const slot = one.firstKeySlot + index;
      let key = keys.peek(slot);
      // Waiting only where the key is not in memory: a promise for each section costs as much as opening it.
      if (key === undefined) key = await keyFor(keys, slot);
      if (key === null) {
        lengthAt = bytes.writeUInt32BE(DESTROYED, lengthAt);
        continue;
      }
      const length = openSectionInto(bytes, at, sealed, id, index, key);
      if (length === undefined) throw unopened(one, index);
      lengthAt = bytes.writeUInt32BE(length, lengthAt);
      at += COMMITMENT_BYTES + length;
    }
  }
  return bytes;
}

function batchSize(stored: readonly StoredRecord[]): number {
  let size = COUNT_BYTES;
  for (const { header, sections } of stored) {
    size += FIXED_BYTES + header.length;
    for (const { length } of sections) size += 4 + COMMITMENT_BYTES + Math.max(0, length - SEAL_BYTES);
  }
  return size;
}

/** The records of a batch. Their sections are views of it. */
export function readBatch(bytes: Buffer): LogRecord[] {
  const records: LogRecord[] = [];
  let at = COUNT_BYTES;
  for (let left = bytes.readUInt32BE(0); left > 0; left--) {
    const position = bytes.readUIntBE(at, 6);
    const headerLength = bytes.readUInt16BE(at + 6);
    const count = bytes.readUInt8(at + 8);
    let lengthAt = at + FIXED_BYTES;
    at = lengthAt + 4 * count;
    const header = decodeHeader(bytes.subarray(at, at + headerLength));
    at += headerLength;
    const sections: (Buffer | null)[] = [];
    for (let index = 0; index < count; index++) {
      const length = bytes.readUInt32BE(lengthAt);
      lengthAt += 4;
      if (length === DESTROYED) {
        sections.push(null);
        continue;
      }
      const start = at + COMMITMENT_BYTES;
      at = start + length;
      sections.push(bytes.subarray(start, at));
    }
    const { stream, revision, kind, version, recordedAtMs, id } = header;
    records.push({ position, stream, revision, kind, version, recordedAtMs, id: Buffer.from(id), sections });
  }
  return records;
}
