/**
 * Checks that an LMDB file is sound before LMDB maps it. LMDB has no checksums and follows whatever a page says, so a
 * damaged page can end the process. This walks every page that the latest transaction reaches and looks at what LMDB would
 * rely on: page numbers, kinds, counts, the place and length of each entry, and that nothing is used twice or both used and
 * free. What the entries say is not judged here; `stele replay --check` does that.
 *
 * The format is that of lmdb-js 3 (LMDB data version 2), little-endian, 64 bit. Another version is reported as damage.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { endianness } from 'node:os';
import { PAGE_HEADER_BYTES, type PageFacts, readPage } from './page-format.ts';

/** Pages beyond this are not looked at, so that a large environment opens in bounded time: some two seconds. */
const MAX_CHECKED_BYTES = 2 * 1024 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const META_PAGES = 2;
const META_READ_BYTES = PAGE_HEADER_BYTES + 136;
const META_FLAG = 0x08;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const MIN_PAGE_BYTES = 512;
const MAX_PAGE_BYTES = 65_536;
/** Deeper than any tree that LMDB can walk. */
const MAX_DEPTH = 32;
const NO_PAGE = -1;

/** A tree: where it begins and how deep it is. */
export interface TreeRoot {
  readonly root: number;
  readonly depth: number;
}

interface Meta {
  readonly pageBytes: number;
  readonly txnId: bigint;
  readonly lastPage: number;
  readonly free: TreeRoot;
  readonly main: TreeRoot;
}

class Unsound extends Error {}

/** What is wrong with the file, in a few words, or undefined if nothing was found. */
export async function findPageDamage(path: string): Promise<string | undefined> {
  // The numbers in the file are in the machine's order, and so are those that are read here.
  if (endianness() !== 'LE') return undefined;
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'its file is missing' : String(error);
  }
  try {
    await checkFile(file);
    return undefined;
  } catch (error) {
    if (error instanceof Unsound) return error.message;
    return error instanceof Error ? error.message : String(error);
  } finally {
    await file.close();
  }
}

async function checkFile(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  const meta = await readMeta(file, size);
  const pages = await readPages(file, meta, size);
  const walk = new Walk(meta, pages, Math.floor(size / meta.pageBytes));
  walk.tree(meta.main, 'a table list');
  for (const table of walk.tables.splice(0)) walk.tree(table, 'a table');
  const freeLists = walk.tree(meta.free, 'the free list');
  for (const leaf of freeLists) await checkFreeLeaf(file, meta, walk, leaf);
}

async function readMeta(file: FileHandle, size: number): Promise<Meta> {
  const first = await readMetaAt(file, 0, 0);
  if (size < META_PAGES * first.pageBytes) throw new Unsound('its file is cut short');
  const second = await readMetaAt(file, first.pageBytes, 1);
  if (second.pageBytes !== first.pageBytes) throw new Unsound('its head pages differ');
  return second.txnId > first.txnId ? second : first;
}

async function readMetaAt(file: FileHandle, at: number, number: number): Promise<Meta> {
  const bytes = Buffer.alloc(META_READ_BYTES);
  const { bytesRead } = await file.read(bytes, 0, META_READ_BYTES, at);
  const isMeta =
    bytesRead === META_READ_BYTES &&
    bytes.readBigUInt64LE(0) === BigInt(number) &&
    (bytes.readUInt16LE(18) & META_FLAG) !== 0 &&
    bytes.readUInt32LE(24) === MAGIC &&
    (bytes.readUInt32LE(28) & 0xffff) === DATA_VERSION;
  if (!isMeta) throw new Unsound(`head page ${number} is unreadable`);
  const pageBytes = bytes.readUInt32LE(48);
  const isPageSize = pageBytes >= MIN_PAGE_BYTES && pageBytes <= MAX_PAGE_BYTES && (pageBytes & (pageBytes - 1)) === 0;
  if (!isPageSize) throw new Unsound(`head page ${number} is unreadable`);
  return {
    pageBytes,
    free: readRoot(bytes, 48),
    main: readRoot(bytes, 96),
    lastPage: readPageNumber(bytes, 144),
    txnId: bytes.readBigUInt64LE(152),
  };
}

/** The root of a tree out of its 48 byte description. */
export function readRoot(bytes: Buffer, at: number): TreeRoot {
  return { depth: bytes.readUInt16LE(at + 6), root: readPageNumber(bytes, at + 40) };
}

function readPageNumber(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at);
  return value === 0xffff_ffff_ffff_ffffn ? NO_PAGE : Number(value);
}

/** Looks at every page of the file once, in the order of the disk. */
async function readPages(file: FileHandle, meta: Meta, size: number): Promise<(PageFacts | undefined)[]> {
  const { pageBytes } = meta;
  const end = Math.min(size, (meta.lastPage + 1) * pageBytes, MAX_CHECKED_BYTES);
  const chunk = Buffer.from(new ArrayBuffer(Math.max(CHUNK_BYTES, pageBytes)));
  const pages: (PageFacts | undefined)[] = [];
  for (let at = 0; at < end; ) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    const whole = Math.floor(bytesRead / pageBytes);
    if (whole === 0) break;
    for (let index = 0; index < whole; index++) {
      const number = at / pageBytes + index;
      pages.push(number < META_PAGES ? undefined : readPage(chunk, index * pageBytes, pageBytes, number));
    }
    at += whole * pageBytes;
  }
  return pages;
}

/** Follows trees from their roots. */
class Walk {
  /** Roots of tables that were found in leaves. */
  readonly tables: TreeRoot[] = [];
  readonly #pages: readonly (PageFacts | undefined)[];
  readonly #pageCount: number;
  readonly #isUsed: Uint8Array;
  readonly #isWholeFile: boolean;

  constructor(meta: Meta, pages: readonly (PageFacts | undefined)[], pageCount: number) {
    this.#pages = pages;
    this.#pageCount = Math.min(pageCount, meta.lastPage + 1);
    this.#isUsed = new Uint8Array(this.#pageCount);
    this.#isWholeFile = pages.length >= this.#pageCount;
  }

  /** Walks a tree; returns its leaves that hold overflowing or other values, by number. */
  tree({ root, depth }: TreeRoot, what: string): number[] {
    const leaves: number[] = [];
    if (root === NO_PAGE) return leaves;
    if (depth === 0 || depth > MAX_DEPTH) throw new Unsound(`${what} has a depth of ${depth}`);
    let level = [root];
    for (let above = depth - 1; above >= 0; above--) {
      const next: number[] = [];
      for (const number of level) {
        this.#use(number, 1);
        const page = this.#pages[number];
        if (page === undefined) {
          if (this.#isWholeFile || number < this.#pages.length) throw new Unsound(`page ${number} is unreadable`);
          continue;
        }
        if (page.isLeaf !== (above === 0)) throw new Unsound(`page ${number} is not of its kind`);
        if (page.isLeaf) {
          leaves.push(number);
          for (const { first, count } of page.overflows) this.#overflow(first, count);
          this.tables.push(...page.tables);
        } else {
          for (const child of page.children) next.push(child);
        }
      }
      level = next;
    }
    return leaves;
  }

  /** A run of pages that the free list gives away. */
  free(first: number, count: number): void {
    // Free pages at the end need not be in the file.
    const end = Math.min(first + count, this.#pageCount);
    if (first < META_PAGES || count < 1) throw new Unsound('the free list is unreadable');
    for (let number = first; number < end; number++) {
      if (this.#isUsed[number] === 1) throw new Unsound(`page ${number} is both used and free`);
      this.#isUsed[number] = 1;
    }
  }

  #overflow(first: number, count: number): void {
    this.#use(first, count);
    const head = this.#pages[first];
    if (head === undefined ? first < this.#pages.length : head.overflowPages !== count) {
      throw new Unsound(`page ${first} does not begin a long value of ${count} pages`);
    }
  }

  #use(first: number, count: number): void {
    if (first < META_PAGES || count < 1 || first + count > this.#pageCount) {
      throw new Unsound(`page ${first} is outside the file`);
    }
    for (let number = first; number < first + count; number++) {
      if (this.#isUsed[number] === 1) throw new Unsound(`page ${number} is used twice`);
      this.#isUsed[number] = 1;
    }
  }
}

/** Checks the lists of free pages in one leaf of the free tree. */
async function checkFreeLeaf(file: FileHandle, meta: Meta, walk: Walk, leaf: number): Promise<void> {
  const { pageBytes } = meta;
  const page = Buffer.alloc(pageBytes);
  await file.read(page, 0, pageBytes, leaf * pageBytes);
  const count = page.readUInt16LE(20) >>> 1;
  for (let index = 0; index < count; index++) {
    const node = PAGE_HEADER_BYTES + page.readUInt16LE(PAGE_HEADER_BYTES + index * 2);
    const length = page.readUInt32LE(node);
    const data = node + 8 + page.readUInt16LE(node + 6);
    const isLong = (page.readUInt16LE(node + 4) & 1) !== 0;
    if (!isLong) {
      checkFreeList(page.subarray(data, data + length), walk);
      continue;
    }
    const list = Buffer.alloc(length);
    await file.read(list, 0, length, readPageNumber(page, data) * pageBytes + PAGE_HEADER_BYTES);
    checkFreeList(list, walk);
  }
}

/** A count and as many numbers: a page, or a negative length and the first page of a run; zeros are gaps. */
function checkFreeList(list: Buffer, walk: Walk): void {
  const count = list.length < 8 ? Number.POSITIVE_INFINITY : Number(list.readBigUInt64LE(0));
  if ((count + 1) * 8 > list.length) throw new Unsound('the free list is unreadable');
  for (let index = 1; index <= count; index++) {
    const entry = Number(list.readBigInt64LE(index * 8));
    if (entry === 0) continue;
    if (entry > 0) {
      walk.free(entry, 1);
      continue;
    }
    index++;
    if (index > count) throw new Unsound('the free list is unreadable');
    walk.free(Number(list.readBigInt64LE(index * 8)), -entry);
  }
}
