import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { storedRules } from './stored-rules.ts';

/**
 * `GET /_matrix/client/v3/pushrules/global/`: the push rules of the user, by kind.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal
 */
export const getGlobalPushRules = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/global/',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester }, context: Pick<Context, 'reader'>) => storedRules(context, requester.userId),
});
