/** What fields a profile can have. https://spec.matrix.org/v1.19/client-server-api/#profiles */
import type { JsonValue } from '#protocol/pdu.ts';
import { badJson, invalidParam, MatrixError } from '#src/http/errors.ts';

/** Largest profile, as JSON in UTF-8: it has to be under 64 KiB. */
export const MAX_PROFILE_BYTES = 64 * 1024 - 1;
/** Longest name of a field, in bytes. */
export const MAX_FIELD_NAME_BYTES = 255;
/** Longest display name, in UTF-16 code units: it goes into a member event of every room. */
export const MAX_DISPLAYNAME_LENGTH = 256;
/** Longest avatar URL, for the same reason. */
export const MAX_AVATAR_URL_LENGTH = 1000;
/** Longest time zone: the names of the IANA database are shorter. */
const MAX_TIME_ZONE_LENGTH = 255;

/** The Common Namespaced Identifier Grammar, with a namespace. */
const CUSTOM_FIELD = /^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$/;

/** The texts that the specification defines, with the longest that each may be. */
const TEXT_FIELDS: ReadonlyMap<string, number> = new Map([
  ['displayname', MAX_DISPLAYNAME_LENGTH],
  ['avatar_url', MAX_AVATAR_URL_LENGTH],
  ['m.tz', MAX_TIME_ZONE_LENGTH],
]);

/** The fields that go into the user's member events. */
const MEMBER_FIELDS: ReadonlySet<string> = new Set(['displayname', 'avatar_url']);

/** Whether a change of the field changes the user's member events. */
export function isMemberField(field: string): boolean {
  return MEMBER_FIELDS.has(field);
}

/**
 * Guests have a display name and no other field. Source: client-server API, "Guest Access".
 * @throws {MatrixError} `M_GUEST_ACCESS_FORBIDDEN`
 */
export function checkFieldOfGuest({ isGuest }: { readonly isGuest: boolean }, field: string): void {
  if (isGuest && field !== 'displayname') throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN');
}

/** @throws {MatrixError} `M_KEY_TOO_LARGE` or `M_INVALID_PARAM` for what cannot be the name of a field. */
export function checkFieldName(field: string): void {
  if (Buffer.byteLength(field) > MAX_FIELD_NAME_BYTES) {
    throw new MatrixError('M_KEY_TOO_LARGE', `The name of a profile field has at most ${MAX_FIELD_NAME_BYTES} bytes.`);
  }
  if (!TEXT_FIELDS.has(field) && !CUSTOM_FIELD.test(field)) {
    throw invalidParam('A profile field is displayname, avatar_url, m.tz, or named like org.example.field.');
  }
}

/**
 * What is to be stored for a value from a client; undefined where it means to remove the field: clients of old empty the
 * display name and the avatar instead of deleting them.
 *
 * @throws {MatrixError} `M_BAD_JSON` or `M_INVALID_PARAM` for a value that the field cannot have.
 */
export function valueToStore(field: string, value: JsonValue): JsonValue | undefined {
  const maxLength = TEXT_FIELDS.get(field);
  if (maxLength === undefined) return value;
  if (isMemberField(field) && (value === '' || value === null)) return undefined;
  if (typeof value !== 'string') throw badJson(`${field} has to be a string.`);
  if (value.length > maxLength) throw invalidParam(`${field} may have at most ${maxLength} characters.`);
  return value;
}
