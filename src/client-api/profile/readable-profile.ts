import { isActiveUser } from '#projections/accounts/queries.ts';
import { fullProfileOf } from '#projections/profiles/queries.ts';
import { isUserId, serverNameOf } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { remoteProfile } from '#src/federation/remote-queries.ts';
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

/**
 * The profile of any user, or as much of it as one field: that of a user of another server is asked for there.
 * @throws {MatrixError} as {@link readableProfile}.
 * @throws {FederationError} where the other server does not answer.
 */
export async function anyProfile(
  context: Pick<Context, 'reader' | 'serverName' | 'federation'>,
  userId: string,
  field?: string,
): Promise<JsonObject> {
  const isRemote = isUserId(userId) && serverNameOf(userId) !== context.serverName;
  return isRemote ? remoteProfile(context.federation.client, userId, field) : readableProfile(context, userId);
}
