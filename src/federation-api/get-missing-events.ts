import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { knownRoom } from '#src/federation/inbound/admission.ts';
import { HistoryReader } from '#src/federation/inbound/history.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** Most events of an answer, as other servers have it. */
const MAX_EVENTS = 20;
/** Events of an answer when the other server does not say. Source: the endpoint's specification. */
const DEFAULT_EVENTS = 10;

/**
 * `POST /_matrix/federation/v1/get_missing_events/{roomId}`: events between some that the other server has.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid
 */
export const getMissingEvents = endpoint({
  method: 'POST',
  path: '/_matrix/federation/v1/get_missing_events/{roomId}',
  auth: 'server',
  rateLimit: 'federation',
  body: z.object({
    earliest_events: z.array(z.string()).default([]),
    latest_events: z.array(z.string()).default([]),
    limit: z.int().min(0).default(DEFAULT_EVENTS),
    min_depth: z.int().default(0),
  }),
  handler: async ({ params, body, requester }, context: Pick<Context, 'log' | 'reader' | 'serverName'>) => {
    const room = knownRoom(context.reader, context.serverName, requester.origin, params.roomId);
    const history = new HistoryReader(context, room, requester.origin);
    const limit = Math.min(body.limit, MAX_EVENTS);
    return { events: await history.between(body.earliest_events, body.latest_events, limit, body.min_depth) };
  },
});
