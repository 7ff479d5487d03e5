import { Buffer } from 'node:buffer';

const STANDARD = /^[A-Za-z0-9+/]*={0,2}$/;
const URL_SAFE = /^[A-Za-z0-9_-]*={0,2}$/;

/** Unpadded base64 in the standard alphabet. Source: appendices, "Unpadded Base64". */
export function encodeBase64(bytes: Uint8Array): string {
  const text = asBuffer(bytes).toString('base64');
  return withoutPadding(text);
}

/** Unpadded base64 in the URL-safe alphabet (`-` and `_`). Source: appendices, "URL-safe unpadded Base64". */
export function encodeBase64Url(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64url');
}

/**
 * Decodes standard base64, with or without padding. Unused bits of the last character may be set, as in keys and
 * signatures that are out there. `undefined` if the text is something else.
 * Source: appendices, "Unpadded Base64".
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  return STANDARD.test(text) ? decode(text, 'base64') : undefined;
}

/** As {@link decodeBase64}, for the URL-safe alphabet. */
export function decodeBase64Url(text: string): Uint8Array | undefined {
  return URL_SAFE.test(text) ? decode(text, 'base64url') : undefined;
}

/** As {@link decodeBase64}, for places where either alphabet is allowed (keys of third-party invites). */
export function decodeAnyBase64(text: string): Uint8Array | undefined {
  return decodeBase64(text) ?? decodeBase64Url(text);
}

function decode(text: string, alphabet: 'base64' | 'base64url'): Uint8Array | undefined {
  const significant = withoutPadding(text).length;
  // Four characters carry three bytes; a single one left over carries none.
  if (significant % 4 === 1) return undefined;
  return Buffer.from(text, alphabet);
}

function withoutPadding(text: string): string {
  const padding = text.indexOf('=');
  return padding === -1 ? text : text.slice(0, padding);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
