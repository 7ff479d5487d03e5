import type { Event } from '#projections/rooms/queries.ts';
import type { UserPresence } from '#src/ephemeral/presence.ts';
import { clientEvent, type EventView } from '#src/sync/client-event.ts';
import { presenceContent } from '#src/sync/presence-news.ts';

/** JSON text of an `m.presence` event as clients of old expect it: with the user in its content too. */
export function oldPresenceEvent(userId: string, state: UserPresence, nowMs: number): string {
  const content = { user_id: userId, ...presenceContent(state, nowMs) };
  return JSON.stringify({ content, sender: userId, type: 'm.presence' });
}

/** JSON text of a room's event as clients of old expect it: with its sender as `user_id` too. */
export function oldEvent(view: EventView, event: Event): string {
  return `{"user_id":${JSON.stringify(event.sender)},${clientEvent(view, event).slice(1)}`;
}
