/**
 * What the server does to its tables in the background. It keeps them by the log as it goes, so there is nothing to pause; only the search
 * index can be made anew while people write.
 * https://element-hq.github.io/synapse/latest/usage/administration/admin_api/background_updates.html
 */
import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';

const ENABLED = '/_synapse/admin/v1/background_updates/enabled';
/** How tasks of this kind are known in the list of tasks. */
const KIND = 'background_update';

/** What can be started; the names are Synapse's, but the last. The tables behind the first two are always up to date. */
const JOBS = ['populate_stats_process_rooms', 'regenerate_directory', 'rebuild_search_index'] as const;

/** `GET /_synapse/admin/v1/background_updates/enabled`: always. */
export const getUpdatesEnabled = endpoint({
  method: 'GET',
  path: ENABLED,
  auth: 'admin',
  may: 'server.read',
  audit: { action: 'task.read' },
  rateLimit: 'none',
  handler: () => ({ enabled: true }),
});

/** `POST /_synapse/admin/v1/background_updates/enabled`: refuses to pause. */
export const postUpdatesEnabled = endpoint({
  method: 'POST',
  path: ENABLED,
  auth: 'admin',
  may: 'server.write',
  rateLimit: 'none',
  body: z.object({ enabled: z.boolean() }),
  audit: { action: 'task.write', describe: ({ body }) => ({ after: body }) },
  handler: ({ body }) => {
    if (!body.enabled) throw invalidParam('This server keeps its tables as it goes; there is nothing to pause.');
    return { enabled: true };
  },
});

/** `GET /_synapse/admin/v1/background_updates/status`: what was started here and is not done. */
export const updatesStatus = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/background_updates/status',
  auth: 'admin',
  may: 'server.read',
  audit: { action: 'task.read' },
  rateLimit: 'none',
  handler: (_, { tasks, clock }: Pick<Context, 'tasks' | 'clock'>) => {
    const running = tasks.all().filter(({ kind, status }) => kind === KIND && status === 'active');
    return {
      enabled: true,
      current_updates: Object.fromEntries(
        running.map(({ subject, changedAtMs }) => [
          subject,
          {
            name: subject,
            total_item_count: 0,
            total_duration_ms: clock() - changedAtMs,
            average_items_per_ms: 0,
          },
        ]),
      ),
    };
  },
});

/** `POST /_synapse/admin/v1/background_updates/start_job`. */
export const startUpdateJob = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/background_updates/start_job',
  auth: 'admin',
  may: 'server.write',
  rateLimit: 'none',
  body: z.object({ job_name: z.string() }),
  audit: {
    action: 'task.write',
    describe: ({ body: { job_name } }) => {
      if (!JOBS.some((job) => job === job_name)) {
        throw invalidParam(`This server has no job ${job_name}; it has ${JOBS.join(', ')}.`);
      }
      return { after: { job_name } };
    },
  },
  handler: ({ body: { job_name } }, { tasks, search }: Pick<Context, 'tasks' | 'search'>) => {
    const isRunning = tasks.about(KIND, job_name).some(({ status }) => status === 'active');
    if (isRunning) throw invalidParam(`${job_name} is running already.`);
    if (job_name === 'rebuild_search_index') {
      tasks.start(KIND, job_name, async () => {
        await search.renew();
        return {};
      });
    }
    return {};
  },
});
