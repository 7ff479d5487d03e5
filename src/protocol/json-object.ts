import { SpelledNumber } from './loose-numbers.ts';
import type { JsonObject, JsonValue } from './pdu.ts';

/** A JSON object while it is being made. */
export type MutableJsonObject = { [key: string]: JsonValue | undefined };

/** Whether a value is a JSON object (not an array, not null, not a number as it was spelled). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof SpelledNumber);
}

/**
 * The value that an object itself holds under a key chosen by somebody else. A plain read would answer `constructor`
 * or `toString` with what every JavaScript object inherits.
 */
export function ownValue(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * Sets a key chosen by somebody else. A plain assignment to `__proto__` would change the object's prototype and lose
 * the value.
 */
export function setOwnValue(object: MutableJsonObject, key: string, value: JsonValue | undefined): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[key] = value;
  }
}
