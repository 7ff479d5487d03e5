/**
 * Keys of tables: tuples of parts, written so that the order of the bytes is the order of the tuples. Numbers are
 * big-endian; strings end with a terminator that sorts before any content; so no key part can run into the next, and the
 * bytes of a leading part of a tuple are a prefix of exactly the keys that begin with it.
 */
import { isAscii } from 'node:buffer';

/** Most bytes of an encoded key: what LMDB holds with 4 KiB pages. Strings that clients choose must be bounded before they get here. */
export const MAX_KEY_BYTES = 1978;

/** A key does not fit in {@link MAX_KEY_BYTES}. */
export class KeyTooLong extends Error {
  override readonly name = 'KeyTooLong';
}

/** Where a key is read from; `at` moves on with each part. */
export interface KeySource {
  bytes: Buffer;
  at: number;
  end: number;
}

/** One part of a key. */
export interface KeyPart<T> {
  /** Only a last part may be: it takes whatever is left. */
  readonly isOpenEnded: boolean;
  /** Writes at `at`, returns where the next part begins. Throws RangeError when the value or the space does not fit. */
  write(value: T, target: Buffer, at: number): number;
  read(source: KeySource): T;
}

/** Key parts of a tuple type. */
export type KeyParts<K extends readonly unknown[]> = { readonly [I in keyof K]: KeyPart<K[I]> };

/** The leading parts of a key, from none to all. */
export type KeyPrefix<K extends readonly unknown[]> = K extends readonly [...infer Leading, unknown]
  ? K | KeyPrefix<Readonly<Leading>>
  : readonly [];

/** Encodes tuples of one shape. */
export interface KeyCodec<K extends readonly unknown[]> {
  readonly parts: readonly KeyPart<never>[];
  /** Writes a whole key or its leading parts; returns the end. */
  write(key: KeyPrefix<K>, target: Buffer, at: number): number;
  read(bytes: Buffer, start: number, end: number): K;
}

const MAX_U48 = 2 ** 48 - 1;
const MAX_U32 = 2 ** 32 - 1;
const TWO_32 = 2 ** 32;
/** Up to here a loop over the characters is faster than a call into native code. */
const SHORT_STRING = 64;
const ESCAPE = 0xff;

/** An integer below 2^48, 6 bytes: log positions, milliseconds. */
export const u48Part: KeyPart<number> = {
  isOpenEnded: false,
  write(value, target, at) {
    if (!Number.isInteger(value) || value < 0 || value > MAX_U48) throw new RangeError(`${value} is not a u48`);
    const high = Math.floor(value / TWO_32);
    const low = value >>> 0;
    target[at] = high >>> 8;
    target[at + 1] = high;
    target[at + 2] = low >>> 24;
    target[at + 3] = low >>> 16;
    target[at + 4] = low >>> 8;
    target[at + 5] = low;
    return at + 6;
  },
  read(source) {
    const at = source.at;
    source.at = at + 6;
    return source.bytes.readUIntBE(at, 6);
  },
};

/** An integer below 2^32, 4 bytes. */
export const u32Part: KeyPart<number> = {
  isOpenEnded: false,
  write(value, target, at) {
    if (!Number.isInteger(value) || value < 0 || value > MAX_U32) throw new RangeError(`${value} is not a u32`);
    target[at] = value >>> 24;
    target[at + 1] = value >>> 16;
    target[at + 2] = value >>> 8;
    target[at + 3] = value;
    return at + 4;
  },
  read(source) {
    const at = source.at;
    source.at = at + 4;
    return source.bytes.readUInt32BE(at);
  },
};

/**
 * A string of any content, in code point order: UTF-8 with NUL as `00 FF`, ended by `00 00`. Half a surrogate pair, which
 * UTF-8 has no bytes for, gets the three bytes that its number would have, so that different strings never share a key.
 */
export const strPart: KeyPart<string> = {
  isOpenEnded: false,
  write(value, target, at) {
    const length = value.length;
    if (length > MAX_KEY_BYTES) throw new KeyTooLong(`a string of ${length} characters does not fit in a key`);
    let end = at;
    if (length <= SHORT_STRING) {
      let index = 0;
      for (; index < length; index++) {
        const code = value.charCodeAt(index);
        if ((code - 1) >>> 0 >= 0x7f) break;
        target[end++] = code;
      }
      if (index < length) end = writeAnyString(value, target, at);
    } else {
      end = writeAnyString(value, target, at);
    }
    target[end] = 0;
    target[end + 1] = 0;
    return end + 2;
  },
  read(source) {
    const { bytes, at } = source;
    let end = bytes.indexOf(0, at);
    let isEscaped = false;
    while (end >= 0 && bytes[end + 1] === ESCAPE) {
      isEscaped = true;
      end = bytes.indexOf(0, end + 2);
    }
    if (end < 0 || end >= source.end) throw new RangeError('a string in a key has no end');
    source.at = end + 2;
    return isEscaped ? readUtf8(unescaped(bytes.subarray(at, end))) : readUtf8(bytes.subarray(at, end));
  },
};

/** Exactly `length` bytes. */
export function bytesPart(length: number): KeyPart<Uint8Array> {
  return {
    isOpenEnded: false,
    write(value, target, at) {
      if (value.length !== length) throw new RangeError(`a key part of ${length} bytes was given ${value.length}`);
      target.set(value, at);
      return at + length;
    },
    read(source) {
      const at = source.at;
      source.at = at + length;
      return Buffer.from(source.bytes.subarray(at, at + length));
    },
  };
}

/** Bytes of any length, as the last part only. As part of a prefix it also finds the keys that it begins. */
export const rawPart: KeyPart<Uint8Array> = {
  isOpenEnded: true,
  write(value, target, at) {
    target.set(value, at);
    return at + value.length;
  },
  read(source) {
    const at = source.at;
    source.at = source.end;
    return Buffer.from(source.bytes.subarray(at, source.end));
  },
};

/** A key of several parts, compared part by part. Throws TypeError if one that takes all the rest is not the last. */
export function tuple<K extends readonly [unknown, ...unknown[]]>(...parts: KeyParts<K>): KeyCodec<Readonly<K>> {
  const list = parts as unknown as readonly KeyPart<unknown>[];
  if (list.slice(0, -1).some((part) => part.isOpenEnded)) throw new TypeError('only the last part of a key may be raw');
  const count = list.length;
  const source: KeySource = { bytes: Buffer.alloc(0), at: 0, end: 0 };
  return {
    parts: list as readonly KeyPart<never>[],
    write(key, target, at) {
      const values = key as readonly unknown[];
      let end = at;
      for (let index = 0; index < values.length; index++) {
        const part = list[index];
        if (part === undefined) throw new RangeError(`a key of ${count} parts was given ${values.length}`);
        end = part.write(values[index], target, end);
      }
      if (end - at > MAX_KEY_BYTES) throw new KeyTooLong(`a key of ${end - at} bytes; the most is ${MAX_KEY_BYTES}`);
      return end;
    },
    read(keyBytes, start, end) {
      source.bytes = keyBytes;
      source.at = start;
      source.end = end;
      const values = new Array<unknown>(count);
      for (let index = 0; index < count; index++) values[index] = (list[index] as KeyPart<unknown>).read(source);
      return values as unknown as K;
    },
  };
}

/** Writes any string, with NULs escaped and without the terminator. */
function writeAnyString(value: string, target: Buffer, at: number): number {
  const encoded = value.isWellFormed() ? undefined : generalisedUtf8(value);
  if (encoded === undefined && !value.includes('\0')) {
    // Buffer.write cuts silently what does not fit.
    if (at + value.length * 3 > target.length && at + Buffer.byteLength(value) > target.length) {
      throw new KeyTooLong(`a string of ${value.length} characters does not fit in a key`);
    }
    return at + target.write(value, at, 'utf8');
  }
  let end = at;
  for (const byte of encoded ?? Buffer.from(value, 'utf8')) {
    target[end++] = byte;
    if (byte === 0) target[end++] = ESCAPE;
  }
  if (end > target.length) throw new KeyTooLong(`a string of ${value.length} characters does not fit in a key`);
  return end;
}

function generalisedUtf8(value: string): Buffer {
  const pieces: Buffer[] = [];
  for (const character of value) {
    const code = character.charCodeAt(0);
    pieces.push(
      character.isWellFormed()
        ? Buffer.from(character, 'utf8')
        : Buffer.from([0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]),
    );
  }
  return Buffer.concat(pieces);
}

function readUtf8(encoded: Buffer): string {
  if (isAscii(encoded)) return encoded.toString('latin1');
  const text = encoded.toString('utf8');
  // Half a surrogate pair is `ED A0…BF xx`; Node reads it as replacement characters.
  if (!text.includes('\ufffd')) return text;
  let exact = '';
  let at = 0;
  for (let index = encoded.indexOf(0xed); index >= 0; index = encoded.indexOf(0xed, index + 1)) {
    const second = encoded[index + 1] ?? 0;
    if (second < 0xa0) continue;
    const code = 0xd000 | ((second & 0x3f) << 6) | ((encoded[index + 2] ?? 0) & 0x3f);
    exact += encoded.toString('utf8', at, index) + String.fromCharCode(code);
    at = index + 3;
  }
  return exact + encoded.toString('utf8', at, encoded.length);
}

function unescaped(encoded: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(encoded.length);
  let length = 0;
  for (let index = 0; index < encoded.length; index++) {
    const byte = encoded[index] as number;
    plain[length++] = byte;
    if (byte === 0) index++;
  }
  return plain.subarray(0, length);
}
