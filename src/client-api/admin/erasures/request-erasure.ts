import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { userIdSchema } from '../../schemas.ts';
import { caseIdSchema, reasonSchema } from '../grounds.ts';

/**
 * `POST /_stele/admin/erasures`: has a user erased. Answers when the request is on record and begun; what became of it is at
 * `GET /_stele/admin/erasures/{erasureId}`. A request about the same user that is open already is given again.
 */
export const requestErasure = endpoint({
  method: 'POST',
  path: '/_stele/admin/erasures',
  auth: 'admin',
  may: 'erasures.write',
  rateLimit: 'none',
  body: z.object({
    user_id: userIdSchema,
    reason: reasonSchema,
    case_id: caseIdSchema.optional(),
    /** Whether other servers are asked to redact what was sent to them. */
    asks_peers: z.boolean().default(true),
  }),
  audit: {
    action: 'erasure.request',
    describe: ({ body }) => ({
      target: { kind: 'user', id: body.user_id },
      caseId: body.case_id,
      after: { asks_peers: body.asks_peers },
    }),
  },
  handler: async ({ body, requester }, { compliance: { erasures } }: Pick<Context, 'compliance'>) => {
    const id = await erasures.request({
      userId: body.user_id,
      by: actorName(actorOf(requester)),
      reason: body.reason,
      caseId: body.case_id ?? null,
      asksPeers: body.asks_peers,
    });
    erasures.begin(id);
    return { erasure_id: id };
  },
});
