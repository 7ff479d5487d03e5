import { z } from 'zod';
import { notingRefusal } from '#src/audit/sign-ins.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, MatrixError, missingParam } from '#src/http/errors.ts';
import { tokenMembers } from './answers.ts';
import { namedUser, namedUserSchema } from './identifier.ts';

/**
 * `POST /_matrix/client/v3/login`: logs a device in, with a password.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login
 */
export const login = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/login',
  auth: 'none',
  rateLimit: 'login',
  body: namedUserSchema.extend({
    type: z.string(),
    password: z.string().optional(),
    device_id: z.string().optional(),
    initial_device_display_name: z.string().optional(),
    refresh_token: z.boolean().default(false),
  }),
  handler: async ({ body, ip }, context: Pick<Context, 'accounts' | 'audit' | 'repeats'>) => {
    const { accounts, audit } = context;
    if (body.type !== 'm.login.password') {
      throw new MatrixError('M_UNKNOWN', 'This login type is not supported. GET /login lists those that are.', {
        status: 400,
      });
    }
    const user = namedUser(body);
    if (body.password === undefined) throw missingParam('password');
    if (user === undefined) throw forbidden('No account here has this address.');
    const { password } = body;
    const device = {
      deviceId: body.device_id,
      displayName: body.initial_device_display_name,
      refreshes: body.refresh_token,
    };
    const operation = 'POST /_matrix/client/v3/login';
    const attempt = { named: user, userId: accounts.userIdOf(user), ip, operation };
    const { userId, session } = await notingRefusal(context, attempt, () => accounts.login(user, password, device));
    await audit.record({
      actor: { kind: 'user', userId, deviceId: session.deviceId },
      action: 'session.start',
      target: { kind: 'user', id: userId },
      ip,
      after: { device_id: session.deviceId, type: body.type },
    });
    return { user_id: userId, device_id: session.deviceId, ...tokenMembers(session) };
  },
});
