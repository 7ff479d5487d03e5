import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryText } from '#src/http/query.ts';
import { viewRoom } from '#src/rooms/room-view.ts';
import { membershipIn } from '#src/rooms/visibility.ts';
import { clientEvent, viewerOf } from '#src/sync/client-event.ts';
import { pacedEvents } from '#src/sync/paced-events.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { membersAtVersion, stateEvents } from '#src/sync/room-state.ts';
import { parsePaginationToken } from '#src/sync/tokens.ts';
import { placeOf, stateVersionAtPlace } from '../messages/page.ts';

const MEMBERSHIPS = ['join', 'invite', 'knock', 'leave', 'ban'] as const;

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/members`: the member events of a room, now, at a token, or when the user left.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers
 */
export const members = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/members',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    at: queryText().optional(),
    membership: queryChoice(MEMBERSHIPS).optional(),
    not_membership: queryChoice(MEMBERSHIPS).optional(),
  }),
  handler: async ({ params, query, requester }, { reader, rooms, clock }: Context) => {
    await rooms.whenMembersKnown(params.roomId);
    const at = query.at ? parsePaginationToken(query.at) : undefined;
    const room = viewRoom(reader, params.roomId, requester.userId);
    const version =
      at === undefined
        ? room.stateVersion
        : Math.min(stateVersionAtPlace(reader, room, placeOf(reader, room, at)), room.stateVersion);
    const source = { reader, room: room.room.id, pacer: sharedPacer };
    const positions = await membersAtVersion(source, version);
    const { membership: wanted, not_membership: unwanted } = query;
    const events = await stateEvents(source, positions.values(), ({ contentJson }) => {
      if (wanted === undefined && unwanted === undefined) return true;
      const membership = membershipIn(contentJson);
      // Given together, one of the two is enough.
      return membership === wanted || (unwanted !== undefined && membership !== unwanted);
    });
    const view = {
      reader,
      visibility: room.visibility,
      viewer: viewerOf(requester),
      nowMs: clock(),
      roomId: params.roomId,
    };
    return jsonTextAnswer(`{"chunk":${await pacedEvents(events, source.pacer, (event) => clientEvent(view, event))}}`);
  },
});
