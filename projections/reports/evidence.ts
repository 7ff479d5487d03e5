/** Which evidence there is; what was captured is read from the log. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';
import { type EvidenceHead, readEvidenceHead } from './evidence-records.ts';

/** Evidence with its id, which is the position of its record. */
export interface Evidence extends EvidenceHead {
  readonly id: Position;
  /** Milliseconds since the epoch, by this server's clock. */
  readonly capturedAtMs: number;
}

type EvidenceRow = Omit<Evidence, 'id'>;

const evidence = defineTable({
  name: 'evidence.items',
  key: tuple<[at: number]>(u48),
  value: msgpack<EvidenceRow>(),
  why: 'Evidence is listed in the order in which it was captured, and found by its id.',
});

const evidenceAbout = defineTable({
  name: 'evidence.about',
  key: tuple<[about: string, at: number]>(str, u48),
  value: empty,
  why: 'The evidence about an event, a room, a user or a file; the first characters of an id tell which of them it is.',
});

export const evidenceProjection: Projection = {
  name: 'evidence',
  version: 1,
  tables: [evidence, evidenceAbout],
  apply(tx, record) {
    const head = readEvidenceHead(record);
    if (head === undefined) return;
    tx.put(evidence, [record.position], { ...head, capturedAtMs: record.recordedAtMs });
    const subjects = [head.eventId, head.roomId, head.userId, ...head.media.map(({ uri }) => uri)];
    for (const about of subjects) if (about !== undefined) tx.put(evidenceAbout, [about, record.position], true);
  },
};

/** The evidence of an id. */
export function findEvidence(reader: Reader, id: Position): Evidence | undefined {
  const row = reader.get(evidence, [id]);
  return row && { id, ...row };
}

/** Evidence, the newest first; only what is about an event, a room, a user or a file where one is named. */
export function* evidenceItems(reader: Reader, about?: string, before?: Position): Generator<Evidence> {
  const ids = about === undefined ? allIds(reader, before) : idsAbout(reader, about, before);
  for (const id of ids) {
    const found = findEvidence(reader, id);
    if (found !== undefined) yield found;
  }
}

function* allIds(reader: Reader, before: Position | undefined): Generator<Position> {
  const bound = before === undefined ? {} : { lt: [before] as const };
  for (const [id] of reader.keys(evidence, { reverse: true, ...bound })) yield id;
}

function* idsAbout(reader: Reader, about: string, before: Position | undefined): Generator<Position> {
  const bound = before === undefined ? {} : { lt: [about, before] as const };
  for (const [, id] of reader.keys(evidenceAbout, { prefix: [about], reverse: true, ...bound })) yield id;
}
