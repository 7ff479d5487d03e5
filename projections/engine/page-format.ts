/** What one page of an LMDB file says of itself; see page-check.ts. */

/** Number u64, transaction u64, pad u16, flags u16, then lower and upper bound of free space u16 each, or a page count u32. */
export const PAGE_HEADER_BYTES = 24;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const KINDS = 0x7f;
/** Data size or child u32 (the child's high 16 bits are the flags), flags u16, key size u16. */
const NODE_BYTES = 8;
const NODE_LONG = 0x01;
const NODE_TABLE = 0x02;
/** First page u64, transaction u64, page count u64. */
const LONG_VALUE_BYTES = 24;
const TABLE_BYTES = 48;
const TWO_32 = 2 ** 32;
const NO_OVERFLOWS: PageFacts['overflows'] = [];
const NO_TABLES: PageFacts['tables'] = [];
const NO_CHILDREN: PageFacts['children'] = [];

/** What the pages that lead to a page, or from it, must agree with. */
export interface PageFacts {
  readonly isLeaf: boolean;
  /** Of a branch page. */
  readonly children: readonly number[];
  /** Of a leaf page: where its long values are. */
  readonly overflows: readonly { readonly first: number; readonly count: number }[];
  /** Of a leaf page: trees that are its values; -1 for the root of an empty one. */
  readonly tables: readonly { readonly root: number; readonly depth: number }[];
  /** How many pages a long value has, where one begins here; else 0. */
  readonly overflowPages: number;
}

const PLAIN_LEAF: PageFacts = {
  isLeaf: true,
  children: NO_CHILDREN,
  overflows: NO_OVERFLOWS,
  tables: NO_TABLES,
  overflowPages: 0,
};

/** Reads the page at `at`, or undefined if it is not one, or not page `number`, or an entry is not within it. */
export function readPage(bytes: Buffer, at: number, pageBytes: number, number: number): PageFacts | undefined {
  if (bytes.readUInt32LE(at) !== number % TWO_32 || bytes.readUInt32LE(at + 4) !== Math.floor(number / TWO_32)) {
    return undefined;
  }
  const kind = bytes.readUInt16LE(at + 18) & KINDS;
  if (kind === OVERFLOW) return { ...PLAIN_LEAF, isLeaf: false, overflowPages: bytes.readUInt32LE(at + 20) };
  if (kind !== BRANCH && kind !== LEAF) return undefined;
  const lower = bytes.readUInt16LE(at + 20);
  const upper = bytes.readUInt16LE(at + 22);
  const room = pageBytes - PAGE_HEADER_BYTES;
  const isBranch = kind === BRANCH;
  // A branch with one child is never written.
  if ((lower & 1) !== 0 || lower > upper || upper > room || lower < (isBranch ? 4 : 2)) return undefined;
  const body = at + PAGE_HEADER_BYTES;
  return isBranch ? readBranch(bytes, body, room, lower, upper) : readLeaf(bytes, body, room, lower, upper, pageBytes);
}

function readBranch(bytes: Buffer, body: number, room: number, lower: number, upper: number): PageFacts | undefined {
  const children: number[] = [];
  for (let pointer = 0; pointer < lower; pointer += 2) {
    const node = bytes.readUInt16LE(body + pointer);
    if (node < upper || node + NODE_BYTES > room || (node & 1) !== 0) return undefined;
    if (node + NODE_BYTES + bytes.readUInt16LE(body + node + 6) > room) return undefined;
    children.push(bytes.readUInt32LE(body + node) + bytes.readUInt16LE(body + node + 4) * TWO_32);
  }
  return { ...PLAIN_LEAF, isLeaf: false, children };
}

function readLeaf(
  bytes: Buffer,
  body: number,
  room: number,
  lower: number,
  upper: number,
  pageBytes: number,
): PageFacts | undefined {
  let overflows: { first: number; count: number }[] | undefined;
  let tables: { root: number; depth: number }[] | undefined;
  for (let pointer = 0; pointer < lower; pointer += 2) {
    const node = bytes.readUInt16LE(body + pointer);
    if (node < upper || node + NODE_BYTES > room || (node & 1) !== 0) return undefined;
    const flags = bytes.readUInt16LE(body + node + 4);
    const size = bytes.readUInt32LE(body + node);
    const data = node + NODE_BYTES + bytes.readUInt16LE(body + node + 6);
    if (flags === 0) {
      if (data + size > room) return undefined;
    } else if (flags === NODE_LONG) {
      const long = data + LONG_VALUE_BYTES > room ? undefined : readLong(bytes, body + data, size, pageBytes);
      if (long === undefined) return undefined;
      overflows ??= [];
      overflows.push(long);
    } else if (flags === NODE_TABLE) {
      if (size !== TABLE_BYTES || data + size > room) return undefined;
      tables ??= [];
      tables.push(readTable(bytes, body + data));
    } else {
      return undefined;
    }
  }
  if (overflows === undefined && tables === undefined) return PLAIN_LEAF;
  return { ...PLAIN_LEAF, overflows: overflows ?? NO_OVERFLOWS, tables: tables ?? NO_TABLES };
}

function readLong(
  bytes: Buffer,
  at: number,
  size: number,
  pageBytes: number,
): { first: number; count: number } | undefined {
  const count = Number(bytes.readBigUInt64LE(at + 16));
  const isEnough = count * pageBytes >= PAGE_HEADER_BYTES + size;
  return isEnough ? { first: Number(bytes.readBigUInt64LE(at)), count } : undefined;
}

function readTable(bytes: Buffer, at: number): { root: number; depth: number } {
  const root = bytes.readBigUInt64LE(at + 40);
  return { depth: bytes.readUInt16LE(at + 6), root: root === 0xffff_ffff_ffff_ffffn ? -1 : Number(root) };
}
