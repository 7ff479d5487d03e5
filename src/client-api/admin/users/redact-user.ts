/**
 * Redacts what a user sent. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#redact-all-the-events-of-a-user
 */
import { z } from 'zod';
import { isUserId } from '#protocol/identifiers.ts';
import type { BackgroundTasks } from '#src/admin/background-tasks.ts';
import { redactUser as redactAll } from '#src/admin/redact-user.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';

const KIND = 'redact_user';
/** Events of one room that are redacted, when it is not said how many. */
const DEFAULT_LIMIT = 1_000;

/** `POST /_synapse/admin/v1/user/{userId}/redact`: answers at once with an id to ask by. An empty list of rooms means all of them. */
export const redactUser = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/user/{userId}/redact',
  auth: 'admin',
  may: 'content.redact',
  rateLimit: 'none',
  body: z.object({
    rooms: z.array(z.string()).default([]),
    reason: z.string().optional(),
    limit: z.int().positive().default(DEFAULT_LIMIT),
    use_admin: z.boolean().default(false),
    after_ts: z.int().optional(),
    before_ts: z.int().optional(),
  }),
  audit: {
    action: 'user.redact',
    describe: ({ params, body }) => {
      if (!isUserId(params.userId)) throw invalidParam('This is no user id.');
      return { after: body };
    },
  },
  handler: ({ params, body, requester }, context: Context) => {
    const { userId } = params;
    const by = body.use_admin ? requester.userId : undefined;
    const wanted = {
      userId,
      rooms: body.rooms,
      reason: body.reason,
      sent: { fromMs: body.after_ts, toMs: body.before_ts },
      limit: body.limit,
      by,
      fallback: requester.userId,
    };
    return { redact_id: context.tasks.start(KIND, userId, () => redactAll(context, wanted)) };
  },
});

/** `GET /_synapse/admin/v1/user/redact_status/{redactId}`: of redactions since the server was started. */
export const redactUserStatus = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/user/redact_status/{redactId}',
  auth: 'admin',
  may: 'content.redact',
  audit: { action: 'task.read' },
  rateLimit: 'none',
  handler: ({ params }, { tasks }: { readonly tasks: BackgroundTasks }) => {
    const task = tasks.get(params.redactId);
    if (task?.kind !== KIND) throw notFound('There is no such redaction since the server was started.');
    return { status: task.status, failed_redactions: task.result['failed_redactions'] ?? {} };
  },
});
