/** The audit log as it can be asked: every entry, and by whom, on whom, where, and under which case. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple, u32, u48 } from '#projections/engine/table.ts';
import { type Actor, type AuditFacts, auditIdOf, readAuditRecord } from './records.ts';

/** An entry as it is kept. */
export interface AuditRow {
  readonly id: string;
  /** Milliseconds since the epoch, by this server's clock. */
  readonly atMs: number;
  readonly facts: AuditFacts;
  /** JSON of an object with `before` and `after`; empty for neither, null where it was destroyed. */
  readonly detailsJson: string | null;
}

/** What entries can be found by. */
export type AuditFacet = 'action' | 'actor' | 'target' | 'room' | 'case';

/** Who waits for entries is woken by this. */
export const AUDIT_TOPIC = 'audit';

export const auditEntries = defineTable({
  name: 'audit.entries',
  key: tuple<[at: number]>(u48),
  value: msgpack<AuditRow>(),
  why: 'Auditors read in the order in which things happened, and whoever passes entries on goes on after a position.',
});

export const auditFacets = defineTable({
  name: 'audit.by',
  key: tuple<[facet: string, value: string, at: number]>(str, str, u48),
  value: empty,
  why: 'The entries of one actor, target, room, case or action are a range of one index, in the order of the log.',
});

/** The entries of one day are between two positions, both inclusive. */
export type DayOfEntries = readonly [first: number, last: number];

export const auditDays = defineTable({
  name: 'audit.days',
  key: tuple<[day: number]>(u32),
  value: msgpack<DayOfEntries>(),
  why: 'Who asks for a time reads from there on. Days and not a search by halves: a clock that was set back puts times out of order.',
});

const DAY_MS = 24 * 60 * 60 * 1000;

/** The day of a time, counted from the epoch; those that no key has room for are the nearest that there is. */
export function dayOf(atMs: number): number {
  return Math.max(0, Math.min(Math.floor(atMs / DAY_MS), 2 ** 32 - 1));
}

/**
 * Between which positions, both inclusive, the entries of a time are, with others of the same days perhaps; undefined where there are
 * none. Times are milliseconds since the epoch, both inclusive.
 */
export function positionsOfTime(
  reader: Reader,
  fromMs: number | undefined,
  toMs: number | undefined,
): DayOfEntries | undefined {
  let found: DayOfEntries | undefined;
  const bounds = {
    ...(fromMs !== undefined && { gte: [dayOf(fromMs)] as const }),
    ...(toMs !== undefined && { lte: [dayOf(toMs)] as const }),
  };
  for (const { value } of reader.range(auditDays, bounds)) found = within(found, value);
  return found;
}

function within(one: DayOfEntries | undefined, other: DayOfEntries): DayOfEntries {
  return one === undefined ? other : [Math.min(one[0], other[0]), Math.max(one[1], other[1])];
}

export const auditProjection: Projection = {
  name: 'audit',
  version: 2,
  tables: [auditEntries, auditFacets, auditDays],
  apply(tx, record) {
    const read = readAuditRecord(record);
    if (read === undefined) return;
    const { facts, detailsJson } = read;
    tx.put(auditEntries, [record.position], {
      id: auditIdOf(record.id),
      atMs: record.recordedAtMs,
      facts,
      detailsJson,
    });
    for (const [facet, value] of facetsOf(facts)) tx.put(auditFacets, [facet, value, record.position], true);
    const day = dayOf(record.recordedAtMs);
    tx.put(auditDays, [day], within(tx.get(auditDays, [day]), [record.position, record.position]));
    tx.touch(AUDIT_TOPIC);
  },
};

/** Under which values an entry is found. */
export function facetsOf(facts: AuditFacts): (readonly [facet: AuditFacet, value: string])[] {
  const { actor, action, target, roomId, caseId } = facts;
  return [
    ['action', action],
    ['actor', actorName(actor)],
    ...(target === undefined ? [] : [['target', target.id] as const]),
    ...(roomId === undefined ? [] : [['room', roomId] as const]),
    ...(caseId === undefined ? [] : [['case', caseId] as const]),
  ];
}

/** An actor in a word, as queries name them: a user id, `operator:NAME`, `server:TASK`, `stranger`. */
export function actorName(actor: Actor): string {
  switch (actor.kind) {
    case 'user':
      return actor.userId;
    case 'operator':
      return `operator:${actor.name}`;
    case 'server':
      return `server:${actor.task}`;
    case 'stranger':
      return 'stranger';
  }
}
