import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetOfRestriction } from './target-user.ts';

/**
 * `GET /_matrix/client/v1/admin/lock/{userId}`: whether an account is locked.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1adminlockuserid
 */
export const getLock = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/admin/lock/{userId}',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AdminContext) => ({
    locked: targetOfRestriction(context, params.userId).isLocked,
  }),
});
