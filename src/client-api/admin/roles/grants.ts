/** Who has which role: `/_stele/admin/roles`. */
import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { CAPABILITIES, ROLES } from '#src/roles/capabilities.ts';
import { userIdSchema } from '../../schemas.ts';
import { grantJson } from './role-json.ts';

type RolesContext = Pick<Context, 'roles' | 'clock'>;

/** `GET /_stele/admin/roles`: who has which role, and what the roles are. */
export const listRoles = endpoint({
  method: 'GET',
  path: '/_stele/admin/roles',
  auth: 'admin',
  may: 'roles.read',
  rateLimit: 'none',
  audit: { action: 'role.list' },
  handler: (_request, { roles }: RolesContext) => ({
    grants: roles.list().map(grantJson),
    roles: ROLES,
    capabilities: CAPABILITIES,
  }),
});

/** `POST /_stele/admin/roles`: gives somebody a role. */
export const grantRole = endpoint({
  method: 'POST',
  path: '/_stele/admin/roles',
  auth: 'admin',
  may: 'roles.write',
  rateLimit: 'none',
  body: z.object({
    user_id: userIdSchema,
    role: z.string(),
    rooms: z.array(z.string()).optional(),
    case_id: z.string().optional(),
    reason: z.string(),
    /** Milliseconds from now; without it until it is taken back. */
    expires_in_ms: z.int().min(1).optional(),
  }),
  audit: {
    action: 'role.grant',
    describe: ({ body }) => ({
      target: { kind: 'user', id: body.user_id },
      after: { role: body.role, rooms: body.rooms, case_id: body.case_id, expires_in_ms: body.expires_in_ms },
    }),
  },
  handler: async ({ body, requester }, { roles, clock }: RolesContext) => {
    const grantId = await roles.grant(
      {
        userId: body.user_id,
        role: body.role,
        rooms: body.rooms,
        caseId: body.case_id,
        reason: body.reason,
        expiresAtMs: body.expires_in_ms === undefined ? undefined : clock() + body.expires_in_ms,
      },
      actorName(actorOf(requester)),
    );
    return { grant_id: grantId };
  },
});

/** `DELETE /_stele/admin/roles/{grantId}`: takes a role back. */
export const revokeRole = endpoint({
  method: 'DELETE',
  path: '/_stele/admin/roles/{grantId}',
  auth: 'admin',
  may: 'roles.write',
  rateLimit: 'none',
  audit: {
    action: 'role.revoke',
    describe: ({ params }, { roles }: RolesContext) => {
      const grant = roles.find(params.grantId);
      return { target: { kind: 'user', id: grant.userId }, before: grantJson(grant) };
    },
  },
  handler: async ({ params, requester }, { roles }: RolesContext) => {
    await roles.revoke(params.grantId, actorName(actorOf(requester)));
    return {};
  },
});

/** `GET /_stele/admin/break_glass`: what was asked for by those who want everything opened. */
export const listBreakGlass = endpoint({
  method: 'GET',
  path: '/_stele/admin/break_glass',
  auth: 'admin',
  may: 'roles.read',
  rateLimit: 'none',
  audit: { action: 'role.list' },
  handler: (_request, { roles }: RolesContext) => ({
    requests: roles.breakGlassRequests().map((request) => ({
      grant_id: request.grantId,
      user_id: request.userId,
      reason: request.reason,
      case_id: request.caseId,
      duration_ms: request.durationMs,
      requested_ts: request.requestedAtMs,
      approved_by: request.approvedBy,
    })),
  }),
});

/** `POST /_stele/admin/break_glass`: asks for everything to be opened for a while. */
export const requestBreakGlass = endpoint({
  method: 'POST',
  path: '/_stele/admin/break_glass',
  auth: 'admin',
  may: 'break_glass.request',
  rateLimit: 'none',
  body: z.object({ reason: z.string(), case_id: z.string(), duration_ms: z.int() }),
  audit: {
    action: 'break_glass.request',
    describe: ({ body, requester }) => ({
      target: { kind: 'user', id: requester.userId },
      after: { duration_ms: body.duration_ms },
    }),
  },
  handler: async ({ body, requester: { userId } }, { roles }: RolesContext) => {
    const { reason, case_id: caseId, duration_ms: durationMs } = body;
    return { grant_id: await roles.requestBreakGlass({ userId, reason, caseId, durationMs }) };
  },
});

/** `POST /_stele/admin/break_glass/{grantId}/approve`: lets somebody else open everything, from now on. */
export const approveBreakGlass = endpoint({
  method: 'POST',
  path: '/_stele/admin/break_glass/{grantId}/approve',
  auth: 'admin',
  may: 'break_glass.approve',
  rateLimit: 'none',
  body: z.object({}),
  audit: {
    action: 'break_glass.approve',
    describe: ({ params }) => ({ target: { kind: 'grant', id: params.grantId } }),
  },
  handler: async ({ params, requester }, { roles }: RolesContext) => ({
    expires_ts: await roles.approveBreakGlass(params.grantId, actorName(actorOf(requester))),
  }),
});
