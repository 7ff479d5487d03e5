/** Questions that others ask about accounts. */
import type { Reader } from '#projections/engine/reader.ts';
import { erased, guests, users } from './tables.ts';

/** The stream of a local user, deactivated or not; undefined if the server has no such user. */
export function streamOfUser(reader: Reader, userId: string): string | undefined {
  return reader.get(users, [userId])?.stream;
}

/** Whether a user is a guest of this server. */
export function isGuestUser(reader: Reader, userId: string): boolean {
  return reader.has(guests, [userId]);
}

/** The guests of this server, in order. */
export function* guestUsers(reader: Reader): Generator<string> {
  for (const [userId] of reader.keys(guests)) yield userId;
}

/** Whether a user of this server closed the account and wished to be forgotten. */
export function isErasedUser(reader: Reader, userId: string): boolean {
  return reader.has(erased, [userId]);
}

/** Whether this server has any guest. */
export function hasGuests(reader: Reader): boolean {
  for (const _ of reader.keys(guests, { limit: 1 })) return true;
  return false;
}

/** Whether this server has such a user, and the account is not closed. */
export function isActiveUser(reader: Reader, userId: string): boolean {
  return reader.get(users, [userId])?.isDeactivated === false;
}
