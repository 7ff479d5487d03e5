/** Up to where each server has got what it is to get: its queue is this position, and never a copy of events. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, str, tuple, u48 } from '#projections/engine/table.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { readSentRecord } from './sent-records.ts';

const sentPositions = defineTable({
  name: 'federation-sent.positions',
  key: tuple<[destination: string]>(str),
  value: u48,
  why: 'After a restart, or when a server is back, what it has missed is found from here in the timelines of its rooms.',
});

export const sentProjection: Projection = {
  name: 'federation-sent',
  version: 1,
  tables: [sentPositions],
  apply(tx, record) {
    for (const [destination, position] of readSentRecord(record) ?? []) {
      if (position >= 0) tx.put(sentPositions, [destination], position);
    }
  },
};

/** Up to where a server has got everything, as far as the log knows; `BEFORE_FIRST` for one that was never sent anything. */
export function sentPosition(reader: Reader, destination: string): Position {
  return reader.get(sentPositions, [destination]) ?? BEFORE_FIRST;
}
