import { eventAt, findRoom, membershipOf, membersOf } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { sharedPacer } from '#src/sync/pacer.ts';

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/joined_members`: the names and avatars of those who are in a room.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members
 */
export const joinedMembers = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/joined_members',
  auth: 'guest',
  rateLimit: 'read',
  handler: async ({ params, requester }, { reader, rooms }: Context) => {
    await rooms.whenMembersKnown(params.roomId);
    const room = findRoom(reader, params.roomId);
    if (room === undefined || membershipOf(reader, room.id, requester.userId) !== 'join') {
      throw forbidden('You are not in this room.');
    }
    const joined = [...membersOf(reader, room.id)].filter(({ membership }) => membership === 'join');
    const parts: string[] = [];
    for (const { userId, event } of joined) {
      parts.push(`${JSON.stringify(userId)}:${JSON.stringify(profileIn(eventAt(reader, event)?.contentJson ?? '{}'))}`);
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    return jsonTextAnswer(`{"joined":{${parts.join(',')}}}`);
  },
});

/** Clients have always had both keys: null for what somebody did not set. */
function profileIn(contentJson: string): { display_name: string | null; avatar_url: string | null } {
  const { displayname, avatar_url } = parseJson(contentJson) as JsonObject;
  return {
    display_name: typeof displayname === 'string' ? displayname : null,
    avatar_url: typeof avatar_url === 'string' ? avatar_url : null,
  };
}
