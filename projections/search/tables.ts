/** The tables of the search projection. */
import { type AnyTable, bytes, defineTable, msgpack, raw, str, tuple, u32, u48 } from '#projections/engine/table.ts';
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
  why: 'Words and postings of many events packed into one value take a tenth of what a row for each would; six of a level become one of the next.',
});

/** A redaction of what is not in the index. */
export interface GoneRow {
  /** Whether who sent it may redact the events of others. */
  readonly isPowerful: boolean;
  /** See `serverHashOf`: otherwise it takes effect on events of this server only. */
  readonly serverHash: number;
}

export const gone = defineTable({
  name: 'search.gone',
  key: tuple<[room: number, idHash: Uint8Array]>(u48, bytes(ID_HASH_BYTES)),
  value: msgpack<GoneRow>(),
  why: 'What was redacted before it came, or was never indexed: it must not be when it comes.',
});

export const aside = defineTable({
  name: 'search.aside',
  key: tuple<[eventId: string]>(str),
  value: msgpack<readonly [roomId: string, document: Uint8Array]>(),
  why: 'The words of events that are not shown, in case they are later: the record that says so does not have them.',
});

/** What tells who may redact in a room: of the create event the sender and content, of the power levels the content. */
export interface SearchPowersRow {
  readonly version: string;
  readonly creator: string | null;
  readonly createJson: string;
  readonly levelsJson: string | null;
}

export const powers = defineTable({
  name: 'search.powers',
  key: tuple<[room: number]>(u48),
  value: msgpack<SearchPowersRow>(),
  why: 'Redactions of other servers say that they want to take effect, not whether they do; this is only read for those.',
});

export const searchTables: readonly AnyTable[] = [searchRooms, tails, blocks, gone, aside, powers];
