import { z } from 'zod';
import { isVouchedFor } from '#src/accounts/shared-secret.ts';
import type { Config } from '#src/config/schema.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, MatrixError } from '#src/http/errors.ts';
import { tokenMembers } from './answers.ts';

/**
 * `POST /_synapse/admin/v1/register`: makes an account for whoever knows the server's shared secret, also where registration
 * is closed. The shape is Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/register_api.html
 */
export const sharedSecretRegister = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/register',
  auth: 'none',
  rateLimit: 'register',
  body: z.object({
    nonce: z.string(),
    username: z.string(),
    password: z.string(),
    mac: z.string(),
    admin: z.boolean().default(false),
    inhibit_login: z.boolean().default(false),
  }),
  handler: async (
    { body, ip },
    { accounts, config, audit, repeats }: Pick<Context, 'accounts' | 'config' | 'audit' | 'repeats'>,
  ) => {
    const secret = sharedSecret(config);
    const { nonce, username, password, admin: isAdmin } = body;
    if (!accounts.nonces.spend(nonce)) {
      throw new MatrixError('M_UNKNOWN', 'The nonce is not known, or not good any more.', { status: 400 });
    }
    if (!isVouchedFor({ nonce, username, password, isAdmin }, body.mac, secret)) {
      const refusal = forbidden('The mac is not the one of this account under the shared secret.');
      const entry = { actor: { kind: 'stranger' }, action: 'access.refuse', outcome: 'refused', ip } as const;
      await repeats.note({ ...entry, why: refusal.message }, 'shared secret');
      throw refusal;
    }
    const device = { deviceId: undefined, displayName: undefined, refreshes: false };
    const wished = accounts.checkUsername(username);
    await audit.record({
      actor: { kind: 'operator', name: 'shared secret' },
      action: 'user.create',
      target: { kind: 'user', id: wished },
      ip,
      after: { admin: isAdmin },
    });
    const { userId, session } = await accounts.register({
      username,
      password,
      isAdmin,
      device: body.inhibit_login ? undefined : device,
    });
    const account = { user_id: userId, home_server: config.server_name };
    return session === undefined ? account : { ...account, device_id: session.deviceId, ...tokenMembers(session) };
  },
});

/** The shared secret. Throws `M_UNKNOWN` (400) where there is none. */
export function sharedSecret({ registration }: Pick<Config, 'registration'>): string {
  if (registration.shared_secret !== null) return registration.shared_secret;
  throw new MatrixError('M_UNKNOWN', 'Registration with a shared secret is not enabled on this server.', {
    status: 400,
  });
}
