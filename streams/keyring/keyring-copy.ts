/**
 * Copies of a keyring. A copy that is kept is brought up to date in place: keys are added, and those that were destroyed
 * meanwhile are destroyed in the copy too, so that an erasure reaches it with the next run. A copy that a log is to go on from
 * is made anew: its last file gets a nonce of its own, since no part of a key stream may ever be used twice.
 */
import path from 'node:path';
import { diskFiles, type FileSystem, type OpenFile } from '../embedded/files.ts';
import { Damaged } from '../event-log.ts';
import { FileKeyring } from './file-keyring.ts';
import {
  checkValue,
  decodeKeyFileHeader,
  encodeKeyFileHeader,
  KEY_FILE_HEADER_BYTES,
  type KeyFileHeader,
  newKeyFileHeader,
  SLOTS_PER_FILE,
  slotIs,
  slotOffset,
  xorSlots,
} from './key-file.ts';
import { KEY_BYTES } from './key-store.ts';
import { MasterKeyProblem } from './master-key.ts';

/** Slots that are compared at once. */
const SLOTS_PER_RUN = 8192;

/** One file of a copy: which of the keyring's files, and by which nonce it is told from one of another life of the log. */
export interface KeyFileName {
  readonly number: number;
  /** Lower-case hex. */
  readonly nonce: string;
}

/** What bringing a copy up to date did. */
export interface MirroredKeys {
  readonly files: readonly KeyFileName[];
  /** Keys that the copy had not. */
  readonly added: number;
  /** Keys that were destroyed in the copy, since they are in the keyring. */
  readonly destroyed: number;
}

/** The name of a key file in a log's own keyring. */
export function keyFileName(number: number): string {
  return `keys-${String(number).padStart(8, '0')}.keys`;
}

/** Its name in a copy that is kept, where files of several lives of a log may lie side by side. */
export function keptKeyFileName({ number, nonce }: KeyFileName): string {
  return `keys-${String(number).padStart(8, '0')}-${nonce}.keys`;
}

/**
 * Brings a kept copy of the slots before `nextKeySlot` up to date, durably. Safe to break off: each slot is right or as it was.
 * @throws {Damaged} where the two hold different keys in a slot, or the keyring lacks one that the copy has.
 */
export async function mirrorKeyring(options: {
  readonly from: string;
  readonly to: string;
  readonly nextKeySlot: number;
  readonly files?: FileSystem;
}): Promise<MirroredKeys> {
  const { from, to, nextKeySlot, files = diskFiles } = options;
  await files.makeFolder(to);
  const names: KeyFileName[] = [];
  let added = 0;
  let destroyed = 0;
  for (let number = 0; number * SLOTS_PER_FILE < nextKeySlot; number++) {
    const source = await files.open(path.join(from, keyFileName(number)), 'read');
    try {
      const header = await readHeader(source, number);
      const name = { number, nonce: header.nonce.toString('hex') };
      const copy = await openOrMake(files, path.join(to, keptKeyFileName(name)), header);
      try {
        const slots = Math.min(SLOTS_PER_FILE, nextKeySlot - number * SLOTS_PER_FILE);
        const changed = await mirrorSlots(source, copy, slots);
        added += changed.added;
        destroyed += changed.destroyed;
        await copy.datasync();
      } finally {
        await copy.close();
      }
      names.push(name);
    } finally {
      await source.close();
    }
  }
  await files.syncFolder(to);
  return { files: names, added, destroyed };
}

/** The names under which a copy would keep the files with the slots before `nextKeySlot`. @throws {Damaged} */
export async function keyFileNames(
  folder: string,
  nextKeySlot: number,
  files: FileSystem = diskFiles,
): Promise<KeyFileName[]> {
  const names: KeyFileName[] = [];
  for (let number = 0; number * SLOTS_PER_FILE < nextKeySlot; number++) {
    const file = await files.open(path.join(folder, keyFileName(number)), 'read');
    try {
      names.push({ number, nonce: (await readHeader(file, number)).nonce.toString('hex') });
    } finally {
      await file.close();
    }
  }
  return names;
}

async function openOrMake(files: FileSystem, file: string, header: KeyFileHeader): Promise<OpenFile> {
  if ((await files.list(path.dirname(file))).includes(path.basename(file))) return files.open(file, 'write');
  const temporary = `${file}.new`;
  const made = await files.open(temporary, 'create');
  try {
    await made.write(encodeKeyFileHeader(header), 0);
    await made.datasync();
  } finally {
    await made.close();
  }
  await files.rename(temporary, file);
  return files.open(file, 'write');
}

async function mirrorSlots(source: OpenFile, copy: OpenFile, slots: number) {
  let added = 0;
  let destroyed = 0;
  for (let first = 0; first < slots; first += SLOTS_PER_RUN) {
    const bytes = Math.min(SLOTS_PER_RUN, slots - first) * KEY_BYTES;
    const wanted = Buffer.alloc(bytes);
    const there = Buffer.alloc(bytes);
    await source.read(wanted, slotOffset(first));
    await copy.read(there, slotOffset(first));
    if (wanted.equals(there)) continue;
    let isOther = false;
    for (let at = 0; at < bytes; at += KEY_BYTES) {
      if (wanted.compare(there, at, at + KEY_BYTES, at, at + KEY_BYTES) === 0) continue;
      if (slotIs(there, at, 0xff)) continue;
      if (slotIs(wanted, at, 0xff)) destroyed++;
      else if (slotIs(there, at, 0)) added++;
      else throw otherKey(source, copy, first + at / KEY_BYTES, slotIs(wanted, at, 0));
      wanted.copy(there, at, at, at + KEY_BYTES);
      isOther = true;
    }
    if (isOther) await copy.write(there, slotOffset(first));
  }
  return { added, destroyed };
}

function otherKey(source: OpenFile, copy: OpenFile, slot: number, isMissing: boolean): Damaged {
  const what = isMissing ? 'the key there is gone' : 'another key is there';
  return new Damaged(
    `${source.path}, offset ${slotOffset(slot)}: ${what}, while the backup has one (${copy.path}). Run \`stele verify\`; ` +
      'nothing was changed in the backup.',
  );
}

/** What a keyring to go on from is made of. */
export interface CutKeyring {
  /** Where the key files are; each in the folder under its name there. */
  readonly sources: readonly string[];
  /** The keyring's folder; made, and must be empty. */
  readonly to: string;
  readonly masterKey: Buffer;
  /** Keys from this slot on are left out. */
  readonly nextKeySlot: number;
  /** Records of the log that it is to be the keyring of. */
  readonly records: number;
  /** Slots whose keys are destroyed before anything can be read. */
  readonly destroyed: ReadonlySet<number>;
  readonly files?: FileSystem;
}

/**
 * Makes a keyring that has the keys before a slot and that a log of so many records goes on from. Gives how many keys were
 * destroyed that the source still had.
 * @throws {MasterKeyProblem} when the master key is another. @throws {Damaged} when a source is no key file.
 */
export async function cutKeyring(options: CutKeyring): Promise<number> {
  const { sources, to, masterKey, nextKeySlot, records, destroyed, files = diskFiles } = options;
  await files.makeFolder(to);
  let count = 0;
  for (const [number, source] of sources.entries()) {
    const file = await files.open(source, 'read');
    try {
      const header = await readHeader(file, number);
      if (!checkValue(header.nonce, masterKey).equals(header.check)) {
        throw new MasterKeyProblem(`the master key does not fit ${source}: it was written with another one.`);
      }
      const firstSlot = number * SLOTS_PER_FILE;
      const slots = Buffer.alloc(Math.min(SLOTS_PER_FILE, nextKeySlot - firstSlot) * KEY_BYTES);
      await file.read(slots, slotOffset(0));
      count += destroyIn(slots, firstSlot, destroyed);
      const isLast = number === sources.length - 1;
      const ownHeader = isLast ? newKeyFileHeader(number, header.logId, masterKey) : header;
      if (isLast) sealAnew(slots, header.nonce, ownHeader.nonce, masterKey);
      await writeKeyFile(files, path.join(to, keyFileName(number)), ownHeader, slots);
    } finally {
      await file.close();
    }
  }
  await files.syncFolder(to);
  const keyring = await FileKeyring.open({ folder: to, files, masterKey });
  try {
    await keyring.markClean(records);
  } finally {
    await keyring.close();
  }
  return count;
}

function destroyIn(slots: Buffer, firstSlot: number, destroyed: ReadonlySet<number>): number {
  let count = 0;
  for (let at = 0; at < slots.length; at += KEY_BYTES) {
    if (!destroyed.has(firstSlot + at / KEY_BYTES) || slotIs(slots, at, 0xff)) continue;
    slots.fill(0xff, at, at + KEY_BYTES);
    count++;
  }
  return count;
}

/** The same keys under another nonce; slots without a key stay as they are. */
function sealAnew(slots: Buffer, oldNonce: Buffer, newNonce: Buffer, masterKey: Buffer): void {
  const before = Buffer.from(slots);
  xorSlots(slots, 0, oldNonce, masterKey);
  xorSlots(slots, 0, newNonce, masterKey);
  for (let at = 0; at < slots.length; at += KEY_BYTES) {
    if (slotIs(before, at, 0) || slotIs(before, at, 0xff)) before.copy(slots, at, at, at + KEY_BYTES);
  }
}

async function writeKeyFile(files: FileSystem, file: string, header: KeyFileHeader, slots: Buffer): Promise<void> {
  const made = await files.open(file, 'create');
  try {
    await made.write(encodeKeyFileHeader(header), 0);
    await made.write(slots, KEY_FILE_HEADER_BYTES);
    await made.datasync();
  } finally {
    await made.close();
  }
}

async function readHeader(file: OpenFile, number: number): Promise<KeyFileHeader> {
  const bytes = Buffer.alloc(KEY_FILE_HEADER_BYTES);
  await file.read(bytes, 0);
  const header = decodeKeyFileHeader(bytes);
  if (header?.number === number) return header;
  throw new Damaged(`${file.path}, offset 0: this is not file ${number} of a log's keyring.`);
}
