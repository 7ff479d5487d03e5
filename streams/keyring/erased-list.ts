/**
 * The list of destroyed keys, beside the keyring: which section of which record was destroyed, and when. A backup of the
 * keyring from before a destruction still holds the key; this list is kept apart from backups and applied again to whatever
 * is restored, so that nothing comes back. It says nothing about what was destroyed.
 *
 *     header, 64 bytes:  magic 8 · format u32 · log id 16 · zeros · CRC32C of the 60 bytes before u32
 *     entry, 32 bytes:   position u48 · section u8 · zero u8 · record id 16 · destroyed at, seconds u32 · CRC32C of the 28 before u32
 *
 * All numbers are big-endian. Entries are only ever added; one that was half written by a crash is written over. An entry names
 * the record by its id too: a log that was restored from a backup goes on with other records at the same positions.
 */
import { crc32c } from '@node-rs/crc32';
import { diskFiles, type FileSystem, type OpenFile } from '../embedded/files.ts';
import { Damaged, OutcomeUnknown, type Position } from '../event-log.ts';

const MAGIC = Buffer.from('STELEers', 'latin1');
const FORMAT = 1;
const HEADER_BYTES = 64;
const ENTRY_BYTES = 32;
const LOG_ID_BYTES = 16;
const RECORD_ID_BYTES = 16;
/** Bytes that are read at once. */
const READ_BYTES = 32_768 * ENTRY_BYTES;

/** A section whose key was destroyed. */
export interface ErasedSection {
  readonly position: Position;
  readonly section: number;
  /** The UUID of the record: 16 bytes. */
  readonly recordId: Uint8Array;
  /** Seconds since the epoch. */
  readonly destroyedAtS: number;
}

/** A list as it was read. */
export interface ErasedSections {
  /** 16 bytes: of which log. */
  readonly logId: Buffer;
  /** In the order in which they were destroyed. */
  readonly sections: readonly ErasedSection[];
}

/**
 * Reads a list; undefined where there is none. A last entry that is not whole is left out.
 * @throws {Damaged} if it is no such list, or an entry before the last is not what was written.
 */
export async function readErasedList(path: string, files: FileSystem = diskFiles): Promise<ErasedSections | undefined> {
  const file = await openIfThere(files, path, 'read');
  if (file === undefined) return undefined;
  try {
    const logId = await readHeader(file);
    return logId === undefined ? undefined : { logId, sections: (await readEntries(file)).sections };
  } finally {
    await file.close();
  }
}

/** A list that is added to. */
export class ErasedList {
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #folder: string;
  readonly #logId: Buffer;
  #file: OpenFile | undefined;
  #end = 0;
  #last: readonly ErasedSection[] = [];
  #adding: Promise<void> = Promise.resolve();

  private constructor(files: FileSystem, folder: string, path: string, logId: Buffer) {
    this.#files = files;
    this.#folder = folder;
    this.#path = path;
    this.#logId = logId;
  }

  /**
   * Opens the list of a log; where there is none the file is made with its first entries.
   * @throws {Damaged} if it is the list of another log, or not what was written.
   */
  static async open(options: {
    readonly folder: string;
    readonly path: string;
    readonly logId: Buffer;
    readonly files?: FileSystem;
  }): Promise<ErasedList> {
    const { folder, path, logId, files = diskFiles } = options;
    const list = new ErasedList(files, folder, path, logId);
    const file = await openIfThere(files, path, 'write');
    if (file === undefined) return list;
    try {
      const found = await readHeader(file);
      // Begun, and not finished before a crash: nothing was in it.
      if (found === undefined) {
        await file.close();
        return list;
      }
      if (!found.equals(logId)) {
        throw new Damaged(`${path}: this is the list of destroyed keys of another log. Put the right one back.`);
      }
      const { sections, end } = await readEntries(file);
      list.#file = file;
      list.#end = end;
      list.#last = sections.slice(-1);
      return list;
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** The last entry. */
  get last(): ErasedSection | undefined {
    return this.#last.at(-1);
  }

  /** Adds entries; durable when resolved. Throws {@link OutcomeUnknown} or what the disk says. */
  add(sections: readonly ErasedSection[]): Promise<void> {
    const adding = this.#adding.then(() => this.#add(sections));
    this.#adding = adding.catch(() => undefined);
    return adding;
  }

  async close(): Promise<void> {
    await this.#adding;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #add(sections: readonly ErasedSection[]): Promise<void> {
    if (sections.length === 0) return;
    const file = this.#file ?? (await this.#begin());
    const bytes = Buffer.alloc(sections.length * ENTRY_BYTES);
    for (const [index, section] of sections.entries()) writeEntry(bytes, index * ENTRY_BYTES, section);
    await file.write(bytes, this.#end);
    await this.#sync(file);
    this.#end += bytes.length;
    this.#last = sections.slice(-1);
  }

  async #begin(): Promise<OpenFile> {
    const file = await this.#files.open(this.#path, 'create');
    await file.write(header(this.#logId), 0);
    await this.#sync(file);
    await this.#files.syncFolder(this.#folder);
    this.#file = file;
    this.#end = HEADER_BYTES;
    return file;
  }

  async #sync(file: OpenFile): Promise<void> {
    try {
      await file.datasync();
    } catch (error) {
      throw new OutcomeUnknown(`the list of destroyed keys (${this.#path}) could not be synced: ${String(error)}`);
    }
  }
}

async function openIfThere(files: FileSystem, path: string, mode: 'read' | 'write'): Promise<OpenFile | undefined> {
  try {
    return await files.open(path, mode);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function header(logId: Buffer): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32BE(FORMAT, 8);
  logId.copy(bytes, 12);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4);
  return bytes;
}

/** The log's id; undefined for a file that was begun and not finished. */
async function readHeader(file: OpenFile): Promise<Buffer | undefined> {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const count = await file.read(bytes, 0);
  const isWhole =
    count === HEADER_BYTES &&
    bytes.subarray(0, 8).equals(MAGIC) &&
    bytes.readUInt32BE(8) === FORMAT &&
    bytes.readUInt32BE(HEADER_BYTES - 4) === crc32c(bytes.subarray(0, HEADER_BYTES - 4));
  if (isWhole) return Buffer.from(bytes.subarray(12, 12 + LOG_ID_BYTES));
  if ((await file.size()) <= HEADER_BYTES && (count === 0 || bytes.every((byte) => byte === 0))) return undefined;
  throw new Damaged(`${file.path}, offset 0: this is no list of destroyed keys. Put it back from where you keep it.`);
}

async function readEntries(file: OpenFile): Promise<{ readonly sections: ErasedSection[]; readonly end: number }> {
  const size = await file.size();
  const sections: ErasedSection[] = [];
  const chunk = Buffer.alloc(READ_BYTES);
  let end = HEADER_BYTES;
  let bad: number | undefined;
  for (let at = HEADER_BYTES; at + ENTRY_BYTES <= size; at += READ_BYTES) {
    const count = await file.read(chunk.subarray(0, Math.min(READ_BYTES, size - at)), at);
    for (let index = 0; index + ENTRY_BYTES <= count; index += ENTRY_BYTES) {
      const entry = readEntry(chunk, index);
      if (entry === undefined) {
        bad ??= at + index;
        continue;
      }
      if (bad !== undefined) {
        throw new Damaged(
          `${file.path}, offset ${bad}: an entry of the list of destroyed keys is not what was written.`,
        );
      }
      sections.push(entry);
      end = at + index + ENTRY_BYTES;
    }
  }
  return { sections, end };
}

function writeEntry(bytes: Buffer, at: number, { position, section, recordId, destroyedAtS }: ErasedSection): void {
  if (recordId.length !== RECORD_ID_BYTES) throw new RangeError(`a record id has ${RECORD_ID_BYTES} bytes`);
  bytes.writeUIntBE(position, at, 6);
  bytes.writeUInt8(section, at + 6);
  bytes.set(recordId, at + 8);
  bytes.writeUInt32BE(destroyedAtS >>> 0, at + 24);
  bytes.writeUInt32BE(crc32c(bytes.subarray(at, at + ENTRY_BYTES - 4)), at + ENTRY_BYTES - 4);
}

function readEntry(bytes: Buffer, at: number): ErasedSection | undefined {
  const entry = bytes.subarray(at, at + ENTRY_BYTES);
  if (entry.readUInt32BE(ENTRY_BYTES - 4) !== crc32c(entry.subarray(0, ENTRY_BYTES - 4))) return undefined;
  return {
    position: entry.readUIntBE(0, 6),
    section: entry.readUInt8(6),
    recordId: Buffer.from(entry.subarray(8, 24)),
    destroyedAtS: entry.readUInt32BE(24),
  };
}
