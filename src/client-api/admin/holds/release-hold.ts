import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { holdById } from '#projections/compliance/queries.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { reasonSchema } from '../grounds.ts';
import { holdJson } from './hold-json.ts';

/**
 * `POST /_stele/admin/holds/{holdId}/release`: releases a hold; what waited for it goes on. With `compliance.hold_four_eyes` it takes
 * somebody else than who set it.
 */
export const releaseHold = endpoint({
  method: 'POST',
  path: '/_stele/admin/holds/{holdId}/release',
  auth: 'admin',
  may: 'holds.write',
  rateLimit: 'none',
  body: z.object({ reason: reasonSchema }),
  audit: {
    action: 'hold.release',
    describe: ({ params }, { reader }: Pick<Context, 'reader'>) => {
      const hold = holdById(reader, params.holdId);
      if (hold === undefined) throw notFound('There is no such hold.');
      return {
        target: { kind: 'hold', id: hold.id },
        roomId: hold.scope.roomId,
        caseId: hold.caseId,
        before: holdJson(hold),
      };
    },
  },
  handler: async ({ params, body: { reason }, requester }, { compliance }: Pick<Context, 'compliance'>) => {
    await compliance.holds.release(params.holdId, { by: actorName(actorOf(requester)), reason });
    return {};
  },
});
