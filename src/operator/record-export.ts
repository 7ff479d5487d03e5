import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

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
  }),
  handler: async ({ body }, { audit }: Pick<Context, 'audit'>) => {
    const auditId = await audit.record({
      actor: { kind: 'operator', name: body.operator },
      action: 'export.make',
      target: { kind: 'case', id: body.case_id },
      caseId: body.case_id,
      reason: body.reason,
      after: { query: body.query, folder: body.folder },
    });
    return { audit_id: auditId };
  },
});
