import { z } from 'zod';
import type { AuditAction } from '#src/audit/actions.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { operatorOf } from './operator-guard.ts';

/** What a command may put on record that reads the data folder itself. */
const READS = [
  'room.read',
  'content.read',
  'content.visible_to',
  'hold.list',
] as const satisfies readonly AuditAction[];

/**
 * `POST /_stele/operator/audit/record` on the operator's socket: puts on record that a command is about to read the data folder by
 * itself. The command goes on only when it is answered.
 */
export const recordRead = endpoint({
  method: 'POST',
  path: '/_stele/operator/audit/record',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({
    action: z.enum(READS),
    target: z.object({ kind: z.enum(['room', 'event', 'hold']), id: z.string() }),
    /** The room that the target is in, or is. */
    room_id: z.string().optional(),
    reason: z.string().optional(),
    case_id: z.string().optional(),
    /** The verb and what it was asked, for the auditor. */
    after: z.record(z.string(), z.unknown()),
  }),
  handler: async ({ body, header }, { audit }: Pick<Context, 'audit'>) => {
    const { action, target, room_id: roomId, reason, case_id: caseId, after } = body;
    return { id: await audit.record({ actor: operatorOf(header), action, target, roomId, reason, caseId, after }) };
  },
});
