/** Questions that others ask about accounts. */
import type { Reader } from '#projections/engine/reader.ts';
import { users } from './tables.ts';

/** The stream of a local user, deactivated or not; undefined if the server has no such user. */
export function streamOfUser(reader: Reader, userId: string): string | undefined {
  return reader.get(users, [userId])?.stream;
}

/** Whether this server has such a user, and the account is not closed. */
export function isActiveUser(reader: Reader, userId: string): boolean {
  return reader.get(users, [userId])?.isDeactivated === false;
}
