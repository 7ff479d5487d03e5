/**
 * Numbers as Python writes them, by which hashes were made in the room versions that are not strict about numbers (before
 * 6): integers of any size in full, and whatever was read with a fraction or an exponent as a float, so that `1.0` stays
 * `1.0` and `1e2` becomes `100.0`.
 */

/** Most digits of an integer: with more, Python reads no number, and no server of the network takes the text. */
export const MAX_INTEGER_DIGITS = 4300;

/**
 * A number whose canonical text cannot be told from its value alone: `1.0`, or an integer beyond ±(2^53-1). It stands in parsed
 * events where a plain number would lose how they were hashed; `JSON.stringify` writes it as it was, too.
 */
export class SpelledNumber {
  /** As loose canonical JSON has it. */
  readonly text: string;
  /** The nearest number that JavaScript has; infinite where that is so. */
  readonly value: number;
  /** Whether it was written with a fraction or an exponent. */
  readonly isFloat: boolean;
  constructor(text: string, value: number, isFloat: boolean) {
    this.text = text;
    this.value = value;
    this.isFloat = isFloat;
  }

  /** So that it can be reckoned and compared with like any number, if not to the last digit. */
  valueOf(): number {
    return this.value;
  }

  toString(): string {
    return this.text;
  }

  /** For `JSON.stringify`. */
  toJSON(): unknown {
    return RAW_JSON.rawJSON(this.text);
  }
}

/** What TypeScript does not know of `JSON` yet. */
const RAW_JSON = JSON as unknown as { rawJSON(text: string): unknown };

/** An integer of any size, to the last digit: a number where that holds it, else a `bigint`. The two compare with `<` and `>`. */
export function exactInteger(value: number | SpelledNumber): number | bigint {
  if (!(value instanceof SpelledNumber)) return value;
  return value.isFloat ? value.value : BigInt(value.text);
}

/** Python writes floats without an exponent from 1e-4 up to 1e16; JavaScript does from 1e-6 up to 1e21. */
const SMALLEST_PLAIN_FLOAT = 1e-4;
const SMALLEST_LONG_FLOAT = 1e16;

/** Text of a finite number of which no more is known than its value: what is whole counts as an integer. */
export function looseNumberText(value: number): string {
  if (Number.isSafeInteger(value)) return value === 0 ? '0' : `${value}`;
  return Number.isInteger(value) ? BigInt(value).toString() : floatText(value);
}

/**
 * A number of JSON text: a plain one where its value says it all, `Infinity` (which has no encoding) where nobody on the network
 * reads a number.
 */
export function exactNumber(token: string): number | SpelledNumber {
  const value = Number(token);
  if (/[.eE]/.test(token)) {
    if (!Number.isFinite(value)) return value;
    const text = floatText(value);
    return text === `${value}` && !Number.isInteger(value) ? value : new SpelledNumber(text, value, true);
  }
  // JSON leaves but one way to write an integer, except that zero may have a sign.
  if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  const digits = token.startsWith('-') ? token.length - 1 : token.length;
  return digits <= MAX_INTEGER_DIGITS ? new SpelledNumber(token, value, false) : value;
}

/** The shortest digits that read back as the same number, laid out as by Python's `repr`. */
function floatText(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  if (size >= SMALLEST_PLAIN_FLOAT && size < SMALLEST_LONG_FLOAT) {
    const plain = `${value}`;
    return Number.isInteger(value) ? `${plain}.0` : plain;
  }
  const [digits = '', exponent = ''] = value.toExponential().split('e');
  return `${digits}e${exponent.slice(0, 1)}${exponent.slice(1).padStart(2, '0')}`;
}
