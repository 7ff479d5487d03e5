import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, MatrixError } from '#src/http/errors.ts';
import { ADMINISTRATOR } from '#src/roles/standing.ts';

/**
 * `DELETE /_matrix/client/v3/directory/room/{roomAlias}`: removes an alias: who made it may, and who may set the room's
 * canonical alias.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias
 */
export const deleteAlias = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/directory/room/{roomAlias}',
  auth: 'user',
  rateLimit: 'write',
  handler: async ({ params, requester, ip }, context: Context) => {
    const { roomId, creator } = context.directory.resolve(params.roomAlias);
    if (creator !== requester.userId && !maySetAliases(context, roomId, requester.userId)) {
      if (!requester.isAdmin) {
        throw forbidden('Only who made an alias, or who may set the canonical alias of its room, may remove it.');
      }
      const entry = {
        actor: actorOf(requester, ADMINISTRATOR),
        target: { kind: 'room', id: roomId } as const,
        roomId,
        ip,
      };
      await context.audit.record({ ...entry, action: 'room.alias', before: { alias: params.roomAlias } });
    }
    await context.directory.remove(params.roomAlias);
    await dropFromCanonicalAlias(context, roomId, params.roomAlias, requester.userId);
    return {};
  },
});

function maySetAliases({ rooms }: Context, roomId: string, userId: string): boolean {
  if (!rooms.knows(roomId)) return false;
  if (rooms.state(roomId, 'm.room.member', userId)?.content['membership'] !== 'join') return false;
  const levels = rooms.powerLevels(roomId);
  return levels.powerLevelOf(userId) >= levels.requiredLevel('m.room.canonical_alias', true);
}

/** Takes the alias out of the room's canonical alias event, where the user may; that it is gone counts either way. */
async function dropFromCanonicalAlias(
  { rooms }: Context,
  roomId: string,
  removed: string,
  userId: string,
): Promise<void> {
  const content = rooms.knows(roomId) ? rooms.state(roomId, 'm.room.canonical_alias', '')?.content : undefined;
  if (content === undefined) return;
  const { alias, alt_aliases: alternatives, ...others } = content;
  const isNamed = alias === removed || (Array.isArray(alternatives) && alternatives.includes(removed));
  if (!isNamed) return;
  try {
    await rooms.send(roomId, {
      sender: userId,
      type: 'm.room.canonical_alias',
      stateKey: '',
      content: {
        ...others,
        ...(alias !== removed && alias !== undefined && { alias }),
        ...(Array.isArray(alternatives) && { alt_aliases: alternatives.filter((one) => one !== removed) }),
      },
    });
  } catch (error) {
    if (!(error instanceof MatrixError && error.errcode === 'M_FORBIDDEN')) throw error;
  }
}
