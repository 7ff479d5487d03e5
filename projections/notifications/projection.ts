/** Which events are in which thread: what unread counts are divided by. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, msgpack, tuple, u48 } from '#projections/engine/table.ts';
import { type Event, eventById } from '#projections/rooms/queries.ts';
import { shownEvent } from '#projections/rooms/shown-event.ts';
import { isEventId } from '#protocol/identifiers.ts';
import type { Position } from '#streams/event-log.ts';

/** Relations that are followed from an event to its thread. Source: client-server API, "Threaded read receipts". */
export const MAX_RELATION_HOPS = 3;
const THREAD_RELATION = 'm.thread';

/** The thread of an event, and how many relations lead from the event to one that names the thread; 0 if it does itself. */
export type ThreadRow = readonly [rootEventId: string, hops: number];

export const threadEvents = defineTable({
  name: 'notifications.thread-events',
  key: tuple<[room: number, event: number]>(u48, u48),
  value: msgpack<ThreadRow>(),
  why: 'Somebody who reads the main timeline leaves old threads unread: their events are found without reading all in between.',
});

export const notificationsProjection: Projection = {
  name: 'notifications',
  version: 1,
  tables: [threadEvents],
  apply(tx, record) {
    const event = shownEvent(tx, record)?.event;
    if (event?.relation === undefined) return;
    const row = threadRowOf(tx, event);
    if (row !== undefined) tx.put(threadEvents, [event.room, event.position], row);
  },
};

function threadRowOf(tx: Reader, { room, relation }: Event): ThreadRow | undefined {
  if (relation === undefined) return undefined;
  if (relation.type === THREAD_RELATION) return isEventId(relation.eventId) ? [relation.eventId, 0] : undefined;
  const related = eventById(tx, relation.eventId);
  const row = related?.room === room ? tx.get(threadEvents, [room, related.position]) : undefined;
  return row !== undefined && row[1] < MAX_RELATION_HOPS ? [row[0], row[1] + 1] : undefined;
}

/** The root of the thread that an event is in; undefined for the main timeline, to which the roots themselves belong. */
export function threadOf(reader: Reader, room: Position, event: Position): string | undefined {
  return reader.get(threadEvents, [room, event])?.[0];
}

/** Positions of the events in threads after one position and up to another, with their threads, the newest first. */
export function* threadEventsBackwards(
  reader: Reader,
  room: Position,
  after: Position,
  upTo: Position,
): Generator<{ readonly position: Position; readonly thread: string }> {
  if (upTo < 0) return;
  const bounds = after < 0 ? {} : { gt: [room, after] as const };
  for (const { key, value } of reader.range(threadEvents, {
    prefix: [room],
    ...bounds,
    lte: [room, upTo],
    reverse: true,
  })) {
    yield { position: key[1], thread: value[0] };
  }
}
