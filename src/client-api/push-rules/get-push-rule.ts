import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { storedRule } from './stored-rules.ts';

/**
 * `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: one push rule.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid
 */
export const getPushRule = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, context: Pick<Context, 'reader'>) =>
    storedRule(context, requester.userId, params.kind, params.ruleId),
});
