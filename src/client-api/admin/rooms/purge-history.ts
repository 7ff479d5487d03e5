/**
 * What was written in a room before a moment is destroyed. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/purge_history_api.html
 */
import { z } from 'zod';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import type { BackgroundTasks } from '#src/admin/background-tasks.ts';
import type { PurgeUpTo } from '#src/compliance/purge.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { badJson, notFound } from '#src/http/errors.ts';
import { roomOf } from '../rooms/room-of.ts';

const KIND = 'purge_history';

/** `POST /_synapse/admin/v1/purge_history/{roomId}/{eventId}`: answers at once with an id to ask by. */
export const purgeHistory = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/purge_history/{roomId}/{eventId}',
  aliases: ['/_synapse/admin/v1/purge_history/{roomId}'],
  auth: 'admin',
  may: 'rooms.write',
  rateLimit: 'none',
  body: z.object({
    delete_local_events: z.boolean().default(false),
    purge_up_to_event_id: z.string().optional(),
    purge_up_to_ts: z.int().optional(),
  }),
  audit: {
    action: 'room.purge_history',
    describe: ({ params, body }, context: Context) => {
      roomOf(context, params.roomId);
      return { after: upToOf(context, params.eventId, body) };
    },
  },
  handler: ({ params, body }, context: Context) => {
    const upTo = upToOf(context, params.eventId, body);
    const work = async () => ({ ...(await context.compliance.purges.history(params.roomId, upTo)) });
    return { purge_id: context.tasks.start(KIND, params.roomId, work) };
  },
});

/** `GET /_synapse/admin/v1/purge_history_status/{purgeId}`: of purges since the server was started. */
export const purgeHistoryStatus = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/purge_history_status/{purgeId}',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'task.read' },
  rateLimit: 'none',
  handler: ({ params }, { tasks }: { readonly tasks: BackgroundTasks }) => {
    const task = tasks.get(params.purgeId);
    if (task?.kind !== KIND) throw notFound('There is no such purge since the server was started.');
    return { status: task.status, ...(task.error !== undefined && { error: task.error }) };
  },
});

function upToOf(
  { reader }: Pick<Context, 'reader'>,
  inPath: string,
  body: { readonly purge_up_to_event_id?: string | undefined; readonly purge_up_to_ts?: number | undefined },
): PurgeUpTo {
  const eventId = inPath || body.purge_up_to_event_id;
  if (eventId !== undefined) {
    if (positionOfEvent(reader, eventId) === undefined) throw notFound('There is no such event here.');
    return { eventId };
  }
  if (body.purge_up_to_ts === undefined) throw badJson('purge_up_to_event_id or purge_up_to_ts is needed.');
  return { beforeMs: body.purge_up_to_ts };
}
