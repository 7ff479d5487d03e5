import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventById } from '#projections/rooms/queries.ts';

/** The thread id of what is in no thread. */
export const MAIN_THREAD = 'main';
/** How many relations are followed from an event to its thread, as the specification recommends. */
const MAX_HOPS = 3;

/**
 * Whether a receipt at the event may be for the thread: `main` for events in no thread; otherwise the root of the thread or
 * what is, directly or through what it relates to, in it.
 * https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts
 */
export function isInThread(reader: Reader, event: Event, threadId: string): boolean {
  let current: Event | undefined = event;
  for (let hop = 0; current !== undefined; hop += 1) {
    if (current.eventId === threadId) return true;
    const { relation }: Event = current;
    if (relation === undefined) return threadId === MAIN_THREAD;
    if (relation.type === 'm.thread') return relation.eventId === threadId;
    if (hop === MAX_HOPS) return threadId === MAIN_THREAD;
    current = eventById(reader, relation.eventId);
    if (current?.room !== event.room) return threadId === MAIN_THREAD || relation.eventId === threadId;
  }
  return false;
}
