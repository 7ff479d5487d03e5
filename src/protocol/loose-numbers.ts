/**
 * Numbers as Python writes them, by which hashes were made in the room versions that are not strict about numbers (before
 * 6): integers of any size in full, and whatever was read with a fraction or an exponent as a float, so that `1.0` stays
 * `1.0` and `1e2` becomes `100.0`.
 */

/** A number whose canonical text cannot be told from its value alone. Only hashing and power levels know of it. */
export class SpelledNumber {
  /** As loose canonical JSON has it. */
  readonly text: string;
  readonly value: number;
  /** Whether it was written with a fraction or an exponent. */
  readonly isFloat: boolean;
  constructor(text: string, value: number, isFloat: boolean) {
    this.text = text;
    this.value = value;
    this.isFloat = isFloat;
  }
}

/** Python writes floats without an exponent from 1e-4 up to 1e16; JavaScript does from 1e-6 up to 1e21. */
const SMALLEST_PLAIN_FLOAT = 1e-4;
const SMALLEST_LONG_FLOAT = 1e16;

/** Text of a finite number of which no more is known than its value: what is whole counts as an integer. */
export function looseNumberText(value: number): string {
  if (Number.isSafeInteger(value)) return value === 0 ? '0' : `${value}`;
  return Number.isInteger(value) ? BigInt(value).toString() : floatText(value);
}

/** A number of JSON text: a plain one where its value says it all. */
export function exactNumber(token: string): number | SpelledNumber {
  const value = Number(token);
  if (!Number.isFinite(value)) return value;
  const isFloat = /[.eE]/.test(token);
  const text = isFloat ? floatText(value) : integerText(token);
  return text === looseNumberText(value) ? value : new SpelledNumber(text, value, isFloat);
}

/** The grammar of JSON leaves but one way to write an integer, except that zero may have a sign. */
function integerText(token: string): string {
  return token === '-0' ? '0' : token;
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
