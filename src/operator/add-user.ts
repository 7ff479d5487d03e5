import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** `POST /_stele/operator/users` on the operator's socket: makes an account, as `stele users add` asks. */
export const addUser = endpoint({
  method: 'POST',
  path: '/_stele/operator/users',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ username: z.string(), password: z.string(), admin: z.boolean() }),
  audit: {
    action: 'user.create',
    describe: ({ body: { username, admin } }, { accounts }: Pick<Context, 'accounts'>) => ({
      target: { kind: 'user', id: accounts.checkUsername(username) },
      after: { admin },
    }),
  },
  handler: async ({ body: { username, password, admin } }, { accounts }: Pick<Context, 'accounts'>) => {
    const { userId } = await accounts.register({ username, password, isAdmin: admin, device: undefined });
    return { user_id: userId };
  },
});
