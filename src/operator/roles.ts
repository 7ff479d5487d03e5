/** Roles and scoped tokens on the operator's socket, as `stele roles` and `stele tokens` ask. */
import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { grantJson, scopedTokenJson } from '#src/client-api/admin/roles/role-json.ts';
import { userIdSchema } from '#src/client-api/schemas.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { operatorOf } from './operator-guard.ts';

type RolesContext = Pick<Context, 'roles' | 'scopedTokens' | 'clock'>;

const limits = {
  user_id: userIdSchema,
  role: z.string(),
  rooms: z.array(z.string()).optional(),
  case_id: z.string().optional(),
  reason: z.string(),
};
const idBody = z.object({ id: z.string(), reason: z.string().optional() });

/** `POST /_stele/operator/roles/list` */
export const operatorListRoles = endpoint({
  method: 'POST',
  path: '/_stele/operator/roles/list',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({}),
  audit: { action: 'role.list' },
  handler: (_request, { roles }: RolesContext) => ({ grants: roles.list().map(grantJson) }),
});

/** `POST /_stele/operator/roles/grant` */
export const operatorGrantRole = endpoint({
  method: 'POST',
  path: '/_stele/operator/roles/grant',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ ...limits, expires_in_ms: z.int().min(1).optional() }),
  audit: {
    action: 'role.grant',
    describe: ({ body: { user_id: id, reason: _reason, ...after } }) => ({ target: { kind: 'user', id }, after }),
  },
  handler: async ({ body, header }, { roles, clock }: RolesContext) => {
    const { user_id: userId, role, rooms, case_id: caseId, reason, expires_in_ms: lifetimeMs } = body;
    const expiresAtMs = lifetimeMs === undefined ? undefined : clock() + lifetimeMs;
    const by = actorName(operatorOf(header));
    return { grant_id: await roles.grant({ userId, role, rooms, caseId, reason, expiresAtMs }, by) };
  },
});

/** `POST /_stele/operator/roles/revoke` */
export const operatorRevokeRole = endpoint({
  method: 'POST',
  path: '/_stele/operator/roles/revoke',
  auth: 'none',
  rateLimit: 'none',
  body: idBody,
  audit: {
    action: 'role.revoke',
    describe: ({ body: { id } }, { roles }: RolesContext) => {
      const grant = roles.find(id);
      return { target: { kind: 'user', id: grant.userId }, before: grantJson(grant) };
    },
  },
  handler: async ({ body: { id }, header }, { roles }: RolesContext) => {
    await roles.revoke(id, actorName(operatorOf(header)));
    return {};
  },
});

/** `POST /_stele/operator/roles/approve`: lets somebody open everything who asked for it. */
export const operatorApproveBreakGlass = endpoint({
  method: 'POST',
  path: '/_stele/operator/roles/approve',
  auth: 'none',
  rateLimit: 'none',
  body: idBody,
  audit: { action: 'break_glass.approve', describe: ({ body: { id } }) => ({ target: { kind: 'grant', id } }) },
  handler: async ({ body: { id }, header }, { roles }: RolesContext) => ({
    expires_ts: await roles.approveBreakGlass(id, actorName(operatorOf(header))),
  }),
});

/** `POST /_stele/operator/tokens/list` */
export const operatorListTokens = endpoint({
  method: 'POST',
  path: '/_stele/operator/tokens/list',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({}),
  audit: { action: 'token.list' },
  handler: (_request, { scopedTokens }: RolesContext) => ({ tokens: scopedTokens.list().map(scopedTokenJson) }),
});

/** `POST /_stele/operator/tokens/create`: a scoped token of a role that a user has. */
export const operatorCreateToken = endpoint({
  method: 'POST',
  path: '/_stele/operator/tokens/create',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ ...limits, expires_in_ms: z.int() }),
  audit: {
    action: 'token.create',
    describe: ({ body: { user_id: id, reason: _reason, ...after } }) => ({ target: { kind: 'user', id }, after }),
  },
  handler: async ({ body }, { scopedTokens }: RolesContext) => {
    const { user_id: userId, role, rooms, case_id: caseId, reason, expires_in_ms: lifetimeMs } = body;
    const issued = await scopedTokens.create({ userId, role, rooms, caseId, reason, lifetimeMs });
    return { token: issued.token, token_id: issued.tokenId, expires_ts: issued.expiresAtMs };
  },
});

/** `POST /_stele/operator/tokens/revoke` */
export const operatorRevokeToken = endpoint({
  method: 'POST',
  path: '/_stele/operator/tokens/revoke',
  auth: 'none',
  rateLimit: 'none',
  body: idBody,
  audit: {
    action: 'token.revoke',
    describe: ({ body: { id } }, { scopedTokens }: RolesContext) => ({
      target: { kind: 'token', id },
      before: scopedTokenJson(scopedTokens.find(id)),
    }),
  },
  handler: async ({ body: { id }, header }, { scopedTokens }: RolesContext) => {
    await scopedTokens.revoke(id, actorName(operatorOf(header)));
    return {};
  },
});

/** All of them. */
export const roleOperatorEndpoints = [
  operatorListRoles,
  operatorGrantRole,
  operatorRevokeRole,
  operatorApproveBreakGlass,
  operatorListTokens,
  operatorCreateToken,
  operatorRevokeToken,
] as const;
