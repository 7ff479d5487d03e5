import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryInteger, queryText } from '#src/http/query.ts';

/**
 * `GET /_synapse/admin/v1/scheduled_tasks`: what administrators started since the server did: removals of rooms, purges, redactions, rebuilding.
 * https://element-hq.github.io/synapse/latest/admin_api/scheduled_tasks.html
 */
export const scheduledTasks = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/scheduled_tasks',
  auth: 'admin',
  may: 'server.read',
  audit: { action: 'task.read' },
  rateLimit: 'none',
  query: z.object({
    action_name: queryText().optional(),
    resource_id: queryText().optional(),
    status: queryChoice(['scheduled', 'active', 'complete', 'cancelled', 'failed']).optional(),
    max_timestamp: queryInteger().optional(),
  }),
  handler: ({ query }, { tasks }: Pick<Context, 'tasks'>) => ({
    scheduled_tasks: tasks
      .all()
      .filter(
        ({ kind, subject, status, changedAtMs }) =>
          (query.action_name === undefined || query.action_name === kind) &&
          (query.resource_id === undefined || query.resource_id === subject) &&
          (query.status === undefined || query.status === status) &&
          (query.max_timestamp === undefined || changedAtMs < query.max_timestamp),
      )
      .map(({ id, kind, subject, status, changedAtMs, result, error }) => ({
        id,
        action: kind,
        status,
        timestamp_ms: changedAtMs,
        resource_id: subject,
        result,
        error: error ?? null,
      })),
  }),
});
