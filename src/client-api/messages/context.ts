import { z } from 'zod';
import { versionAfter } from '#projections/rooms/event-row.ts';
import { type Event, eventById } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { type RoomView, viewRoom } from '#src/rooms/room-view.ts';
import { clientEvent } from '#src/sync/client-event.ts';
import { passes } from '#src/sync/filters.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { currentLife } from '#src/sync/log-lives.ts';
import { pacedEvents } from '#src/sync/paced-events.ts';
import { type Pacer, sharedPacer } from '#src/sync/pacer.ts';
import { addMembers, stateAtVersion, stateEvents } from '#src/sync/room-state.ts';
import { formatPlace, placeAfter, placeBefore } from '#src/sync/tokens.ts';
import type { RoomEventFilter } from '../filters/filter.ts';
import { roomEventFilter } from '../sync/filter-param.ts';
import { pageEvents, readPage } from './page.ts';
import { eventViewFor, isIgnored, noSuchEvent } from './visible-event.ts';

/** Events around the one asked for when the client does not say. Source: the endpoint's specification. */
const DEFAULT_LIMIT = 10;
/** Most events around the one asked for. */
const MAX_LIMIT = 200;

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`: what happened just before and after an event.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid
 */
export const eventContext = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/context/{eventId}',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    filter: queryText().optional(),
  }),
  handler: async ({ params, query, requester }, context: Context) => {
    const { reader } = context;
    const filter = roomEventFilter(query.filter);
    const room = viewRoom(reader, params.roomId, requester.userId);
    const event = eventById(reader, params.eventId);
    const ignored = ignoredUsers(reader, requester.userId);
    const isThere = event !== undefined && event.room === room.room.id;
    if (!isThere || isIgnored(ignored, event) || !room.visibility.canSee(event)) throw noSuchEvent();
    const accepts = pageEvents(reader, room, requester.userId, filter);
    const page = { reader, view: room, pacer: sharedPacer, accepts };
    const most = Math.min(query.limit, filter.limit ?? query.limit);
    const before = await readPage({ ...page, from: placeBefore(event), direction: 'b', limit: Math.ceil(most / 2) });
    const after = await readPage({ ...page, from: placeAfter(event), direction: 'f', limit: Math.floor(most / 2) });
    const view = eventViewFor(context, requester, { roomId: params.roomId, visibility: room.visibility, ignored });
    const text = (one: Event): string => clientEvent(view, one);
    const shown = [...before.events, event, ...after.events];
    const state = await stateAtLast(page, filter, shown);
    const start = placeBefore(before.events.at(-1) ?? event);
    const end = placeAfter(after.events.at(-1) ?? event);
    return jsonTextAnswer(
      `{"end":"${formatPlace(end, currentLife(reader))}","event":${text(event)},` +
        `"events_after":${await pacedEvents(after.events, sharedPacer, text)},` +
        `"events_before":${await pacedEvents(before.events, sharedPacer, text)},` +
        `"start":"${formatPlace(start, currentLife(reader))}","state":${await pacedEvents(state, sharedPacer, text)}}`,
    );
  },
});

/** The state at the last of the events that are shown; of the members only the senders where they are loaded lazily. */
async function stateAtLast(
  { reader, view, pacer }: { reader: Context['reader']; view: RoomView; pacer: Pacer },
  filter: RoomEventFilter,
  shown: readonly Event[],
): Promise<Event[]> {
  const last = shown.at(-1);
  if (last === undefined) return [];
  const source = { reader, room: view.room.id, pacer };
  const version = Math.min(versionAfter(last), view.stateVersion);
  const positions = await stateAtVersion(source, version, !filter.lazyLoadMembers);
  if (filter.lazyLoadMembers) addMembers(source, version, new Set(shown.map(({ sender }) => sender)), positions);
  return stateEvents(source, positions.values(), (event) => passes(filter, event, reader));
}
