/** Redacts a user's messages in the rooms that this server can: in their own name where they are of this server. */
import { findRoom, roomById, roomsOf } from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { MatrixError } from '#src/http/errors.ts';
import { messagesOfUser, type SentBetween } from '#src/rooms/messages-of-user.ts';

/** What is asked for. */
export interface UserRedaction {
  readonly userId: string;
  /** Room ids; empty for all that the user was ever in. */
  readonly rooms: readonly string[];
  readonly reason: string | undefined;
  /** Only what was sent in this time. */
  readonly sent: SentBetween;
  /** Most messages of each room, the newest. */
  readonly limit: number;
  /** In whose name; undefined for the user's own, where they are of this server. */
  readonly by: string | undefined;
  /** In whose name where it cannot be the user's own. */
  readonly fallback: string;
}

/** Gives which messages could not be redacted, and why, in the form of Synapse's answers. */
export async function redactUser(
  { reader, rooms, serverName }: Pick<Context, 'reader' | 'rooms' | 'serverName'>,
  { userId, rooms: wanted, reason, sent, limit, by, fallback }: UserRedaction,
): Promise<{ failed_redactions: Record<string, string> }> {
  const failed = new Map<string, string>();
  const own = serverNameOf(userId) === serverName ? userId : fallback;
  const roomIds =
    wanted.length > 0
      ? wanted
      : Array.from(roomsOf(reader, userId)).flatMap(({ room }) => roomById(reader, room)?.roomId ?? []);
  for (const roomId of roomIds) {
    const room = findRoom(reader, roomId);
    if (room === undefined) continue;
    for (const redacts of await messagesOfUser(reader, room.id, userId, limit, sent)) {
      try {
        const content = { redacts, ...(reason !== undefined && { reason }) };
        await rooms.send(roomId, { sender: by ?? own, type: 'm.room.redaction', content });
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        failed.set(redacts, error.message);
      }
    }
  }
  return { failed_redactions: Object.fromEntries(failed) };
}
