/** Scoped tokens: `/_stele/admin/tokens`. */
import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint, type Requester } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { roleHas } from '#src/roles/capabilities.ts';
import { scopedTokenJson } from './role-json.ts';

type TokensContext = Pick<Context, 'roles' | 'scopedTokens'>;

/** `GET /_stele/admin/tokens`: one's own scoped tokens, and everybody's for who may see roles. */
export const listTokens = endpoint({
  method: 'GET',
  path: '/_stele/admin/tokens',
  auth: 'admin',
  may: 'tokens.write',
  rateLimit: 'none',
  audit: { action: 'token.list', isScopedInHandler: true },
  handler: ({ requester }, { roles, scopedTokens }: TokensContext) => {
    const seesAll = roles.standings(requester).some(({ role }) => roleHas(role, 'roles.read'));
    return { tokens: scopedTokens.list(seesAll ? undefined : requester.userId).map(scopedTokenJson) };
  },
});

/** `POST /_stele/admin/tokens`: makes a scoped token of a role that one has. */
export const createToken = endpoint({
  method: 'POST',
  path: '/_stele/admin/tokens',
  auth: 'admin',
  may: 'tokens.write',
  rateLimit: 'none',
  body: z.object({
    role: z.string(),
    rooms: z.array(z.string()).optional(),
    case_id: z.string().optional(),
    reason: z.string(),
    /** Milliseconds from now. */
    expires_in_ms: z.int(),
  }),
  audit: {
    action: 'token.create',
    isScopedInHandler: true,
    describe: ({ body, requester }) => {
      // A token that outlives its parent would outlive what was given for a while.
      if (isScoped(requester)) throw forbidden('A scoped token makes no other tokens.');
      return {
        target: { kind: 'user', id: requester.userId },
        after: { role: body.role, rooms: body.rooms, case_id: body.case_id, expires_in_ms: body.expires_in_ms },
      };
    },
  },
  handler: async ({ body, requester: { userId } }, { scopedTokens }: TokensContext) => {
    const { role, rooms, case_id: caseId, reason, expires_in_ms: lifetimeMs } = body;
    const issued = await scopedTokens.create({ userId, role, rooms, caseId, reason, lifetimeMs });
    return { token: issued.token, token_id: issued.tokenId, expires_ts: issued.expiresAtMs };
  },
});

/** `DELETE /_stele/admin/tokens/{tokenId}`: takes one's own scoped token back, and anybody's for who may give roles. */
export const revokeToken = endpoint({
  method: 'DELETE',
  path: '/_stele/admin/tokens/{tokenId}',
  auth: 'admin',
  may: 'tokens.write',
  rateLimit: 'none',
  audit: {
    action: 'token.revoke',
    isScopedInHandler: true,
    describe: ({ params, requester }, { roles, scopedTokens }: TokensContext) => {
      const token = scopedTokens.find(params.tokenId);
      const mayAll = roles.standings(requester).some(({ role }) => roleHas(role, 'roles.write'));
      if (token.userId !== requester.userId && !mayAll) throw forbidden('This is the token of somebody else.');
      return { target: { kind: 'token', id: token.tokenId }, before: scopedTokenJson(token) };
    },
  },
  handler: async ({ params, requester }, { scopedTokens }: TokensContext) => {
    await scopedTokens.revoke(params.tokenId, actorName(actorOf(requester)));
    return {};
  },
});

/** Whether somebody calls with a scoped token: it belongs to no device. */
function isScoped({ deviceId, standing }: Requester): boolean {
  return deviceId === undefined && standing !== undefined;
}
