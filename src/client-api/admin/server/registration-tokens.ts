/**
 * Tokens that let people register. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/usage/administration/admin_api/registration_tokens.html
 */
import { z } from 'zod';
import type { RegistrationToken } from '#src/accounts/registration-tokens.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { queryFlag } from '#src/http/query.ts';

const LIST = '/_synapse/admin/v1/registration_tokens';
const ONE = '/_synapse/admin/v1/registration_tokens/{token}';
type TokensContext = Pick<Context, 'accounts'>;

const bounds = { uses_allowed: z.int().nullable().optional(), expiry_time: z.int().nullable().optional() };

/** `GET …/registration_tokens`: all, or with `valid` those that are good, or are not. */
export const listRegistrationTokens = endpoint({
  method: 'GET',
  path: LIST,
  auth: 'admin',
  may: 'registration.read',
  audit: { action: 'registration_token.list' },
  rateLimit: 'none',
  query: z.object({ valid: queryFlag().optional() }),
  handler: ({ query }, { accounts }: TokensContext) => ({
    registration_tokens: accounts.registrationTokens
      .list()
      .filter(({ isValid }) => query.valid === undefined || query.valid === isValid)
      .map(tokenJson),
  }),
});

/** `GET …/registration_tokens/{token}`. */
export const getRegistrationToken = endpoint({
  method: 'GET',
  path: ONE,
  auth: 'admin',
  may: 'registration.read',
  audit: { action: 'registration_token.list' },
  rateLimit: 'none',
  handler: ({ params }, context: TokensContext) => tokenJson(tokenOf(context, params.token)),
});

/** `POST …/registration_tokens/new`: with the token that is asked for, or one that is made up. */
export const newRegistrationToken = endpoint({
  method: 'POST',
  path: `${LIST}/new`,
  auth: 'admin',
  may: 'registration.write',
  rateLimit: 'none',
  body: z.object({ token: z.string().optional(), ...bounds }),
  audit: {
    action: 'registration_token.create',
    describe: ({ body: { uses_allowed, expiry_time } }) => ({ after: { uses_allowed, expiry_time } }),
  },
  handler: async ({ body }, context: TokensContext) => {
    const token = await context.accounts.registrationTokens.create({
      token: body.token,
      usesAllowed: body.uses_allowed ?? undefined,
      expiresAtMs: body.expiry_time ?? undefined,
    });
    return tokenJson(tokenOf(context, token));
  },
});

/** `PUT …/registration_tokens/{token}`. */
export const putRegistrationToken = endpoint({
  method: 'PUT',
  path: ONE,
  auth: 'admin',
  may: 'registration.write',
  rateLimit: 'none',
  body: z.object(bounds),
  audit: {
    action: 'registration_token.modify',
    describe: ({ params, body }, context: TokensContext) => {
      const { usesAllowed, expiresAtMs } = tokenOf(context, params.token);
      return { before: { uses_allowed: usesAllowed, expiry_time: expiresAtMs }, after: body };
    },
  },
  handler: async ({ params, body }, context: TokensContext) => {
    const change = { usesAllowed: body.uses_allowed, expiresAtMs: body.expiry_time };
    await context.accounts.registrationTokens.change(params.token, change);
    return tokenJson(tokenOf(context, params.token));
  },
});

/** `DELETE …/registration_tokens/{token}`. */
export const deleteRegistrationToken = endpoint({
  method: 'DELETE',
  path: ONE,
  auth: 'admin',
  may: 'registration.write',
  rateLimit: 'none',
  audit: { action: 'registration_token.modify', describe: () => ({ after: null }) },
  handler: async ({ params }, { accounts }: TokensContext) => {
    await accounts.registrationTokens.remove(params.token);
    return {};
  },
});

function tokenOf({ accounts }: TokensContext, token: string): RegistrationToken {
  const found = accounts.registrationTokens.find(token);
  if (found === undefined) throw notFound('There is no such registration token.');
  return found;
}

function tokenJson({ token, usesAllowed, pending, completed, expiresAtMs }: RegistrationToken): object {
  return { token, uses_allowed: usesAllowed, pending, completed, expiry_time: expiresAtMs };
}
