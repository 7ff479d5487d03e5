import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, invalidParam } from '#src/http/errors.ts';
import { standingOf } from '#src/http/guard.ts';
import { type AdminContext, targetUser } from '../target-user.ts';

type LogInContext = AdminContext & Pick<Context, 'clock'>;

/**
 * `POST /_synapse/admin/v1/users/{userId}/login`: an access token that acts as a user. It is that of a device of its own, which the
 * user sees among theirs: nobody is watched without a trace. What is done with it is on record as the administrator's: `LentUses`.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#login-as-a-user
 */
export const logInAs = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/users/{userId}/login',
  auth: 'admin',
  may: 'users.impersonate',
  rateLimit: 'none',
  body: z.object({ valid_until_ms: z.int().optional() }),
  audit: {
    action: 'user.login_as',
    describe: ({ params, body, requester }, context: LogInContext) => {
      targetUser(context, params.userId);
      if (requester.userId === params.userId) throw forbidden('You are this user already.');
      return { after: body };
    },
  },
  handler: async ({ params, body, requester }, { accounts, clock }: LogInContext) => {
    const { valid_until_ms: validUntilMs } = body;
    if (validUntilMs !== undefined && validUntilMs <= clock()) throw invalidParam('valid_until_ms has passed.');
    const { reason, caseId } = standingOf(requester);
    const lentTo = {
      userId: requester.userId,
      ...(reason !== undefined && { reason }),
      ...(caseId !== undefined && { caseId }),
    };
    const { accessToken } = await accounts.logInAs(params.userId, lentTo, validUntilMs);
    return { access_token: accessToken };
  },
});
