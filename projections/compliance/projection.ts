/** What is on hold, what was asked to be erased, which policy was in force when, and what of all that is still to be done. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple, u32, u48 } from '#projections/engine/table.ts';
import type { LogRecord } from '#streams/event-log.ts';
import {
  type Cause,
  type ComplianceRecords,
  type DestroyedSoFar,
  type HoldScope,
  type RetentionPolicy,
  readComplianceRecord,
} from './records.ts';
import { unpackSections } from './section-list.ts';

export interface HoldRow {
  readonly scope: HoldScope;
  readonly caseId: string;
  readonly reason: string;
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly addedAtMs: number;
  /** Null while it stands. */
  readonly released: { readonly by: string; readonly reason: string; readonly atMs: number } | null;
}

export type ErasureState = 'requested' | 'deferred' | 'completed';

export interface ErasureRow {
  readonly userId: string;
  readonly by: string;
  readonly reason: string | null;
  readonly caseId: string | null;
  readonly asksPeers: boolean;
  /** Milliseconds since the epoch. */
  readonly requestedAtMs: number;
  readonly state: ErasureState;
  /** The holds for which it waits. */
  readonly holdIds: readonly string[];
  /** What went before it was deferred; null where nothing was done yet. */
  readonly soFar: DestroyedSoFar | null;
  /** Position of the record with the certificate. */
  readonly certificateAt: number | null;
}

export interface PolicyRow {
  /** Milliseconds since the epoch: in force from then on. */
  readonly fromMs: number;
  readonly policy: RetentionPolicy;
}

export const holds = defineTable({
  name: 'compliance.holds',
  key: tuple<[holdId: string]>(str),
  value: msgpack<HoldRow>(),
  why: 'Holds are few, and all of them are asked for each decision.',
});

export const erasures = defineTable({
  name: 'compliance.erasures',
  key: tuple<[requestId: string]>(str),
  value: msgpack<ErasureRow>(),
  why: 'A request by its id, and those that wait.',
});

export const erasuresOfUser = defineTable({
  name: 'compliance.erasures-of-user',
  key: tuple<[userId: string, requestId: string]>(str, str),
  value: empty,
  why: 'What became of the requests about one user.',
});

export const policies = defineTable({
  name: 'compliance.policies',
  key: tuple<[position: number]>(u48),
  value: msgpack<PolicyRow>(),
  why: 'The policy in force at any time is the last row before it.',
});

export const pendingDestructions = defineTable({
  name: 'compliance.pending-destructions',
  key: tuple<[position: number]>(u48),
  value: empty,
  why: 'What was decided and is not finished is gone on with after a crash.',
});

export const keptItems = defineTable({
  name: 'compliance.kept',
  key: tuple<[position: number, section: number, cause: string]>(u48, u32, str),
  value: str,
  why: 'That something is kept is recorded once for each rule, not with each run of a schedule.',
});

export const destroyedItems = defineTable({
  name: 'compliance.destroyed',
  key: tuple<[position: number, section: number]>(u48, u32),
  value: u48,
  why: 'Which record decided that a section was destroyed.',
});

export const complianceProjection: Projection = {
  name: 'compliance',
  version: 1,
  tables: [holds, erasures, erasuresOfUser, policies, pendingDestructions, keptItems, destroyedItems],
  apply(tx, record) {
    const read = readComplianceRecord(record);
    switch (read?.kind) {
      case 'destruction.decided':
        tx.put(pendingDestructions, [record.position], true);
        for (const { position, section } of unpackSections(read.fields.items)) {
          tx.put(destroyedItems, [position, section], record.position);
        }
        return;
      case 'destruction.finished':
        tx.removeRange(pendingDestructions, { lte: [read.fields.upTo] });
        return;
      case 'decision.kept':
        return noteKept(tx, read.fields);
      case 'erasure.requested':
        return noteRequest(tx, record, read.fields);
      case 'erasure.deferred': {
        const { id, holdIds, soFar } = read.fields;
        return changeErasure(tx, id, { state: 'deferred', holdIds, soFar });
      }
      case 'erasure.completed':
        return changeErasure(tx, read.fields.id, { state: 'completed', holdIds: [], certificateAt: record.position });
      case 'hold.added': {
        const { id, scope, caseId, reason, by } = read.fields;
        tx.put(holds, [id], { scope, caseId, reason, by, addedAtMs: record.recordedAtMs, released: null });
        return;
      }
      case 'hold.released':
        return noteRelease(tx, record, read.fields);
      case 'policy.retention_set':
        tx.put(policies, [record.position], { fromMs: record.recordedAtMs, policy: read.fields.policy });
        return;
    }
  },
};

/** What keeps something, in a few characters: a rule, and the holds it names. */
export function keptBy(rule: string, holdIds: readonly string[]): string {
  return holdIds.length === 0 ? rule : `${rule} ${holdIds.join(' ')}`;
}

function noteKept(tx: Writer, { items, cause, rule, holdIds }: ComplianceRecords['decision.kept']): void {
  for (const { position, section } of unpackSections(items)) {
    tx.put(keptItems, [position, section, cause satisfies Cause], keptBy(rule, holdIds));
  }
}

function noteRequest(tx: Writer, record: LogRecord, fields: ComplianceRecords['erasure.requested']): void {
  const { id, userId, by, reason, caseId, asksPeers } = fields;
  tx.put(erasures, [id], {
    userId,
    by,
    reason,
    caseId,
    asksPeers,
    requestedAtMs: record.recordedAtMs,
    state: 'requested',
    holdIds: [],
    soFar: null,
    certificateAt: null,
  });
  tx.put(erasuresOfUser, [userId, id], true);
}

function changeErasure(tx: Writer, id: string, change: Partial<ErasureRow>): void {
  const row = tx.get(erasures, [id]);
  if (row !== undefined) tx.put(erasures, [id], { ...row, ...change });
}

function noteRelease(tx: Writer, record: LogRecord, { id, by, reason }: ComplianceRecords['hold.released']): void {
  const row = tx.get(holds, [id]);
  if (row === undefined || row.released !== null) return;
  tx.put(holds, [id], { ...row, released: { by, reason, atMs: record.recordedAtMs } });
}
