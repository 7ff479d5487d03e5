import { endpoint } from '#src/http/endpoint.ts';
import { withoutRule } from '#src/push/user-rules.ts';
import type { UserStreamContext } from '../user-stream.ts';
import { changeRules, requireKind } from './stored-rules.ts';

/**
 * `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: removes a push rule that the user made.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid
 */
export const deletePushRule = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}',
  auth: 'guest',
  rateLimit: 'write',
  handler: async ({ params, requester }, context: UserStreamContext) => {
    const kind = requireKind(params.kind);
    await changeRules(context, requester.userId, (changes) => withoutRule(changes, kind, params.ruleId));
    return {};
  },
});
