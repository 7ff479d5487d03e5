/** Values of tables: how a row's content becomes bytes. Every codec is deterministic, so that a replay gives the same bytes. */

import { Packr } from 'msgpackr';
import { parseJson } from '#protocol/json-limits.ts';

/** How values of one table are stored. */
export interface ValueCodec<V> {
  /** The bytes of a value. They are copied before the next call, so the codec may reuse them. */
  encode(value: V): Uint8Array;
  /** The value of the first `length` bytes. They are overwritten by the next read: copy what is kept. */
  decode(stored: Buffer, length: number): V;
}

const packr = new Packr({ useRecords: false, copyBuffers: true });
const EMPTY = Buffer.alloc(0);

/** MessagePack. What is put must be plain data (objects, arrays, strings, numbers, booleans, null, Uint8Array), always built with its properties in one order. */
export function msgpack<V>(): ValueCodec<V> {
  return {
    encode: (value) => packr.pack(value),
    decode: (stored, length) => packr.unpack(stored, length) as V,
  };
}

/** JSON text. */
export function json<V>(): ValueCodec<V> {
  return {
    encode: (value) => Buffer.from(JSON.stringify(value), 'utf8'),
    decode: (stored, length) => parseJson(stored.toString('utf8', 0, length)) as V,
  };
}

/** Bytes as they are: what is served without being parsed. */
export const rawValue: ValueCodec<Buffer> = {
  encode: (value) => value,
  decode: (stored, length) => Buffer.copyBytesFrom(stored, 0, length),
};

/** A string, as UTF-8. It must be well-formed. */
export const strValue: ValueCodec<string> = {
  encode: (value) => Buffer.from(value, 'utf8'),
  decode: (stored, length) => stored.toString('utf8', 0, length),
};

const scratch = Buffer.alloc(6);

/** An integer below 2^48: a log position, milliseconds. */
export const u48Value: ValueCodec<number> = {
  encode(value) {
    scratch.writeUIntBE(value, 0, 6);
    return scratch;
  },
  decode: (stored) => stored.readUIntBE(0, 6),
};

/** A row whose key says it all. */
export const empty: ValueCodec<true> = {
  encode: () => EMPTY,
  decode: () => true,
};
