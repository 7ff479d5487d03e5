import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { knownRoom } from '#src/federation/inbound/admission.ts';
import { HistoryReader } from '#src/federation/inbound/history.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger, queryTexts } from '#src/http/query.ts';

/** Most events of an answer. */
const MAX_EVENTS = 100;

/**
 * `GET /_matrix/federation/v1/backfill/{roomId}`: events and those before them.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid
 */
export const backfill = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/backfill/{roomId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ v: queryTexts(), limit: queryInteger({ cap: MAX_EVENTS }) }),
  handler: async ({ params, query, requester }, context: Pick<Context, 'log' | 'reader' | 'serverName' | 'clock'>) => {
    const { reader, serverName, clock } = context;
    const room = knownRoom(reader, serverName, requester.origin, params.roomId);
    const history = new HistoryReader(context, room, requester.origin);
    const pdus = await history.backwards(query.v, query.limit);
    return { origin: serverName, origin_server_ts: clock(), pdus };
  },
});
