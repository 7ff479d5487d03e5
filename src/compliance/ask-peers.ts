/** Asks other servers to forget what a user wrote: by redactions in the user's name, where they are in a room together. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, joinedRoomIds, serversIn } from '#projections/rooms/queries.ts';
import { MatrixError } from '#src/http/errors.ts';
import { messagesOfUser } from '#src/rooms/messages-of-user.ts';
import type { Rooms } from '#src/rooms/rooms.ts';

/** Redactions that wait for the disk together. */
const SENT_AT_ONCE = 16;
const REASON = 'The sender asked for erasure.';

export interface AskPeersContext {
  readonly reader: Reader;
  readonly rooms: Rooms;
  readonly serverName: string;
}

/**
 * Redacts the messages of a user in the rooms that they are in with users of other servers; gives how many. What the room does not
 * let the user redact stays. So does what is in rooms that they have left or were put out of: a redaction of somebody who is not in
 * the room is refused by every server, and another local user who may redact there has not asked for it.
 */
export async function askPeers({ reader, rooms, serverName }: AskPeersContext, userId: string): Promise<number> {
  let asked = 0;
  for (const roomId of [...joinedRoomIds(reader, userId)]) {
    const room = findRoom(reader, roomId);
    if (room === undefined || ![...serversIn(reader, room.id)].some((server) => server !== serverName)) continue;
    const eventIds = await messagesOfUser(reader, room.id, userId);
    for (let at = 0; at < eventIds.length; at += SENT_AT_ONCE) {
      const sent = await Promise.all(
        eventIds.slice(at, at + SENT_AT_ONCE).map((redacts) => redact(rooms, roomId, userId, redacts)),
      );
      asked += sent.filter((one) => one).length;
    }
  }
  return asked;
}

async function redact(rooms: Rooms, roomId: string, sender: string, redacts: string): Promise<boolean> {
  try {
    await rooms.send(roomId, { sender, type: 'm.room.redaction', content: { redacts, reason: REASON } });
    return true;
  } catch (error) {
    if (error instanceof MatrixError) return false;
    throw error;
  }
}
