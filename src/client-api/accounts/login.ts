import { z } from 'zod';
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
  handler: async ({ body }, { accounts }: Pick<Context, 'accounts'>) => {
    if (body.type !== 'm.login.password') {
      throw new MatrixError('M_UNKNOWN', 'This login type is not supported. GET /login lists those that are.', {
        status: 400,
      });
    }
    const user = namedUser(body);
    if (body.password === undefined) throw missingParam('password');
    if (user === undefined) throw forbidden('No account here has this address.');
    const { userId, session } = await accounts.login(user, body.password, {
      deviceId: body.device_id,
      displayName: body.initial_device_display_name,
      refreshes: body.refresh_token,
    });
    return { user_id: userId, device_id: session.deviceId, ...tokenMembers(session) };
  },
});
