/** The audit log as it can be asked: every entry, and by whom, on whom, where, and under which case. */
import type { Projection } from '#projections/engine/projection.ts';
import { defineTable, empty, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
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

export const auditProjection: Projection = {
  name: 'audit',
  version: 1,
  tables: [auditEntries, auditFacets],
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
