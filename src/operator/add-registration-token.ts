import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** `POST /_stele/operator/registration-tokens` on the operator's socket: makes a token, as `stele users token` asks. */
export const addRegistrationToken = endpoint({
  method: 'POST',
  path: '/_stele/operator/registration-tokens',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({
    token: z.string().optional(),
    uses_allowed: z.number().optional(),
    /** Milliseconds from now. */
    lifetime_ms: z.number().optional(),
  }),
  audit: {
    action: 'registration_token.create',
    describe: ({ body: { uses_allowed, lifetime_ms } }) => ({ after: { uses_allowed, lifetime_ms } }),
  },
  handler: async ({ body }, { accounts, clock }: Pick<Context, 'accounts' | 'clock'>) => {
    const token = await accounts.registrationTokens.create({
      token: body.token,
      usesAllowed: body.uses_allowed,
      expiresAtMs: body.lifetime_ms === undefined ? undefined : clock() + body.lifetime_ms,
    });
    return { token };
  },
});
