/** Pieces for the query schemas of endpoints: the texts of a query string as what they mean. */
import { z } from 'zod';

/** A parameter that is given once; given several times, the first counts. */
export function queryText() {
  return z.union([z.string(), z.array(z.string())]).transform((given, context) => {
    const text = typeof given === 'string' ? given : given[0];
    if (text !== undefined) return text;
    context.issues.push({ code: 'custom', input: given, message: 'a value is needed' });
    return z.NEVER;
  });
}

export interface IntegerRange {
  readonly min?: number;
  /** A larger number counts as this one: the specification lets servers cap what clients ask for. */
  readonly cap?: number;
}

/** A whole number. */
export function queryInteger({ min = 0, cap = Number.MAX_SAFE_INTEGER }: IntegerRange = {}) {
  return queryText().transform((text, context) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min) return Math.min(value, cap);
    context.issues.push({ code: 'custom', input: text, message: `a whole number from ${min} is needed` });
    return z.NEVER;
  });
}

/** `true` or `false`. */
export function queryFlag() {
  return queryText().transform((text, context) => {
    if (text === 'true') return true;
    if (text === 'false') return false;
    context.issues.push({ code: 'custom', input: text, message: 'true or false is needed' });
    return z.NEVER;
  });
}

/** One of a few words. */
export function queryChoice<const Word extends string>(words: readonly Word[]) {
  return queryText().transform((text, context) => {
    const word = words.find((one) => one === text);
    if (word !== undefined) return word;
    context.issues.push({ code: 'custom', input: text, message: `one of ${words.join(', ')} is needed` });
    return z.NEVER;
  });
}

/** A parameter that may be given several times. */
export function queryTexts() {
  return z.union([z.string(), z.array(z.string())]).transform((given) => (typeof given === 'string' ? [given] : given));
}
