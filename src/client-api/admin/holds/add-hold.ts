import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { caseIdSchema, reasonSchema } from '../grounds.ts';
import { holdScopeOf, holdScopeSchema } from './hold-json.ts';

/** `POST /_stele/admin/holds`: sets a legal hold, which stands once this is answered. Its subjects are told nothing. */
export const addHold = endpoint({
  method: 'POST',
  path: '/_stele/admin/holds',
  auth: 'admin',
  may: 'holds.write',
  rateLimit: 'none',
  body: z.object({ scope: holdScopeSchema, case_id: caseIdSchema, reason: reasonSchema }),
  audit: {
    action: 'hold.set',
    describe: ({ body }) => ({
      target: { kind: 'case', id: body.case_id },
      roomId: body.scope.room_id,
      caseId: body.case_id,
      after: body.scope,
    }),
  },
  handler: async ({ body, requester }, { compliance }: Pick<Context, 'compliance'>) => {
    const { scope, case_id: caseId, reason } = body;
    const by = actorName(actorOf(requester));
    return { hold_id: await compliance.holds.add({ scope: holdScopeOf(scope), caseId, reason, by }) };
  },
});
