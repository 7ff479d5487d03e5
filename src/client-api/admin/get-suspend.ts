import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetOfRestriction } from './target-user.ts';

/**
 * `GET /_matrix/client/v1/admin/suspend/{userId}`: whether an account is suspended.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1adminsuspenduserid
 */
export const getSuspend = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/admin/suspend/{userId}',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AdminContext) => ({
    suspended: targetOfRestriction(context, params.userId).isSuspended,
  }),
});
