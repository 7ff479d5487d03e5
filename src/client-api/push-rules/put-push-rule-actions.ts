import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { withActions } from '#src/push/user-rules.ts';
import type { UserStreamContext } from '../user-stream.ts';
import { actionsSchema } from './actions.ts';
import { changeRules, requireKind } from './stored-rules.ts';

/**
 * `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`: changes what a push rule does.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions
 */
export const putPushRuleActions = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({ actions: actionsSchema }),
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    const kind = requireKind(params.kind);
    await changeRules(context, requester.userId, (changes) => withActions(changes, kind, params.ruleId, body.actions));
    return {};
  },
});
