import type { UserRow } from '#projections/accounts/tables.ts';
import { isUserId, serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { forbidden, invalidParam, notFound } from '#src/http/errors.ts';

/** What the endpoints of server administrators need. */
export type AdminContext = Pick<Context, 'accounts' | 'serverName'>;

/**
 * The account of this server that an administrator asks about.
 * @throws {MatrixError} `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND` for one who is not there (any more).
 */
export function targetUser({ accounts, serverName }: AdminContext, userId: string): UserRow {
  if (!isUserId(userId) || serverNameOf(userId) !== serverName) {
    throw invalidParam('This is not a user of this server.');
  }
  const user = accounts.find(userId);
  if (user === undefined || user.isDeactivated) throw notFound('There is no such user here.');
  return user;
}

/**
 * The same for what changes or shows restrictions of the account, which administrators do not have.
 * @throws {MatrixError} also `M_FORBIDDEN` for an administrator's account.
 */
export function targetOfRestriction(context: AdminContext, userId: string): UserRow {
  const user = targetUser(context, userId);
  if (user.isAdmin) throw forbidden('Administrators can be neither suspended nor locked nor shadow-banned.');
  return user;
}
