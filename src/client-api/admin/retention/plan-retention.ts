import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { planAnswer } from './retention-json.ts';

/** Most items that are named one by one: plans are remembered until the server stops. */
const MAX_NAMED_ITEMS = 100;

/** The kind of its background task. */
export const RETENTION_PLAN = 'retention_plan';

/**
 * `POST /_stele/admin/retention/plan`: begins to go through the log for what would go by `until_ts` (milliseconds since the epoch; default
 * now), and answers with the id of the task. Changes nothing. The plan is at `GET /_stele/admin/retention/tasks/{taskId}`.
 */
export const planRetention = endpoint({
  method: 'POST',
  path: '/_stele/admin/retention/plan',
  auth: 'admin',
  may: 'retention.read',
  rateLimit: 'none',
  body: z.object({
    until_ts: z.int().min(0).optional(),
    /** How many items are named one by one. */
    limit: z.int().min(0).max(MAX_NAMED_ITEMS).default(0),
  }),
  audit: {
    action: 'policy.read',
    describe: ({ body }) => ({ target: { kind: 'policy', id: 'retention' }, after: { plan: true, ...body } }),
  },
  handler: ({ body }, { compliance: { retention }, tasks, clock }: Pick<Context, 'compliance' | 'tasks' | 'clock'>) => {
    const wanted = { untilMs: body.until_ts ?? clock(), limit: body.limit };
    return { task_id: tasks.start(RETENTION_PLAN, 'retention', () => planAnswer(retention, wanted)) };
  },
});
