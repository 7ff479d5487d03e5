import { isActiveUser } from '#projections/accounts/queries.ts';
import { fullProfileOf } from '#projections/profiles/queries.ts';
import { isUserId } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';

/**
 * The profile of a user of this server, for anybody.
 * @throws {MatrixError} `M_INVALID_PARAM` for what is no user id, `M_NOT_FOUND` for a user who has no account here.
 */
export function readableProfile({ reader }: Pick<Context, 'reader'>, userId: string): JsonObject {
  if (!isUserId(userId)) throw invalidParam('This is not a user id.');
  if (!isActiveUser(reader, userId)) throw notFound('There is no profile of this user.');
  return fullProfileOf(reader, userId);
}
