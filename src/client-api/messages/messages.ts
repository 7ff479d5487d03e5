import { z } from 'zod';
import { versionAfter } from '#projections/rooms/event-row.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryInteger, queryText } from '#src/http/query.ts';
import { viewRoom } from '#src/rooms/room-view.ts';
import { clientEvent } from '#src/sync/client-event.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { currentLife } from '#src/sync/log-lives.ts';
import { pacedEvents } from '#src/sync/paced-events.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { formatPlace, parsePaginationToken } from '#src/sync/tokens.ts';
import { roomEventFilter } from '../sync/filter-param.ts';
import { membersOfSenders } from './lazy-members.ts';
import { outermostPlace, type Page, pageEvents, placeOf, readPage } from './page.ts';
import { eventViewFor } from './visible-event.ts';

/** Events of a page when the client does not say. Source: the endpoint's specification. */
const DEFAULT_LIMIT = 10;
/** Most events of a page. */
const MAX_LIMIT = 500;

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/messages`: a page of a room's history.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages
 */
export const messages = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/messages',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    dir: queryChoice(['b', 'f']),
    from: queryText().optional(),
    to: queryText().optional(),
    limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    filter: queryText().optional(),
  }),
  handler: async ({ params, query, requester }, context: Context) => {
    const { reader } = context;
    const filter = roomEventFilter(query.filter);
    // Some clients (Quaternion) send an empty token for none.
    const given = query.from ? parsePaginationToken(query.from) : undefined;
    const until = query.to ? parsePaginationToken(query.to) : undefined;
    const room = viewRoom(reader, params.roomId, requester.userId);
    const from = given === undefined ? outermostPlace(reader, room, query.dir) : placeOf(reader, room, given);
    const read = (): Promise<Page> =>
      readPage({
        reader,
        view: room,
        from,
        to: until && placeOf(reader, room, until),
        direction: query.dir,
        limit: Math.min(query.limit, filter.limit ?? query.limit),
        pacer: sharedPacer,
        accepts: pageEvents(reader, room, requester.userId, filter),
      });
    let page = await read();
    if (query.dir === 'b' && room.departure === undefined) {
      // What lies in this part of the room and is not here yet, another server may have.
      const depths = { from: page.end?.depth ?? 0, to: from.depth };
      if (await context.backfilling.fill(params.roomId, depths)) page = await read();
    }
    const { events, end } = page;
    const ignored = ignoredUsers(reader, requester.userId);
    const view = eventViewFor(context, requester, { roomId: params.roomId, visibility: room.visibility, ignored });
    const text = (event: (typeof events)[number]): string => clientEvent(view, event);
    const [first] = events;
    let json = `{"chunk":${await pacedEvents(events, sharedPacer, text)}`;
    if (end !== undefined) json += `,"end":"${formatPlace(end, currentLife(reader))}"`;
    json += `,"start":${JSON.stringify(query.from || formatPlace(from, currentLife(reader)))}`;
    if (filter.lazyLoadMembers && first !== undefined) {
      const version = query.dir === 'b' ? versionAfter(first) : first.stateVersion;
      const members = await membersOfSenders(reader, sharedPacer, events, version);
      json += `,"state":${await pacedEvents(members, sharedPacer, text)}`;
    }
    return jsonTextAnswer(`${json}}`);
  },
});
