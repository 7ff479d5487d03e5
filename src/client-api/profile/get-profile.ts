import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { anyProfile } from './readable-profile.ts';

/**
 * `GET /_matrix/client/v3/profile/{userId}`: all that a user says of themselves.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid
 */
export const getProfile = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/profile/{userId}',
  auth: 'none',
  rateLimit: 'read',
  handler: ({ params }, context: Pick<Context, 'reader' | 'serverName' | 'federation'>) =>
    anyProfile(context, params.userId),
});
