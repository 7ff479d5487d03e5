/** Copies of keyrings: kept ones that only grow and forget, and ones that a restored log goes on from. */
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diskFiles } from '../embedded/files.ts';
import { FileKeyring } from './file-keyring.ts';
import { decodeKeyFileHeader, slotOffset } from './key-file.ts';
import { KEY_BYTES } from './key-store.ts';
import { cutKeyring, keptKeyFileName, keyFileName, keyFileNames, mirrorKeyring } from './keyring-copy.ts';

const masterKey = randomBytes(32);
let folder: string;
let source: string;
let kept: string;
let keys: Buffer[];
let slots: number[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-keyring-copy-'));
  [source, kept] = [path.join(folder, 'keyring'), path.join(folder, 'kept')];
  keys = [];
  slots = [];
  const keyring = await FileKeyring.create({ folder: source, files: diskFiles, masterKey }, randomBytes(16));
  await keyring.close();
  await addKeys(5);
});
afterEach(() => rm(folder, { recursive: true }));

async function addKeys(count: number): Promise<void> {
  const keyring = await FileKeyring.open({ folder: source, files: diskFiles, masterKey });
  for (let number = 0; number < count; number++) {
    const key = randomBytes(KEY_BYTES);
    await keyring.reserve(1);
    const staged = keyring.stage([key], keys.length);
    await staged.write();
    keys.push(key);
    slots.push(staged.firstSlot);
  }
  await keyring.close();
}

const nextSlot = (records = slots.length) => (slots[records - 1] ?? -1) + 1;
const mirror = () => mirrorKeyring({ from: source, to: kept, nextKeySlot: nextSlot() });

async function destroy(record: number): Promise<void> {
  const keyring = await FileKeyring.open({ folder: source, files: diskFiles, masterKey });
  await keyring.destroy(slots[record] ?? -1);
  await keyring.close();
}

/** The keys of the first records in a keyring, null where destroyed, undefined where there is none. */
async function keysIn(keyringFolder: string, records = slots.length): Promise<(Buffer | null | undefined)[]> {
  const keyring = await FileKeyring.open({ folder: keyringFolder, files: diskFiles, masterKey, readOnly: true });
  const found: (Buffer | null | undefined)[] = [];
  for (const slot of slots.slice(0, records)) {
    if ((await keyring.stateOf(slot)) === 'missing') {
      found.push(undefined);
      continue;
    }
    await keyring.load(slot);
    const key = keyring.peek(slot);
    found.push(key ? Buffer.from(key) : key);
  }
  await keyring.close();
  return found;
}

async function cut(records: number, destroyed: readonly number[] = []): Promise<number> {
  const names = await keyFileNames(source, nextSlot(records));
  return cutKeyring({
    sources: names.map((name) => path.join(kept, keptKeyFileName(name))),
    to: path.join(folder, 'cut'),
    masterKey,
    nextKeySlot: nextSlot(records),
    records,
    destroyed: new Set(destroyed.map((record) => slots[record] ?? -1)),
  });
}

describe('a kept copy', () => {
  test('gets new keys, and loses those that are destroyed, for good', async () => {
    expect(await mirror()).toMatchObject({ added: nextSlot(), destroyed: 0 });
    await addKeys(3);
    await destroy(1);
    const older = path.join(folder, 'older');
    await cp(source, older, { recursive: true });
    expect(await mirror()).toMatchObject({ destroyed: 1 });
    expect(await mirror()).toMatchObject({ added: 0, destroyed: 0 });
    await cut(8);
    const found = await keysIn(path.join(folder, 'cut'));
    expect(found).toEqual(keys.map((key, record) => (record === 1 ? null : key)));
  });

  test('is not written over by a keyring that has other keys, or lacks some', async () => {
    await mirror();
    const before = await readFile(path.join(kept, (await readdir(kept))[0] ?? ''));
    for (const value of [Buffer.alloc(KEY_BYTES), randomBytes(KEY_BYTES)]) {
      const file = await open(path.join(source, keyFileName(0)), 'r+');
      await file.write(value, 0, KEY_BYTES, slotOffset(slots[2] ?? 0));
      await file.close();
      await expect(mirror()).rejects.toThrow(/is gone|another key/);
    }
    expect(await readFile(path.join(kept, (await readdir(kept))[0] ?? ''))).toEqual(before);
  });

  test('lies beside that of another life of the log', async () => {
    await mirror();
    await cut(3);
    const made = await mirrorKeyring({ from: path.join(folder, 'cut'), to: kept, nextKeySlot: nextSlot(3) });
    expect(made.added).toBe(nextSlot(3));
    expect(await readdir(kept)).toHaveLength(2);
  });
});

describe('a keyring to go on from', () => {
  test('has the keys before the cut and no others, and is marked as closed in order', async () => {
    await mirror();
    expect(await cut(3)).toBe(0);
    const found = await keysIn(path.join(folder, 'cut'), 3);
    expect(found).toEqual(keys.slice(0, 3));
    const keyring = await FileKeyring.open({ folder: path.join(folder, 'cut'), files: diskFiles, masterKey });
    expect(keyring.mark).toEqual({ firstPosition: 3, isClean: true });
    await keyring.close();
    const bytes = await readFile(path.join(folder, 'cut', keyFileName(0)));
    const original = await readFile(path.join(source, keyFileName(0)));
    for (const slot of slots.slice(3)) {
      const there = original.subarray(slotOffset(slot), slotOffset(slot + 1));
      expect(bytes.includes(there)).toBe(false);
    }
  });

  test('never uses a part of the key stream of the old one again', async () => {
    await mirror();
    await cut(3);
    const [before, after] = await Promise.all([
      readFile(path.join(source, keyFileName(0))),
      readFile(path.join(folder, 'cut', keyFileName(0))),
    ]);
    expect(decodeKeyFileHeader(after)?.nonce).not.toEqual(decodeKeyFileHeader(before)?.nonce);
    expect(decodeKeyFileHeader(after)?.logId).toEqual(decodeKeyFileHeader(before)?.logId);
    for (const slot of slots.slice(0, 3)) {
      const [old, anew] = [before, after].map((bytes) => bytes.subarray(slotOffset(slot), slotOffset(slot + 1)));
      expect(old?.equals(anew ?? Buffer.alloc(0))).toBe(false);
    }
  });

  test('is without what was destroyed since, whatever the copy has', async () => {
    await mirror();
    expect(await cut(5, [0, 4])).toBe(2);
    expect(await keysIn(path.join(folder, 'cut'))).toEqual([null, keys[1], keys[2], keys[3], null]);
  });

  test('is not made with another master key', async () => {
    await mirror();
    const names = await keyFileNames(source, nextSlot());
    await expect(
      cutKeyring({
        sources: names.map((name) => path.join(kept, keptKeyFileName(name))),
        to: path.join(folder, 'cut'),
        masterKey: randomBytes(32),
        nextKeySlot: nextSlot(),
        records: 5,
        destroyed: new Set(),
      }),
    ).rejects.toThrow(/master key does not fit/);
  });
});
