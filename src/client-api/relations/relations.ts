import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryFlag, queryInteger, queryText } from '#src/http/query.ts';
import { clientEvent } from '#src/sync/client-event.ts';
import { currentLife } from '#src/sync/log-lives.ts';
import { formatPlace, parsePaginationToken } from '#src/sync/tokens.ts';
import { placeOf } from '../messages/page.ts';
import { eventViewFor, isIgnored, visibleEvent } from '../messages/visible-event.ts';
import { RECURSION_DEPTH, readRelations } from './relation-pages.ts';

/** Events of a page when the client does not say. */
const DEFAULT_LIMIT = 20;
/** Most events of a page. */
const MAX_LIMIT = 200;

/**
 * `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}[/{relType}[/{eventType}]]`: the events that relate to one.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid
 */
export const relations = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}',
  aliases: [
    '/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}',
    '/_matrix/client/v1/rooms/{roomId}/relations/{eventId}',
    // From before it was specified; clients of that time know no other.
    '/_matrix/client/unstable/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}',
    '/_matrix/client/unstable/rooms/{roomId}/relations/{eventId}/{relType}',
    '/_matrix/client/unstable/rooms/{roomId}/relations/{eventId}',
  ],
  auth: 'guest',
  // Source: the endpoint's specification, "deliberately does not support rate limiting".
  rateLimit: 'none',
  query: z.object({
    from: queryText().optional(),
    to: queryText().optional(),
    limit: queryInteger({ min: 1, cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    dir: queryChoice(['b', 'f']).default('b'),
    recurse: queryFlag().optional(),
    'org.matrix.msc3981.recurse': queryFlag().optional(),
  }),
  handler: ({ params, query, requester }, context: Context) => {
    const { reader } = context;
    const from = query.from ? parsePaginationToken(query.from) : undefined;
    const to = query.to ? parsePaginationToken(query.to) : undefined;
    const recurse = query.recurse ?? query['org.matrix.msc3981.recurse'];
    const found = visibleEvent(reader, params.roomId, params.eventId, requester.userId);
    const { room, event: parent, visibility, ignored } = found;
    const page = readRelations(reader, parent, {
      relType: params.relType || undefined,
      eventType: params.eventType || undefined,
      isRecursive: recurse === true,
      direction: query.dir,
      from: from && placeOf(reader, { room }, from),
      to: to && placeOf(reader, { room }, to),
      limit: query.limit,
      accepts: (event) => !isIgnored(ignored, event) && visibility.canSee(event),
    });
    const view = eventViewFor(context, requester, { ...found, roomId: room.roomId });
    let json = `{"chunk":[${page.events.map((event) => clientEvent(view, event)).join(',')}]`;
    if (page.next !== undefined) json += `,"next_batch":"${formatPlace(page.next, currentLife(reader))}"`;
    if (query.from) json += `,"prev_batch":${JSON.stringify(query.from)}`;
    if (recurse !== undefined) json += `,"recursion_depth":${RECURSION_DEPTH}`;
    return jsonTextAnswer(`${json}}`);
  },
});
