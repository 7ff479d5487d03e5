import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { storedRules } from './stored-rules.ts';

/**
 * `GET /_matrix/client/v3/pushrules/`: all push rules of the user.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules
 */
export const getPushRules = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester }, context: Pick<Context, 'reader'>) => ({ global: storedRules(context, requester.userId) }),
});
