/** Questions about a time are answered from where that is in the log, also where a clock was set back. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';
import { auditProjection } from './projection.ts';
import { type AuditQuery, auditPage } from './queries.ts';
import { AUDIT_STREAM, auditRecord } from './records.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MONDAY = Date.UTC(2026, 0, 5);
/** More than is looked at for one page. */
const MANY = 4_500;

let dir: string;
let log: MemoryLog;
let engine: ProjectionEngine;
let nowMs = MONDAY;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-audit-queries-'));
  log = openMemoryLog({ now: () => nowMs });
  engine = await ProjectionEngine.open({
    dir: join(dir, 'live'),
    log,
    projections: [auditProjection],
    safeCopies: false,
  });
  await record(MANY, 'monday');
  nowMs += 2 * DAY_MS;
  await record(3, 'wednesday');
  nowMs -= DAY_MS;
  await record(2, 'tuesday, after the clock was set back');
  nowMs += DAY_MS;
  await record(1, 'wednesday again');
  nowMs += DAY_MS;
  await record(MANY, 'thursday');
  await engine.waitFor(log.head());
});
afterAll(async () => {
  await engine.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

async function record(count: number, reason: string): Promise<void> {
  for (let done = 0; done < count; done += 500) {
    const records = Array.from({ length: Math.min(500, count - done) }, () =>
      auditRecord(
        randomBytes(16),
        { actor: { kind: 'operator', name: 'ann' }, action: 'user.read', outcome: 'allowed', reason },
        '',
      ),
    );
    await log.append(AUDIT_STREAM, await log.revisionOf(AUDIT_STREAM), records);
  }
}

const WEDNESDAY = { fromMs: MONDAY + 2 * DAY_MS, toMs: MONDAY + 3 * DAY_MS - 1 };
const reasons = (query: AuditQuery, isReversed = false) =>
  auditPage(engine.reader, query, { limit: 100, isReversed }).entries.map(({ reason }) => reason);
const OF_WEDNESDAY = ['wednesday', 'wednesday', 'wednesday', 'wednesday again'];

it.each([
  ['without another condition', {}],
  ['of an actor', { actor: 'operator:ann' }],
  ['of an action', { action: 'user.read' }],
  ['of some actions', { action: 'user.*' }],
])('the first page has them, %s, whatever there was before and after', (_name, more) => {
  expect(reasons({ ...WEDNESDAY, ...more })).toEqual(OF_WEDNESDAY);
  expect(reasons({ ...WEDNESDAY, ...more }, true)).toEqual(OF_WEDNESDAY.toReversed());
});

it('what was recorded while the clock was set back is found by the time that it says', () => {
  const tuesday = { fromMs: MONDAY + DAY_MS, toMs: MONDAY + 2 * DAY_MS - 1 };
  expect(reasons(tuesday)).toEqual(Array(2).fill('tuesday, after the clock was set back'));
  expect(reasons({ fromMs: MONDAY + 2 * DAY_MS }).slice(0, 5)).toEqual([...OF_WEDNESDAY, 'thursday']);
  expect(reasons({ toMs: MONDAY - 1 })).toEqual([]);
  expect(reasons({ fromMs: MONDAY + 30 * DAY_MS })).toEqual([]);
  expect(reasons({ fromMs: -1, toMs: 2 ** 60 })).toHaveLength(100);
});

it('pages follow one another without a gap, in both directions', () => {
  for (const isReversed of [false, true]) {
    const seen: number[] = [];
    let after: number | undefined;
    do {
      const page = auditPage(engine.reader, { fromMs: MONDAY + DAY_MS }, { limit: 1_000, isReversed, after });
      seen.push(...page.entries.map(({ position }) => position));
      after = page.next;
    } while (after !== undefined);
    expect(seen).toHaveLength(6 + MANY);
    expect(new Set(seen).size).toBe(6 + MANY);
    expect(seen).toEqual(seen.toSorted((a, b) => (isReversed ? b - a : a - b)));
  }
});
