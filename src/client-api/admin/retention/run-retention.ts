import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** The kind of its background task. */
export const RETENTION_RUN = 'retention_run';

/**
 * `POST /_stele/admin/retention/run`: begins to destroy what is due, and answers with the id of the task. What became of it is at
 * `GET /_stele/admin/retention/tasks/{taskId}`.
 */
export const runRetention = endpoint({
  method: 'POST',
  path: '/_stele/admin/retention/run',
  auth: 'admin',
  may: 'retention.write',
  rateLimit: 'none',
  body: z.object({}),
  audit: { action: 'retention.run' },
  handler: (_request, { compliance: { retention }, tasks }: Pick<Context, 'compliance' | 'tasks'>) => ({
    task_id: tasks.start(RETENTION_RUN, 'retention', async () => {
      const { sections, media } = await retention.run();
      return { sections, media };
    }),
  }),
});
