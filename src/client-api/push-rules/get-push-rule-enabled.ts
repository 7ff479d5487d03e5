import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { storedRule } from './stored-rules.ts';

/**
 * `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`: whether a push rule is on.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled
 */
export const getPushRuleEnabled = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, context: Pick<Context, 'reader'>) => ({
    enabled: storedRule(context, requester.userId, params.kind, params.ruleId).enabled,
  }),
});
