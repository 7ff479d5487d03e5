/**
 * How much one user may send, where it is not as much as everybody. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#override-ratelimiting-for-users
 */
import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetUser } from './target-user.ts';

const PATH = '/_synapse/admin/v1/users/{userId}/override_ratelimit';
/** More at once is no limit any more; 0 is the way to say that. */
const MAX_VALUE = 1_000_000;

/** `GET …/override_ratelimit`: what is set; an empty object for nothing. */
export const getRateLimitOverride = endpoint({
  method: 'GET',
  path: PATH,
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AdminContext) => {
    const { allowance } = targetUser(context, params.userId);
    return allowance === null ? {} : { messages_per_second: allowance.perSecond, burst_count: allowance.burst };
  },
});

/** `POST …/override_ratelimit`: sets it; `messages_per_second` 0 takes all limits away. */
export const postRateLimitOverride = endpoint({
  method: 'POST',
  path: PATH,
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({
    messages_per_second: z.int().min(0).max(MAX_VALUE).default(0),
    burst_count: z.int().min(0).max(MAX_VALUE).default(0),
  }),
  audit: {
    action: 'user.rate_limit',
    describe: ({ params, body }, context: AdminContext) => ({
      before: targetUser(context, params.userId).allowance,
      after: body,
    }),
  },
  handler: async ({ params, body }, context: AdminContext) => {
    const { messages_per_second: perSecond, burst_count: burst } = body;
    // A bucket that holds no request would let none through.
    await context.accounts.moderation.setAllowance(params.userId, { perSecond, burst: Math.max(burst, 1) });
    return { messages_per_second: perSecond, burst_count: burst };
  },
});

/** `DELETE …/override_ratelimit`: the user may send as much as everybody again. */
export const deleteRateLimitOverride = endpoint({
  method: 'DELETE',
  path: PATH,
  auth: 'admin',
  may: 'users.write',
  audit: {
    action: 'user.rate_limit',
    describe: ({ params }, context: AdminContext) => ({
      before: targetUser(context, params.userId).allowance,
      after: null,
    }),
  },
  rateLimit: 'none',
  handler: async ({ params }, context: AdminContext) => {
    await context.accounts.moderation.setAllowance(params.userId, null);
    return {};
  },
});
