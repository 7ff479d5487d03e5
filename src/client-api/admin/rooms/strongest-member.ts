import { joinedMembers, type Room } from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { forbidden } from '#src/http/errors.ts';

/**
 * The member of this server who may do most in a room, in whose name an administrator acts.
 * @throws {MatrixError} `M_FORBIDDEN` where nobody of this server is in the room
 */
export async function strongestMember(
  { reader, rooms, serverName }: Pick<Context, 'reader' | 'rooms' | 'serverName'>,
  room: Room,
): Promise<string> {
  await rooms.whenMembersKnown(room.roomId);
  const levels = rooms.powerLevels(room.roomId);
  let strongest: string | undefined;
  for (const member of joinedMembers(reader, room.id)) {
    if (serverNameOf(member) !== serverName) continue;
    if (strongest === undefined || levels.powerLevelOf(member) > levels.powerLevelOf(strongest)) strongest = member;
  }
  if (strongest === undefined) throw forbidden('Nobody of this server is in the room.');
  return strongest;
}
