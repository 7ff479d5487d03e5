import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeFrame, decodeSegmentHeader, encodeFrame, encodeSegmentHeader, frameSize } from './frame.ts';
import { StreamHeads } from './heads.ts';
import { decodeHeads, decodeIndexSummary, decodeOffsets, encodeIndex, INDEX_HEADER_BYTES } from './segment-index.ts';

const position = fc.integer({ min: 0, max: 2 ** 40 });
const link = fc.integer({ min: -1, max: 2 ** 40 });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const record = fc.record({
  header: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((array) => Buffer.from(array)),
  sections: fc.array(bytes, { maxLength: 4 }),
});
const fields = fc.record({
  position,
  previous: link,
  skip: link,
  firstKeySlot: position,
  commitStart: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  lastOfCommit: fc.boolean(),
});

test('a frame says what was put into it, and fills the bytes that it said it would', () => {
  fc.assert(
    fc.property(record, fields, fc.integer({ min: 0, max: 3 }), (stored, said, gap) => {
      const whole = { ...stored, keys: Buffer.alloc(0) };
      const buffer = Buffer.alloc(8 * gap + frameSize(whole), 0xee);
      expect(encodeFrame(buffer, 8 * gap, whole, said)).toBe(buffer.length);
      const frame = decodeFrame(buffer, 8 * gap, 4096);
      expect(frame).toMatchObject({ ...said, ...stored, offset: 4096, size: frameSize(whole) });
    }),
  );
});

test('a frame with any byte of its length, checksum or body changed is none', () => {
  const whole = { header: randomBytes(60), sections: [randomBytes(30), randomBytes(5)], keys: Buffer.alloc(0) };
  const buffer = Buffer.alloc(frameSize(whole));
  const said = { position: 1, previous: -1, skip: -1, firstKeySlot: 0, commitStart: 64, lastOfCommit: true };
  encodeFrame(buffer, 0, whole, said);
  const written = 8 + buffer.readUInt32BE(0);
  for (let at = 0; at < written; at++) {
    const changed = Buffer.from(buffer);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(decodeFrame(changed, 0, 0), `byte ${at}`).toBeUndefined();
  }
});

test('random bytes are no frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (array) => {
      expect(decodeFrame(Buffer.from(array), 0, 0)).toBeUndefined();
    }),
  );
});

test('a segment header is read as written, and only whole', () => {
  const header = { firstPosition: 123_456, logId: randomBytes(16) };
  const encoded = encodeSegmentHeader(header);
  expect(decodeSegmentHeader(encoded)).toEqual(header);
  for (let at = 0; at < encoded.length; at++) {
    const changed = Buffer.from(encoded);
    changed[at] = (changed[at] ?? 0) ^ 8;
    expect(decodeSegmentHeader(changed)).toBeUndefined();
  }
});

test('an index is read as written, and only whole', () => {
  const offsets = Uint32Array.from({ length: 50 }, (_, n) => 64 + n * 800);
  const said = [
    { stream: 'room-a', revision: 40, chain: [48, 12] },
    { stream: 'user-b', revision: 0, chain: [3] },
  ];
  const encoded = encodeIndex(1000, 40_064, offsets, said);
  const summary = decodeIndexSummary(encoded);
  if (summary === undefined) throw new Error('the index is whole');
  expect(summary).toMatchObject({ firstPosition: 1000, count: 50, end: 40_064 });
  const headBytes = encoded.subarray(INDEX_HEADER_BYTES, INDEX_HEADER_BYTES + summary.headsBytes);
  const offsetBytes = encoded.subarray(INDEX_HEADER_BYTES + summary.headsBytes);
  const heads = new StreamHeads();
  expect(decodeHeads(headBytes, summary, heads)).toBe(true);
  for (const { stream, revision, chain } of said) expect(heads.get(stream)).toMatchObject({ revision, chain });
  expect(decodeOffsets(offsetBytes, summary)).toEqual(offsets);
  headBytes[3] = 0;
  offsetBytes[3] = 9;
  expect(decodeHeads(headBytes, summary, new StreamHeads())).toBe(false);
  expect(decodeOffsets(offsetBytes, summary)).toBeUndefined();
});
