import { z } from 'zod';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { type ClosingContext, closeForEver } from './close.ts';
import { authSchema, type ConfirmingContext, confirmedByPassword } from './interactive.ts';

/**
 * `POST /_matrix/client/v3/account/deactivate`: closes the account for ever.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
 */
export const deactivate = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/deactivate',
  auth: 'optional',
  rateLimit: 'login',
  body: z.object({ auth: authSchema, id_server: z.string().optional(), erase: z.boolean().default(false) }),
  handler: ({ body, requester, ip }, context: ClosingContext & ConfirmingContext & Pick<Context, 'audit'>) => {
    const { audit } = context;
    const operation = 'POST /_matrix/client/v3/account/deactivate';
    return confirmedByPassword(context, { operation, body, requester, ip }, async (userId) => {
      await audit.record({
        actor: requester === undefined ? { kind: 'user', userId } : actorOf(requester),
        action: 'user.deactivate',
        target: { kind: 'user', id: userId },
        ip,
        after: { erase: body.erase },
      });
      const result = await closeForEver(context, userId, { isErased: body.erase, idServer: body.id_server });
      return { id_server_unbind_result: result };
    });
  },
});
