/**
 * The keyring on disk: files of encrypted slots, in a folder apart from the segments. Keys are written with the commit of
 * their records, in parallel, so that both wait for the disk once.
 */
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FileSystem, OpenFile } from '../embedded/files.ts';
import { GrowingFile } from '../embedded/growing-file.ts';
import { lastNonZero } from '../embedded/zeros.ts';
import { Damaged, NotWritten, OutcomeUnknown } from '../event-log.ts';
import {
  checkValue,
  decodeKeyFileHeader,
  encodeKeyFileHeader,
  KEY_FILE_HEADER_BYTES,
  type KeyFileHeader,
  newKeyFileHeader,
  readMark,
  SLOTS_PER_FILE,
  slotIs,
  slotOffset,
  writeMark,
  xorSlots,
} from './key-file.ts';
import { KEY_BYTES, type KeyStore, type StagedKeys } from './key-store.ts';
import { MasterKeyProblem } from './master-key.ts';

const FILE_NAME = /^keys-(\d{8})\.keys$/;
const NEW_FILE = 'new.tmp';
/** How far a key file grows at once: 8,192 slots. */
const GROW_BYTES = 8192 * KEY_BYTES;
/** Slots that are read and kept together. */
export const SLOTS_PER_CACHE_BLOCK = 1024;
/** Most blocks of keys kept in memory: 4 MiB. */
const MAX_CACHED_BLOCKS = 128;
/** Bytes read at once when the end of the keys is looked for. */
const TAIL_CHUNK_BYTES = 256 * 1024;
/** Slots behind the end of which the last mark must lie: more than one commit can have. */
const MAX_SLOTS_TO_MARK = 1 << 18;
/** Keys that are overwritten in one turn of the event loop: a millisecond. */
const WRITES_PER_TURN = 256;
const MISSING = 2;
const DESTROYED = 1;

interface KeyFile {
  readonly header: KeyFileHeader;
  readonly file: OpenFile;
}

interface CachedBlock {
  /** Decrypted slots. */
  readonly keys: Buffer;
  /** 0, {@link DESTROYED} or {@link MISSING} for each slot. */
  readonly states: Uint8Array;
}

export interface KeyringOptions {
  readonly folder: string;
  readonly files: FileSystem;
  readonly masterKey: Buffer;
  /** True to open beside the server that writes. */
  readonly readOnly?: boolean;
}

/** What the keyring knows about the log from the marks of commits. */
export interface CommitMark {
  /** Records before this position were durable. */
  readonly firstPosition: number;
  /** Whether the log was closed in order after that, with so many records. */
  readonly isClean: boolean;
}

/** Whether a slot holds a key. */
export type SlotState = 'present' | 'destroyed' | 'missing';

export class FileKeyring implements KeyStore {
  readonly logId: Buffer;
  readonly #options: KeyringOptions;
  /** One for each file number, without gaps. */
  readonly #keyFiles: KeyFile[];
  readonly #cache = new Map<number, CachedBlock>();
  #growing: GrowingFile | undefined;
  #nextSlot = 0;
  #mark: CommitMark = { firstPosition: 0, isClean: false };
  #closed = false;
  /** Counts destroyed keys, so that a block read meanwhile is read again. */
  #destroyed = 0;

  private constructor(options: KeyringOptions, logId: Buffer, keyFiles: KeyFile[]) {
    this.#options = options;
    this.logId = logId;
    this.#keyFiles = keyFiles;
  }

  /** Whether a folder holds a keyring. */
  static async exists(files: FileSystem, folder: string): Promise<boolean> {
    return (await files.list(folder)).some((name) => FILE_NAME.test(name));
  }

  /** Makes the keyring of a new log. */
  static async create(options: KeyringOptions, logId: Buffer): Promise<FileKeyring> {
    await options.files.makeFolder(options.folder);
    const keyring = new FileKeyring(options, logId, []);
    await keyring.#addFile();
    return keyring;
  }

  /** Opens a keyring. Throws {@link MasterKeyProblem} or {@link Damaged}. */
  static async open(options: KeyringOptions): Promise<FileKeyring> {
    const { folder, files, masterKey } = options;
    const names = (await files.list(folder)).filter((name) => FILE_NAME.test(name));
    const keyFiles: KeyFile[] = [];
    for (const [index, name] of names.entries()) {
      if (Number(FILE_NAME.exec(name)?.[1]) !== index) {
        throw new Damaged(`${path.join(folder, fileName(index))} is missing; put it back from your backup.`);
      }
      const file = await files.open(path.join(folder, name), options.readOnly ? 'read' : 'write');
      const bytes = Buffer.alloc(KEY_FILE_HEADER_BYTES);
      await file.read(bytes, 0);
      const header = decodeKeyFileHeader(bytes);
      const logId = keyFiles[0]?.header.logId ?? header?.logId;
      if (header === undefined || header.number !== index || logId === undefined || !header.logId.equals(logId)) {
        throw new Damaged(
          `${file.path}, offset 0: this is not file ${index} of the log's keyring. Put it back from your backup.`,
        );
      }
      if (!checkValue(header.nonce, masterKey).equals(header.check)) {
        throw new MasterKeyProblem(
          `the master key does not fit the keyring in ${folder}: it was written with another one. ` +
            'Put the right master key in place from your backup; without it the records cannot be read.',
        );
      }
      keyFiles.push({ header, file });
    }
    const first = keyFiles[0];
    if (first === undefined) throw new Damaged(`there is no keyring in ${folder}; put it back from your backup.`);
    const keyring = new FileKeyring(options, first.header.logId, keyFiles);
    await keyring.refresh();
    return keyring;
  }

  /** What the last mark says. */
  get mark(): CommitMark {
    return this.#mark;
  }

  /** The slot after the highest ever written. */
  get nextSlot(): number {
    return this.#nextSlot;
  }

  /** Looks at the end of the keys again, for a keyring opened beside the server that writes it. */
  async refresh(): Promise<void> {
    this.#cache.clear();
    for (;;) {
      const next = path.join(this.#options.folder, fileName(this.#keyFiles.length));
      if (
        !this.#options.readOnly ||
        !(await this.#options.files.list(this.#options.folder)).includes(path.basename(next))
      )
        break;
      const file = await this.#options.files.open(next, 'read');
      const bytes = Buffer.alloc(KEY_FILE_HEADER_BYTES);
      await file.read(bytes, 0);
      const header = decodeKeyFileHeader(bytes);
      if (header === undefined) throw new Damaged(`${next}, offset 0: not a file of the keyring.`);
      this.#keyFiles.push({ header, file });
    }
    // The last file may have been made just before a crash, with nothing in it yet.
    let number = this.#keyFiles.length - 1;
    let written = await this.#writtenSlots(number);
    if (written === 0 && number > 0) written = await this.#writtenSlots(--number);
    this.#nextSlot = number * SLOTS_PER_FILE + written;
    this.#mark = await this.#findMark();
    const last = this.#keyFiles.at(-1);
    if (last && !this.#options.readOnly) {
      this.#growing = new GrowingFile(last.file, await last.file.size(), GROW_BYTES);
      if (number < this.#keyFiles.length - 1) this.#nextSlot = (number + 1) * SLOTS_PER_FILE;
    }
  }

  /** Whether the keys of `count` sections can be staged without {@link reserve}. */
  hasRoom(count: number): boolean {
    return this.#fits(count) && this.#growing?.hasRoom(this.#endOf(count)) === true;
  }

  async reserve(count: number): Promise<void> {
    if (!this.#fits(count)) {
      // The keys of one commit lie side by side in one file; what is left of the old one stays empty.
      await this.#addFile();
      this.#nextSlot = (this.#keyFiles.length - 1) * SLOTS_PER_FILE;
    }
    await this.#growing?.reserve(this.#endOf(count));
  }

  /** Whether the last file has slots for a commit with so many keys, and its mark. */
  #fits(count: number): boolean {
    if (this.#nextSlot >= this.#keyFiles.length * SLOTS_PER_FILE) return false;
    return (this.#nextSlot % SLOTS_PER_FILE) + count + 1 <= SLOTS_PER_FILE;
  }

  /** Where such a commit would end in its file. */
  #endOf(count: number): number {
    return slotOffset((this.#nextSlot % SLOTS_PER_FILE) + count + 1);
  }

  stage(keys: readonly Buffer[], firstPosition: number): StagedKeys {
    const firstSlot = this.#nextSlot;
    let bytes = KEY_BYTES;
    for (const block of keys) bytes += block.length;
    const slots = Buffer.allocUnsafe(bytes);
    let at = 0;
    for (const block of keys) at += block.copy(slots, at);
    writeMark(slots, at, { firstPosition, records: keys.length });
    const keyFile = this.#fileOf(firstSlot);
    xorSlots(slots, firstSlot % SLOTS_PER_FILE, keyFile.header.nonce, this.#options.masterKey);
    this.#nextSlot += slots.length / KEY_BYTES;
    return { firstSlot, write: () => this.#write(keyFile.file, firstSlot, slots) };
  }

  peek(slot: number): Buffer | null | undefined {
    const block = this.#cache.get(Math.floor(slot / SLOTS_PER_CACHE_BLOCK));
    if (block === undefined) return undefined;
    const index = slot % SLOTS_PER_CACHE_BLOCK;
    const state = block.states[index];
    if (state === DESTROYED) return null;
    if (state !== 0) return undefined;
    return block.keys.subarray(index * KEY_BYTES, (index + 1) * KEY_BYTES);
  }

  async load(slot: number): Promise<void> {
    const number = Math.floor(slot / SLOTS_PER_CACHE_BLOCK);
    let block: CachedBlock;
    let destroyedBefore: number;
    do {
      destroyedBefore = this.#destroyed;
      block = await this.#readBlock(number);
    } while (destroyedBefore !== this.#destroyed);
    this.#cache.delete(number);
    this.#cache.set(number, block);
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= MAX_CACHED_BLOCKS) break;
      this.#cache.get(oldest)?.keys.fill(0);
      this.#cache.delete(oldest);
    }
    if (block.states[slot % SLOTS_PER_CACHE_BLOCK] === MISSING) {
      const { file } = this.#fileOf(slot);
      throw new Damaged(
        `${file.path}, offset ${slotOffset(slot % SLOTS_PER_FILE)}: the key in slot ${slot} was never written or is lost. ` +
          'Run `stele verify`; put the keyring back from your backup.',
      );
    }
  }

  /** Whether there is a key in a slot. */
  async stateOf(slot: number): Promise<SlotState> {
    if (slot >= this.#keyFiles.length * SLOTS_PER_FILE) return 'missing';
    const bytes = Buffer.alloc(KEY_BYTES);
    await this.#fileOf(slot).file.read(bytes, slotOffset(slot % SLOTS_PER_FILE));
    if (slotIs(bytes, 0, 0)) return 'missing';
    return slotIs(bytes, 0, 0xff) ? 'destroyed' : 'present';
  }

  destroy(slot: number): Promise<void> {
    return this.destroyAll([slot]);
  }

  async destroyAll(slots: readonly number[]): Promise<void> {
    if (this.#options.readOnly || this.#closed) throw new NotWritten('the keyring is not open for writing');
    const touched = new Set<OpenFile>();
    let written = 0;
    for (const { first, count } of runsOf(slots)) {
      const { file } = this.#fileOf(first);
      touched.add(file);
      try {
        // Handing each to another thread and back takes many times as long as it does.
        const writing = file.writeAtOnce(Buffer.alloc(KEY_BYTES * count, 0xff), slotOffset(first % SLOTS_PER_FILE));
        if (writing !== undefined) await writing;
      } catch (error) {
        throw new OutcomeUnknown(`the key in slot ${first} may not be destroyed: ${String(error)}. Destroy it again.`);
      } finally {
        for (let slot = first; slot < first + count; slot++) this.#forget(slot);
      }
      if (++written % WRITES_PER_TURN === 0) await nextTurn();
    }
    for (const file of touched) {
      try {
        await file.datasync();
      } catch (error) {
        throw new OutcomeUnknown(
          `the destruction of keys in ${file.path} may not be durable: ${String(error)}. Destroy it again.`,
        );
      }
    }
  }

  /** Makes what was read durable, however it came to be read: for a reader beside a writer that may still be syncing. */
  async sync(): Promise<void> {
    await this.#keyFiles.at(-1)?.file.datasync();
  }

  /** Writes the last keys again: after a failed sync pages may be clean in memory and absent from the disk. */
  async rewriteTail(): Promise<void> {
    const file = this.#keyFiles.at(-1)?.file;
    const end = slotOffset(this.#nextSlot % SLOTS_PER_FILE);
    if (file === undefined || end <= KEY_FILE_HEADER_BYTES) return;
    const start = Math.max(KEY_FILE_HEADER_BYTES, end - TAIL_CHUNK_BYTES);
    const bytes = Buffer.alloc(end - start);
    const count = await file.read(bytes, start);
    await file.write(bytes.subarray(0, count), start);
    await file.datasync();
  }

  /** Leaves a mark that so many records are durable and nothing is under way. */
  async markClean(records: number): Promise<void> {
    await this.reserve(0);
    await this.stage([], records).write();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#growing?.settled();
    for (const block of this.#cache.values()) block.keys.fill(0);
    this.#cache.clear();
    for (const { file } of this.#keyFiles) await file.close();
  }

  async #write(file: OpenFile, firstSlot: number, slots: Buffer): Promise<void> {
    const writing = file.writeAtOnce(slots, slotOffset(firstSlot % SLOTS_PER_FILE));
    if (writing !== undefined) await writing;
    try {
      await file.datasync();
    } catch (error) {
      throw new OutcomeUnknown(`the keys could not be synced (${file.path}): ${String(error)}`);
    }
    const end = slotOffset((firstSlot % SLOTS_PER_FILE) + slots.length / KEY_BYTES);
    this.#growing?.growAhead(end, slotOffset(SLOTS_PER_FILE));
  }

  #forget(slot: number): void {
    this.#destroyed += 1;
    const block = this.#cache.get(Math.floor(slot / SLOTS_PER_CACHE_BLOCK));
    if (block === undefined) return;
    const index = slot % SLOTS_PER_CACHE_BLOCK;
    block.states[index] = DESTROYED;
    block.keys.fill(0, index * KEY_BYTES, (index + 1) * KEY_BYTES);
  }

  async #readBlock(number: number): Promise<CachedBlock> {
    const firstSlot = number * SLOTS_PER_CACHE_BLOCK;
    const { header, file } = this.#fileOf(firstSlot);
    const keys = Buffer.alloc(SLOTS_PER_CACHE_BLOCK * KEY_BYTES);
    await file.read(keys, slotOffset(firstSlot % SLOTS_PER_FILE));
    const states = new Uint8Array(SLOTS_PER_CACHE_BLOCK);
    for (let index = 0; index < SLOTS_PER_CACHE_BLOCK; index++) {
      const at = index * KEY_BYTES;
      if (keys[at] === 0 && slotIs(keys, at, 0)) states[index] = MISSING;
      else if (keys[at] === 0xff && slotIs(keys, at, 0xff)) states[index] = DESTROYED;
    }
    xorSlots(keys, firstSlot % SLOTS_PER_FILE, header.nonce, this.#options.masterKey);
    return { keys, states };
  }

  #fileOf(slot: number): KeyFile {
    const keyFile = this.#keyFiles[Math.floor(slot / SLOTS_PER_FILE)];
    if (keyFile === undefined) {
      throw new Damaged(
        `${path.join(this.#options.folder, fileName(Math.floor(slot / SLOTS_PER_FILE)))}: the file with the key in slot ` +
          `${slot} is missing. Run \`stele verify\`; put the keyring back from your backup.`,
      );
    }
    return keyFile;
  }

  async #addFile(): Promise<void> {
    const { files, folder, masterKey } = this.#options;
    await this.#growing?.settled();
    const number = this.#keyFiles.length;
    const temporary = path.join(folder, NEW_FILE);
    const final = path.join(folder, fileName(number));
    const made = await files.open(temporary, 'create');
    const header = newKeyFileHeader(number, this.logId, masterKey);
    try {
      await made.write(encodeKeyFileHeader(header), 0);
      await made.datasync();
    } finally {
      await made.close();
    }
    await files.rename(temporary, final);
    await files.syncFolder(folder);
    const file = await files.open(final, 'write');
    this.#keyFiles.push({ header, file });
    this.#growing = new GrowingFile(file, KEY_FILE_HEADER_BYTES, GROW_BYTES);
  }

  /** Slots up to the last one of a file that is not zeros. */
  async #writtenSlots(number: number): Promise<number> {
    const file = this.#keyFiles[number]?.file;
    if (file === undefined) return 0;
    for (let end = await file.size(); end > KEY_FILE_HEADER_BYTES; ) {
      const start = Math.max(KEY_FILE_HEADER_BYTES, end - TAIL_CHUNK_BYTES);
      const bytes = Buffer.alloc(end - start);
      await file.read(bytes, start);
      const last = lastNonZero(bytes);
      if (last >= 0) return Math.floor((start + last - KEY_FILE_HEADER_BYTES) / KEY_BYTES) + 1;
      end = start;
    }
    return 0;
  }

  async #findMark(): Promise<CommitMark> {
    const oldest = Math.max(0, this.#nextSlot - MAX_SLOTS_TO_MARK);
    for (let slot = this.#nextSlot - 1; slot >= oldest; ) {
      const number = Math.floor(slot / SLOTS_PER_CACHE_BLOCK);
      const block = await this.#readBlock(number);
      for (; slot >= oldest && Math.floor(slot / SLOTS_PER_CACHE_BLOCK) === number; slot--) {
        const index = slot % SLOTS_PER_CACHE_BLOCK;
        const mark = block.states[index] === 0 ? readMark(block.keys, index * KEY_BYTES) : undefined;
        if (mark === undefined) continue;
        const { firstPosition, records } = mark;
        return { firstPosition, isClean: records === 0 && slot === this.#nextSlot - 1 };
      }
    }
    return { firstPosition: 0, isClean: false };
  }
}

/** Slots that lie side by side in one file. */
function* runsOf(slots: readonly number[]): Generator<{ readonly first: number; readonly count: number }> {
  const sorted = [...new Set(slots)].sort((a, b) => a - b);
  let first = sorted[0];
  let count = 0;
  for (const slot of sorted) {
    if (first !== undefined && (slot !== first + count || slot % SLOTS_PER_FILE === 0) && count > 0) {
      yield { first, count };
      first = slot;
      count = 0;
    }
    count++;
  }
  if (first !== undefined) yield { first, count };
}

function fileName(number: number): string {
  return `keys-${String(number).padStart(8, '0')}.keys`;
}
