import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diskFiles } from '../embedded/files.ts';
import { Damaged } from '../event-log.ts';
import { FileKeyring } from './file-keyring.ts';
import { SLOTS_PER_FILE, slotOffset, xorSlots } from './key-file.ts';
import { KEY_BYTES } from './key-store.ts';
import { MasterKeyProblem } from './master-key.ts';

const masterKey = randomBytes(32);
const logId = randomBytes(16);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-keyring-'));
});
afterEach(() => rm(folder, { recursive: true }));

const options = () => ({ folder, files: diskFiles, masterKey });

async function store(keyring: FileKeyring, keys: readonly Buffer[], firstPosition = 0): Promise<number> {
  await keyring.reserve(keys.reduce((sum, block) => sum + block.length / KEY_BYTES, 0));
  const staged = keyring.stage(keys, firstPosition);
  await staged.write();
  return staged.firstSlot;
}

async function read(keyring: FileKeyring, slot: number): Promise<Buffer | null> {
  await keyring.load(slot);
  const key = keyring.peek(slot);
  if (key === undefined) throw new Error(`slot ${slot} is not there after loading`);
  return key && Buffer.from(key);
}

test('keys come back from their slots, after opening again too', async () => {
  const keyring = await FileKeyring.create(options(), logId);
  const blocks = [randomBytes(64), randomBytes(32), Buffer.alloc(0), randomBytes(96)];
  const all = Buffer.concat(blocks);
  const first = await store(keyring, blocks);
  const second = await store(keyring, [all]);
  expect(second).toBeGreaterThan(first + 5);
  for (const opened of [keyring, await FileKeyring.open(options())]) {
    for (const start of [first, second]) {
      for (let n = 0; n < 6; n++) {
        expect(await read(opened, start + n)).toEqual(all.subarray(KEY_BYTES * n, KEY_BYTES * (n + 1)));
      }
    }
    await opened.close();
  }
  const file = await readFile(path.join(folder, 'keys-00000000.keys'));
  for (let n = 0; n < 6; n++) expect(file.includes(all.subarray(KEY_BYTES * n, KEY_BYTES * (n + 1)))).toBe(false);
});

test('a slot that was written is never given again, whatever became of its commit', async () => {
  const keyring = await FileKeyring.create(options(), logId);
  const first = await store(keyring, [randomBytes(32)]);
  await keyring.reserve(1);
  const abandoned = keyring.stage([randomBytes(32)], 1);
  expect(abandoned.firstSlot).toBeGreaterThan(first);
  const next = await store(keyring, [randomBytes(32)], 1);
  expect(next).toBeGreaterThan(abandoned.firstSlot);
  await keyring.close();
  const again = await FileKeyring.open(options());
  expect(again.nextSlot).toBe(next + 2);
  await expect(again.load(abandoned.firstSlot)).rejects.toThrow(Damaged);
  await expect(again.load(abandoned.firstSlot)).rejects.toThrow(/keys-00000000\.keys, offset \d+: the key in slot \d+/);
  await again.close();
});

test('marks tell how many records were durable, and whether the log was closed in order', async () => {
  const keyring = await FileKeyring.create(options(), logId);
  await store(keyring, [randomBytes(64)], 0);
  await store(keyring, [randomBytes(64), randomBytes(32)], 1);
  await keyring.close();
  let again = await FileKeyring.open(options());
  expect(again.mark).toEqual({ firstPosition: 1, isClean: false });
  await again.markClean(3);
  await again.close();
  again = await FileKeyring.open(options());
  expect(again.mark).toEqual({ firstPosition: 3, isClean: true });
  await store(again, [randomBytes(32)], 3);
  await again.close();
  again = await FileKeyring.open(options());
  expect(again.mark).toEqual({ firstPosition: 3, isClean: false });
  await again.close();
});

test('a full file is followed by another', async () => {
  const keyring = await FileKeyring.create(options(), logId);
  await keyring.close();
  // As if all slots but four had been used.
  const handle = await open(path.join(folder, 'keys-00000000.keys'), 'r+');
  await handle.write(Buffer.alloc(KEY_BYTES, 1), 0, KEY_BYTES, slotOffset(SLOTS_PER_FILE - 5));
  await handle.close();
  const nearlyFull = await FileKeyring.open(options());
  const keys = [randomBytes(96), randomBytes(32), randomBytes(64)];
  const inFirst = await store(nearlyFull, [keys[0] ?? Buffer.alloc(0)], 0);
  expect(inFirst).toBe(SLOTS_PER_FILE - 4);
  const inSecond = await store(nearlyFull, [keys[1] ?? Buffer.alloc(0)], 1);
  expect(inSecond).toBe(SLOTS_PER_FILE);
  await nearlyFull.close();
  expect(await readdir(folder)).toEqual(['keys-00000000.keys', 'keys-00000001.keys']);
  const again = await FileKeyring.open(options());
  expect(again.mark).toEqual({ firstPosition: 1, isClean: false });
  expect(await read(again, inFirst + 2)).toEqual(keys[0]?.subarray(64));
  expect(await read(again, inSecond)).toEqual(keys[1]);
  const third = await store(again, [keys[2] ?? Buffer.alloc(0)], 2);
  expect(third).toBe(inSecond + 2);
  expect(await read(again, third + 1)).toEqual(keys[2]?.subarray(32));
  await again.close();
  await rm(path.join(folder, 'keys-00000000.keys'));
  await expect(FileKeyring.open(options())).rejects.toThrow(/keys-00000000\.keys is missing/);
});

test('a file that was only just begun is used', async () => {
  const keyring = await FileKeyring.create(options(), logId);
  await keyring.close();
  const file = path.join(folder, 'keys-00000000.keys');
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(KEY_BYTES, 1), 0, KEY_BYTES, slotOffset(SLOTS_PER_FILE - 1));
  await handle.close();
  const full = await FileKeyring.open(options());
  await full.reserve(1);
  await full.close();
  const again = await FileKeyring.open(options());
  expect(await store(again, [randomBytes(32)])).toBe(SLOTS_PER_FILE);
  await again.close();
});

test('a destroyed key is gone from memory and from the file', async () => {
  const keyring = await FileKeyring.create(options(), logId);
  const key = randomBytes(64);
  const slot = await store(keyring, [key]);
  await read(keyring, slot);
  await keyring.destroy(slot);
  expect(keyring.peek(slot)).toBeNull();
  expect(await read(keyring, slot)).toBeNull();
  expect(await read(keyring, slot + 1)).toEqual(key.subarray(32));
  expect(await keyring.stateOf(slot)).toBe('destroyed');
  expect(await keyring.stateOf(slot + 1)).toBe('present');
  expect(await keyring.stateOf(slot + 100)).toBe('missing');
  await keyring.close();
});

test('another master key is recognised before any key is read', async () => {
  const keyring = await FileKeyring.create(options(), logId);
  await store(keyring, [randomBytes(32)]);
  await keyring.close();
  await expect(FileKeyring.open({ ...options(), masterKey: randomBytes(32) })).rejects.toThrow(MasterKeyProblem);
});

test('slots are encrypted alike, alone or in a run', () => {
  const nonce = randomBytes(24);
  const plain = randomBytes(KEY_BYTES * 9);
  for (const first of [0, 1, 2, 7, 1000, SLOTS_PER_FILE - 9]) {
    const run = Buffer.from(plain);
    xorSlots(run, first, nonce, masterKey);
    for (let n = 0; n < 9; n++) {
      const alone = Buffer.from(plain.subarray(KEY_BYTES * n, KEY_BYTES * (n + 1)));
      xorSlots(alone, first + n, nonce, masterKey);
      expect(alone).toEqual(run.subarray(KEY_BYTES * n, KEY_BYTES * (n + 1)));
    }
    expect(run.equals(plain)).toBe(false);
  }
});
