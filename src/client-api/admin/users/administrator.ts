/**
 * Whether a user is a server administrator. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#get-whether-a-user-is-a-server-administrator-or-not
 */
import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { type AdminContext, targetUser } from '../target-user.ts';

const PATH = '/_synapse/admin/v1/users/{userId}/admin';

/** `GET …/admin`. */
export const getAdministrator = endpoint({
  method: 'GET',
  path: PATH,
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AdminContext) => ({ admin: targetUser(context, params.userId).isAdmin }),
});

/** `PUT …/admin`: nobody takes it from themselves, so that there always is one. */
export const putAdministrator = endpoint({
  method: 'PUT',
  path: PATH,
  auth: 'admin',
  may: 'roles.write',
  rateLimit: 'none',
  body: z.object({ admin: z.boolean() }),
  audit: {
    action: 'user.admin',
    describe: ({ params, body }, context: AdminContext) => ({
      before: { admin: targetUser(context, params.userId).isAdmin },
      after: body,
    }),
  },
  handler: async ({ params, body, requester }, { accounts }: AdminContext) => {
    if (requester.userId === params.userId && !body.admin) throw forbidden('You may not demote yourself.');
    await accounts.setAdmin(params.userId, body.admin);
    return {};
  },
});
