/**
 * Whether what a user sends goes nowhere, without their being told. Instances of spam are for it; most else is better told openly.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#controlling-whether-a-user-is-shadow-banned
 */
import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetOfRestriction } from '../target-user.ts';

const PATH = '/_synapse/admin/v1/users/{userId}/shadow_ban';

/** `POST /_synapse/admin/v1/users/{userId}/shadow_ban`. */
export const shadowBan = change('POST', true);

/** `DELETE /_synapse/admin/v1/users/{userId}/shadow_ban`. */
export const liftShadowBan = change('DELETE', false);

function change(method: 'POST' | 'DELETE', isShadowBanned: boolean) {
  return endpoint({
    method,
    path: PATH,
    auth: 'admin',
    may: 'users.write',
    rateLimit: 'none',
    audit: {
      action: 'user.shadow_ban',
      describe: ({ params }, context: AdminContext) => ({
        before: { shadow_banned: targetOfRestriction(context, params.userId).isShadowBanned },
        after: { shadow_banned: isShadowBanned },
      }),
    },
    handler: async ({ params }, { accounts }: AdminContext) => {
      await accounts.moderation.setShadowBanned(params.userId, isShadowBanned);
      return {};
    },
  });
}
