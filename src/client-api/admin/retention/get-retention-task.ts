import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { RETENTION_PLAN } from './plan-retention.ts';
import { RETENTION_RUN } from './run-retention.ts';

/** `GET /_stele/admin/retention/tasks/{taskId}`: a plan or a run of retention since the server was started, and what came of it. */
export const getRetentionTask = endpoint({
  method: 'GET',
  path: '/_stele/admin/retention/tasks/{taskId}',
  auth: 'admin',
  may: 'retention.read',
  rateLimit: 'none',
  audit: { action: 'policy.read', describe: ({ params }) => ({ after: { task: params.taskId } }) },
  handler: ({ params }, { tasks }: Pick<Context, 'tasks'>) => {
    const task = tasks.get(params.taskId);
    if (task === undefined || (task.kind !== RETENTION_PLAN && task.kind !== RETENTION_RUN)) {
      throw notFound('There is no such plan or run since the server was started.');
    }
    const { status, kind, result, error } = task;
    return { status, kind, ...(status === 'complete' && { result }), ...(error !== undefined && { error }) };
  },
});
