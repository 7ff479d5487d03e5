/** Projections for tests: notes by stream, and how many there are. */
import type { Projection } from './projection.ts';
import { defineTable, msgpack, raw, str, tuple, u48 } from './table.ts';

export const notesByStream = defineTable({
  name: 'notes.by-stream',
  key: tuple(str, u48),
  value: raw,
  why: 'The notes of a stream in log order.',
});

export const totals = defineTable({
  name: 'totals.by-stream',
  key: tuple(str),
  value: msgpack<{ count: number; last: number }>(),
  why: 'One row a stream, rewritten with each note.',
});

export const notes: Projection = {
  name: 'notes',
  version: 1,
  tables: [notesByStream],
  apply(tx, record) {
    tx.put(notesByStream, [record.stream, record.position], Buffer.from(record.sections[0] ?? []));
    tx.touch(record.stream);
  },
};

export const totalsProjection: Projection = {
  name: 'totals',
  version: 1,
  tables: [totals],
  apply(tx, record) {
    const before = tx.get(totals, [record.stream]);
    tx.put(totals, [record.stream], { count: (before?.count ?? 0) + 1, last: record.position });
  },
};

export const sampleProjections: readonly Projection[] = [notes, totalsProjection];

/** `notes`, but throwing when it meets one record. */
export function failingAt(position: number): Projection {
  return {
    ...notes,
    apply(tx, record) {
      notes.apply(tx, record);
      if (record.position === position) throw new Error('this note cannot be applied');
    },
  };
}
