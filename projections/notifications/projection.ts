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
  key: tuple<[room: number, place: number]>(u48, u48),
  value: msgpack<ThreadRow>(),
  why: 'Somebody who reads the main timeline leaves old threads unread: their events are found without reading all in between.',
});

export const notificationsProjection: Projection = {
  name: 'notifications',
  version: 2,
  tables: [threadEvents],
  apply(tx, record) {
    const event = shownEvent(tx, record)?.event;
    if (event?.relation === undefined) return;
    const row = threadRowOf(tx, event);
    if (row !== undefined) tx.put(threadEvents, [event.room, placeOf(event)], row);
  },
};

function threadRowOf(tx: Reader, { room, relation }: Event): ThreadRow | undefined {
  if (relation === undefined) return undefined;
  if (relation.type === THREAD_RELATION) return isEventId(relation.eventId) ? [relation.eventId, 0] : undefined;
  const related = eventById(tx, relation.eventId);
  const row = related?.room === room ? tx.get(threadEvents, [room, placeOf(related)]) : undefined;
  return row !== undefined && row[1] < MAX_RELATION_HOPS ? [row[0], row[1] + 1] : undefined;
}

/** The place of an event in the order in which this server shows its room. */
export function placeOf({ fork, position }: Pick<Event, 'fork' | 'position'>): Position {
  return fork?.place ?? position;
}

/** The root of the thread that an event is in; undefined for the main timeline, to which the roots themselves belong. */
export function threadOf(reader: Reader, event: Event): string | undefined {
  return event.relation === undefined && event.redactedBy === undefined
    ? undefined
    : reader.get(threadEvents, [event.room, placeOf(event)])?.[0];
}

/** Places of the events in threads after one place and up to another, the newest first. */
export function* threadPlacesBackwards(
  reader: Reader,
  room: Position,
  after: Position,
  upTo: Position,
): Generator<Position> {
  if (upTo < 0) return;
  const bounds = after < 0 ? {} : { gt: [room, after] as const };
  for (const key of reader.keys(threadEvents, { prefix: [room], ...bounds, lte: [room, upTo], reverse: true })) {
    yield key[1];
  }
}
