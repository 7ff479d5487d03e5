/**
 * Reads a JSON object that has long lists of events while it comes in: each event is parsed by itself, so that neither the text
 * nor what it says is ever in memory as a whole, and no parsing takes long.
 */
import { isUtf8 } from 'node:buffer';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { AnswerNotJson, AnswerTooLarge } from './answer-body.ts';

/** Largest element of a list that is looked at: any event fits many times. Larger ones are left out. */
const MAX_ELEMENT_BYTES = 1024 * 1024;
/** All other members of the object together: a list of servers, an event. */
const MAX_OTHER_BYTES = 4 * 1024 * 1024;

/** An element of one of the lists. */
export interface ListElement {
  /** Which list: a key of the object. */
  readonly list: string;
  readonly value: JsonValue;
  /** JSON text of the value; valid until the next element is told. */
  readonly text: Buffer;
}

/**
 * Reads an object to its end. Other members than the lists, and lists that are none, are what it resolves with.
 *
 * @param lists keys whose values are lists of events.
 * @param onElement is told each element in order.
 * @param onList is told in the end which lists there were, also empty ones.
 * @throws {AnswerNotJson} for anything but one JSON object, or if it has a list twice.
 * @throws {AnswerTooLarge} where the other members are too large; and what the body or `onElement` throws.
 */
export async function readEventLists(
  body: AsyncIterable<Uint8Array>,
  lists: ReadonlySet<string>,
  onElement: (element: ListElement) => void,
  onList: (list: string) => void = () => {},
): Promise<JsonObject> {
  const scanner = new ObjectScanner(lists);
  const others: { [key: string]: JsonValue } = Object.create(null);
  for await (const chunk of body) {
    for (const { key, isElement, text } of scanner.scan(chunk)) {
      const value = parsed(text);
      if (isElement) onElement({ list: key, value, text });
      else others[key] = value;
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
  }
  if (!scanner.isComplete) throw new AnswerNotJson('the answer ends too early');
  for (const list of scanner.lists) onList(list);
  return others;
}

function parsed(text: Buffer): JsonValue {
  if (!isUtf8(text)) throw new AnswerNotJson('the answer is not UTF-8');
  try {
    return parseJsonExactly(text.toString('utf8'));
  } catch (error) {
    throw new AnswerNotJson(error instanceof Error ? error.message : String(error));
  }
}

/** A value whose text is complete. */
interface ScannedValue {
  readonly key: string;
  readonly isElement: boolean;
  readonly text: Buffer;
}

/** What comes next outside of values. */
type Expecting =
  | 'object'
  | 'first_key'
  | 'key'
  | 'colon'
  | 'value'
  | 'first_element'
  | 'element'
  | 'after_element'
  | 'after_value'
  | 'end';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Finds the members of an object, and the elements of its lists, in bytes that come in pieces. It looks at no more than it takes to
 * find where values end: whether they are JSON is found when they are parsed.
 */
class ObjectScanner {
  readonly #lists: ReadonlySet<string>;
  readonly #seen = new Set<string>();
  readonly #begun = new Set<string>();
  #expecting: Expecting = 'object';
  #key = '';
  #otherBytes = 0;
  /** Of the value, or key, that is being read. */
  #pieces: Buffer[] | undefined;
  #bytes = 0;
  #depth = 0;
  #isInText = false;
  #isEscaped = false;
  #isBare = false;

  constructor(lists: ReadonlySet<string>) {
    this.#lists = lists;
  }

  /** Whether the object has ended. */
  get isComplete(): boolean {
    return this.#expecting === 'end';
  }

  /** The lists that there were so far. */
  get lists(): Iterable<string> {
    return this.#begun;
  }

  /** The values that end in the next piece. */
  *scan(chunk: Uint8Array): Generator<ScannedValue> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let at = 0;
    while (at < bytes.length) {
      if (this.#pieces === undefined) {
        if (this.#begins(bytes[at] as number)) continue;
        at += 1;
        continue;
      }
      const end = this.#endOfValue(bytes, at);
      this.#take(bytes.subarray(at, end === -1 ? bytes.length : end));
      if (end === -1) return;
      at = end;
      const value = this.#finish();
      if (value !== undefined) yield value;
    }
  }

  /** Whether a value or key begins with a byte; if not, the byte is taken as what stands between values. */
  #begins(byte: number): boolean {
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return false;
    switch (this.#expecting) {
      case 'object':
        return this.#between(byte === OPEN_BRACE, 'first_key');
      case 'first_key':
        if (byte === CLOSE_BRACE) return this.#between(true, 'end');
        return this.#open(byte, byte === QUOTE);
      case 'key':
        return this.#open(byte, byte === QUOTE);
      case 'colon':
        return this.#between(byte === COLON, 'value');
      case 'value':
        if (byte === OPEN_BRACKET && this.#lists.has(this.#key)) {
          this.#begun.add(this.#key);
          return this.#between(true, 'first_element');
        }
        return this.#open(byte, true);
      case 'first_element':
        if (byte === CLOSE_BRACKET) return this.#between(true, 'after_value');
        return this.#open(byte, true);
      case 'element':
        return this.#open(byte, true);
      case 'after_element':
        return this.#between(byte === COMMA || byte === CLOSE_BRACKET, byte === COMMA ? 'element' : 'after_value');
      case 'after_value':
        return this.#between(byte === COMMA || byte === CLOSE_BRACE, byte === COMMA ? 'key' : 'end');
      case 'end':
        return this.#between(false, 'end');
    }
  }

  #between(isRight: boolean, next: Expecting): false {
    if (!isRight) throw new AnswerNotJson('the answer is not one JSON object');
    this.#expecting = next;
    return false;
  }

  #open(byte: number, isRight: boolean): true {
    const isContainer = byte === OPEN_BRACE || byte === OPEN_BRACKET;
    if (!isRight || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte === COMMA || byte === COLON) {
      throw new AnswerNotJson('the answer is not one JSON object');
    }
    this.#pieces = [];
    this.#bytes = 0;
    this.#depth = 0;
    this.#isInText = false;
    this.#isEscaped = false;
    this.#isBare = !isContainer && byte !== QUOTE;
    return true;
  }

  /** Where the value ends that is being read; -1 if not in these bytes. */
  #endOfValue(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at] as number;
      if (this.#isInText) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) {
          this.#isInText = false;
          if (this.#depth === 0) return at + 1;
        }
        continue;
      }
      if (byte === QUOTE) this.#isInText = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth += 1;
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        // A bare word or number ends before what closes that around it.
        if (this.#isBare && this.#depth === 0) return at;
        this.#depth -= 1;
        if (this.#depth === 0) return at + 1;
      } else if (byte === COMMA && this.#isBare && this.#depth === 0) return at;
    }
    return -1;
  }

  #take(piece: Buffer): void {
    this.#bytes += piece.length;
    const isElement = this.#isElement;
    if (!isElement) {
      this.#otherBytes += piece.length;
      if (this.#otherBytes > MAX_OTHER_BYTES) throw new AnswerTooLarge(MAX_OTHER_BYTES);
    }
    if (!isElement || this.#bytes <= MAX_ELEMENT_BYTES) this.#pieces?.push(piece);
    else this.#pieces = [];
  }

  get #isElement(): boolean {
    return this.#expecting === 'element' || this.#expecting === 'first_element';
  }

  /** What was read; undefined for a key, and for an element that is too large. */
  #finish(): ScannedValue | undefined {
    const pieces = this.#pieces ?? [];
    const [first] = pieces;
    const text = pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
    const isElement = this.#isElement;
    const isTooLarge = isElement && this.#bytes > MAX_ELEMENT_BYTES;
    this.#pieces = undefined;
    if (this.#expecting === 'key' || this.#expecting === 'first_key') {
      this.#key = this.#keyOf(text);
      this.#expecting = 'colon';
      return undefined;
    }
    this.#expecting = isElement ? 'after_element' : 'after_value';
    return isTooLarge ? undefined : { key: this.#key, isElement, text };
  }

  #keyOf(text: Buffer): string {
    const key = parsed(text);
    if (typeof key !== 'string') throw new AnswerNotJson('the answer is not one JSON object');
    if (this.#lists.has(key) && this.#seen.has(key)) throw new AnswerNotJson(`the answer has ${key} twice`);
    if (this.#lists.has(key)) this.#seen.add(key);
    return key;
  }
}
