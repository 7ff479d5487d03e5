import { Buffer } from 'node:buffer';
import { isServerName } from './server-name.ts';

export { isServerName, parseServerName, type ServerName } from './server-name.ts';

/** Longest user id, room id, alias or event id, sigil and domain included, in UTF-8 bytes. */
export const MAX_ID_BYTES = 255;

/** A UTF-16 code unit takes at most this many UTF-8 bytes. */
const MAX_BYTES_PER_CODE_UNIT = 3;

/** Whether a text takes at most {@link MAX_ID_BYTES} bytes in UTF-8. Source: appendices, "Common Identifier Format". */
export function fitsIdLength(text: string): boolean {
  if (text.length * MAX_BYTES_PER_CODE_UNIT <= MAX_ID_BYTES) return true;
  return text.length <= MAX_ID_BYTES && Buffer.byteLength(text) <= MAX_ID_BYTES;
}

/** An identifier of the form `&localpart:domain`, taken apart. */
export interface ParsedId {
  /** Between the sigil and the first colon. */
  readonly localpart: string;
  /** After the first colon, port included. */
  readonly serverName: string;
}

/**
 * The server name in a user id, room id, alias or event id: everything after the first colon. `undefined` where there
 * is no colon, as in the room ids of room version 12. The name is not validated.
 * Source: appendices, "Common Identifier Format".
 */
export function serverNameOf(id: string): string | undefined {
  const colon = id.indexOf(':');
  return colon === -1 ? undefined : id.slice(colon + 1);
}

/**
 * What stands between the sigil of an id and its first colon (or its end). Nothing is validated.
 * Source: appendices, "Common Identifier Format".
 */
export function localpartOf(id: string): string {
  const colon = id.indexOf(':');
  return id.slice(1, colon === -1 ? undefined : colon);
}

/**
 * Takes a user id apart, by the historical grammar that every server must accept: the localpart is any Unicode but `:`
 * and NUL, and may be empty. `undefined` if the text is no user id.
 * Source: appendices, "Historical User IDs".
 */
export function parseUserId(text: string): ParsedId | undefined {
  return parseWithDomain(text, '@');
}

/**
 * Whether a text is a user id, by the historical grammar of {@link parseUserId}.
 * Source: appendices, "Historical User IDs".
 */
export function isUserId(text: string): boolean {
  return parseUserId(text) !== undefined;
}

const NEW_USER_LOCALPART = /^[a-z0-9._=\-/+]+$/;

/** Whether a localpart may be given to a new user. Source: appendices, "User Identifiers". */
export function isNewUserLocalpart(localpart: string): boolean {
  return NEW_USER_LOCALPART.test(localpart);
}

/** Takes a room alias apart. `undefined` if the text is no alias. Source: appendices, "Room Aliases". */
export function parseRoomAlias(text: string): ParsedId | undefined {
  return parseWithDomain(text, '#');
}

/** Whether a text is a room alias. Source: appendices, "Room Aliases". */
export function isRoomAlias(text: string): boolean {
  return parseRoomAlias(text) !== undefined;
}

/** URL-safe unpadded base64 of a SHA-256 hash: the form of event ids and of room ids without a domain. */
const HASH_ID = /^[A-Za-z0-9_-]{43}$/;

/** Whether a text is a room id with a domain, as in room versions 1–11. Source: appendices, "Room IDs". */
export function isRoomIdWithDomain(text: string): boolean {
  return parseWithDomain(text, '!') !== undefined;
}

/**
 * Whether a text is a room id made from the hash of a create event, as in room version 12.
 * Source: rooms/v12, "Event format"; appendices, "Room IDs".
 */
export function isHashRoomId(text: string): boolean {
  return text.startsWith('!') && HASH_ID.test(text.slice(1));
}

/** Whether a text is a room id of either form. Source: appendices, "Room IDs". */
export function isRoomId(text: string): boolean {
  return isHashRoomId(text) || isRoomIdWithDomain(text);
}

/** Whether a text is an event id that a server chose, as in room versions 1 and 2. Source: rooms/v1, "Event IDs". */
export function isEventIdWithDomain(text: string): boolean {
  return parseWithDomain(text, '$') !== undefined;
}

/**
 * Whether a text could be an event id of any room version: the sigil, at least one more character, no NUL, at most 255
 * bytes. Events name others by such ids without vouching for them, so this is all that may be asked of a reference.
 * Source: appendices, "Event IDs".
 */
export function isEventId(text: string): boolean {
  return text.length > 1 && text.startsWith('$') && isLegalText(text) && fitsIdLength(text);
}

const KEY_ID = /^([a-z0-9_]+):([A-Za-z0-9_]+)$/;

/** A signing key id such as `ed25519:a_1`, taken apart. */
export interface KeyId {
  readonly algorithm: string;
  readonly version: string;
}

/** Takes a signing key id apart. `undefined` if the text is none. Source: server-server API, "Publishing Keys". */
export function parseKeyId(text: string): KeyId | undefined {
  const match = KEY_ID.exec(text);
  if (match === null || !fitsIdLength(text)) return undefined;
  return { algorithm: match[1] as string, version: match[2] as string };
}

/** Whether a text is a signing key id. Source: appendices, "Signing Details". */
export function isKeyId(text: string): boolean {
  return parseKeyId(text) !== undefined;
}

function parseWithDomain(text: string, sigil: '@' | '#' | '!' | '$'): ParsedId | undefined {
  if (!text.startsWith(sigil) || !fitsIdLength(text)) return undefined;
  const colon = text.indexOf(':');
  if (colon === -1) return undefined;
  const localpart = text.slice(1, colon);
  const serverName = text.slice(colon + 1);
  return isLegalText(localpart) && isServerName(serverName) ? { localpart, serverName } : undefined;
}

/** Any Unicode text without NUL and without halves of surrogate pairs. */
function isLegalText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
