/** Events that are to be sent later. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple } from '#projections/engine/table.ts';
import { type DelayedEvent, readDelayedEventRecord } from './records.ts';

const pending = defineTable({
  name: 'delayed-events.pending',
  key: tuple<[userId: string, delayId: string]>(str, str),
  value: msgpack<DelayedEvent>(),
  why: 'A start takes up all of them again; a user asks for their own. There are few, and each is gone when it was sent.',
  hide: ([userId], row, { users }) => (users.has(userId) ? undefined : row),
});

export const delayedEventsProjection: Projection = {
  name: 'delayed-events',
  version: 1,
  tables: [pending],
  apply(tx, record) {
    const change = readDelayedEventRecord(record);
    switch (change?.kind) {
      case 'scheduled':
        tx.put(pending, [change.event.userId, change.event.delayId], change.event);
        return;
      case 'restarted': {
        const row = tx.get(pending, [change.userId, change.delayId]);
        if (row !== undefined)
          tx.put(pending, [change.userId, change.delayId], { ...row, startedAtMs: change.startedAtMs });
        return;
      }
      case 'ended':
        tx.remove(pending, [change.userId, change.delayId]);
        return;
      case undefined:
        return;
    }
  },
};

/** All events that are to be sent later. */
export function* delayedEvents(reader: Reader): Generator<DelayedEvent> {
  for (const { value } of reader.range(pending)) yield value;
}

/** One of a user's; undefined if it was sent, cancelled, or never there. */
export function delayedEventOf(reader: Reader, userId: string, delayId: string): DelayedEvent | undefined {
  return reader.get(pending, [userId, delayId]);
}
