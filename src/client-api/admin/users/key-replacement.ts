import { crossSigningKeyJson } from '#projections/encryption/key-queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { type AdminContext, targetUser } from '../target-user.ts';

/** For how long it is allowed. */
export const REPLACEMENT_PERIOD_MS = 10 * 60 * 1000;

/**
 * `POST /_synapse/admin/v1/users/{userId}/_allow_cross_signing_replacement_without_uia`: lets a user replace their cross-signing keys
 * without confirming it, for ten minutes.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#allow-replacing-master-cross-signing-key-without-user-interactive-auth
 */
export const allowKeyReplacement = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/users/{userId}/_allow_cross_signing_replacement_without_uia',
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  audit: {
    action: 'user.key_replacement',
    describe: ({ params }, context: AdminContext & Pick<Context, 'reader'>) => {
      targetUser(context, params.userId);
      if (crossSigningKeyJson(context.reader, params.userId, 'master') === undefined) {
        throw notFound('The user has no cross-signing keys.');
      }
      return { after: { period_ms: REPLACEMENT_PERIOD_MS } };
    },
  },
  handler: async ({ params }, { accounts, clock }: AdminContext & Pick<Context, 'clock'>) => {
    const untilMs = clock() + REPLACEMENT_PERIOD_MS;
    await accounts.moderation.allowKeyReplacement(params.userId, untilMs);
    return { updatable_without_uia_before_ms: untilMs };
  },
});
