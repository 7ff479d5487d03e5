/** The tables of the search projection. */
import {
  type AnyTable,
  bytes,
  defineTable,
  empty,
  msgpack,
  raw,
  str,
  tuple,
  u32,
  u48,
} from '#projections/engine/table.ts';
import type { ValueCodec } from '#projections/engine/values.ts';
import { ID_HASH_BYTES } from './document.ts';

/** A room as the index knows it. */
export interface SearchRoomRow {
  /** Its number in this environment: the position of the first record that named it. */
  readonly id: number;
  /** What is said in it is not indexed, and what was before is not searched. */
  readonly isEncrypted: boolean;
}

/** Bytes that are not copied out of what was read: what `get` gives is good until the next read, what a range gives stays. */
const packed: ValueCodec<Buffer> = {
  encode: (value) => value,
  decode: (stored, length) => stored.subarray(0, length),
};

export const searchRooms = defineTable({
  name: 'search.rooms',
  key: tuple<[roomId: string]>(str),
  value: msgpack<SearchRoomRow>(),
  why: 'The environment stands alone: it cannot ask the others for the internal id of a room.',
});

export const tails = defineTable({
  name: 'search.tails',
  key: tuple<[room: number]>(u48),
  value: raw,
  why: 'The last few events of a room, as plain lists of words in one value that grows; then they become a block.',
});

export const blocks = defineTable({
  name: 'search.blocks',
  key: tuple<[room: number, level: number, last: number]>(u48, u32, u48),
  value: packed,
  why: 'Words and postings of many events packed into one value take a tenth of what a row for each would; four of a level become one of the next.',
});

export const gone = defineTable({
  name: 'search.gone',
  key: tuple<[room: number, idHash: Uint8Array]>(u48, bytes(ID_HASH_BYTES)),
  value: empty,
  why: 'What was redacted before it came, or was never indexed: it must not be when it comes.',
});

export const searchTables: readonly AnyTable[] = [searchRooms, tails, blocks, gone];
