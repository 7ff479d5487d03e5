import type { UserPresence } from '#src/ephemeral/presence.ts';
import { presenceContent } from '#src/sync/presence-news.ts';

/** JSON text of an `m.presence` event as clients of old expect it: with the user in its content too. */
export function oldPresenceEvent(userId: string, state: UserPresence, nowMs: number): string {
  const content = { user_id: userId, ...presenceContent(state, nowMs) };
  return JSON.stringify({ content, sender: userId, type: 'm.presence' });
}
