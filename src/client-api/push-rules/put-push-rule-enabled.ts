import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { withEnabled } from '#src/push/user-rules.ts';
import type { UserStreamContext } from '../user-stream.ts';
import { changeRules, requireKind } from './stored-rules.ts';

/**
 * `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`: turns a push rule on or off.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled
 */
export const putPushRuleEnabled = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({ enabled: z.boolean() }),
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    const kind = requireKind(params.kind);
    await changeRules(context, requester.userId, (changes) => withEnabled(changes, kind, params.ruleId, body.enabled));
    return {};
  },
});
