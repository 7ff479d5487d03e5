import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** Rooms of one request; more come in further ones. */
export const MAX_ROOMS = 1_000;

/**
 * `POST /_stele/operator/exports` on the operator's socket: puts on record that an export is about to be made, as
 * `stele export case` asks before it reads anything. It answers once that is durable.
 */
export const recordExport = endpoint({
  method: 'POST',
  path: '/_stele/operator/exports',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({
    case_id: z.string().min(1),
    reason: z.string().min(1),
    operator: z.string(),
    query: z.record(z.string(), z.unknown()),
    folder: z.string(),
    /** The rooms of which something may be in it: each gets an entry, which says who read that room. */
    room_ids: z.array(z.string()).max(MAX_ROOMS).default([]),
  }),
  handler: async ({ body }, { audit }: Pick<Context, 'audit'>) => {
    const actor = { kind: 'operator', name: body.operator } as const;
    const auditId = await audit.record({
      actor,
      action: 'export.make',
      target: { kind: 'case', id: body.case_id },
      caseId: body.case_id,
      reason: body.reason,
      after: { query: body.query, folder: body.folder },
    });
    const ofRoom = { actor, action: 'export.make', caseId: body.case_id, reason: body.reason } as const;
    await Promise.all(body.room_ids.map((id) => audit.record({ ...ofRoom, target: { kind: 'room', id }, roomId: id })));
    return { audit_id: auditId };
  },
});
