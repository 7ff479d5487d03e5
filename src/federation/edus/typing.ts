import type { Context } from '#src/context.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { requireJoined, roomOf, userOf } from './checks.ts';

/** How long somebody types of whom nothing more is heard: servers repeat it more often than that. */
export const REMOTE_TYPING_MS = 60_000;

/** `m.typing`. https://spec.matrix.org/v1.19/server-server-api/#typing-notifications */
export function typingHandler({
  reader,
  serverName,
  typing,
}: Pick<Context, 'reader' | 'serverName' | 'typing'>): EduHandler {
  return (origin, { room_id: roomId, user_id: user, typing: isTyping }) => {
    const userId = userOf(origin, user);
    const room = roomOf(reader, serverName, origin, roomId);
    requireJoined(reader, room, userId);
    if (isTyping === true) typing.start(room.roomId, userId, REMOTE_TYPING_MS);
    else typing.stop(room.roomId, userId);
  };
}
