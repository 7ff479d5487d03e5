import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { AnyTable, Table } from '#projections/engine/table.ts';
import { NO_STREAM } from '#streams/event-log.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';
import { accountsProjection } from './projection.ts';
import { type AccountRecordKind, type AccountRecords, accountRecord } from './records.ts';
import { accessTokens, devices, refreshTokens, users } from './tables.ts';

const ALICE = '@alice:example.org';
const STREAM = 'user-x';

let dir: string;
let log: MemoryLog;
let engine: ProjectionEngine;
const opened: ProjectionEngine[] = [];

async function open(name: string): Promise<ProjectionEngine> {
  const one = await ProjectionEngine.open({
    dir: join(dir, name),
    log,
    projections: [accountsProjection],
    safeCopies: false,
  });
  opened.push(one);
  return one;
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-accounts-projection-'));
  log = openMemoryLog();
  engine = await open('live');
});
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

async function record<Kind extends AccountRecordKind>(kind: Kind, fields: AccountRecords[Kind], stream = STREAM) {
  return log.append(stream, await log.revisionOf(stream), [accountRecord(randomBytes(16), kind, fields)]);
}
const register = (passwordHash: string | null = 'hash 1') =>
  record('user.registered', { userId: ALICE, isAdmin: false, registrationToken: null, passwordHash });
const hash = (n: number) => Buffer.alloc(32, n);
const start = (n: number) =>
  record('session.started', { deviceId: 'D', accessHash: hash(n), accessExpiresAtMs: 5, refreshHash: hash(n + 1) });
const refresh = (presented: number, n: number) =>
  record('session.refreshed', {
    deviceId: 'D',
    presentedHash: hash(presented),
    accessHash: hash(n),
    accessExpiresAtMs: null,
    refreshHash: hash(n + 1),
  });

/** Every row, encoded. */
function contents({ reader }: ProjectionEngine): string[] {
  return accountsProjection.tables.flatMap((table: AnyTable) => {
    const typed = table as unknown as Table<[unknown], unknown>;
    const rows = Array.from(reader.range(typed), ({ key, value }) => [key, value]);
    return [table.name, ...rows.map((row) => JSON.stringify(row))];
  });
}

async function aLittleOfEverything(): Promise<void> {
  await record(
    'registration_token.created',
    { token: 't', usesAllowed: 2, expiresAtMs: null },
    'server-registration_tokens',
  );
  await register();
  await record('device.added', { deviceId: 'D', displayName: 'phone' });
  await record('device.added', { deviceId: 'E', displayName: null });
  await start(1);
  await refresh(2, 3);
  await record('session.confirmed', { deviceId: 'D', accessHash: hash(3) });
  await refresh(4, 5);
  await record('device.renamed', { deviceId: 'E', displayName: 'laptop' });
  await record('user.password_changed', { passwordHash: 'hash 2' });
  await record('user.admin_changed', { isAdmin: true });
  await record(
    'user.registered',
    { userId: '@bob:example.org', isAdmin: false, registrationToken: 't', passwordHash: null },
    'user-y',
  );
  await record('user.deactivated', { isErased: true }, 'user-y');
}

test('built anew from the log, the tables are the same, also where a former password was erased', async () => {
  await aLittleOfEverything();
  expect(contents(await open('again'))).toEqual(contents(engine));
  const { passwordAt } = engine.reader.get(users, [ALICE]) ?? { passwordAt: -1 };
  for await (const { kind, position } of log.readStream(STREAM)) {
    if (kind === 'user.registered') await log.destroyKey(position, 1);
    else if (kind === 'user.password_changed') expect(position).toBe(passwordAt);
  }
  expect(contents(await open('after erasure'))).toEqual(contents(engine));
});

test('a device that is removed leaves none of its tokens', async () => {
  await aLittleOfEverything();
  await record('device.removed', { deviceIds: ['D', 'unknown'] });
  const { reader } = engine;
  expect([reader.count(accessTokens), reader.count(refreshTokens)]).toEqual([0, 0]);
  expect(Array.from(reader.keys(devices))).toEqual([[ALICE, 'E']]);
});

test('refreshing for ever keeps three pairs of tokens', async () => {
  await register();
  await record('device.added', { deviceId: 'D', displayName: null });
  await start(1);
  for (let n = 1; n < 60; n += 2) await refresh(n + 1, n + 2);
  expect([engine.reader.count(accessTokens), engine.reader.count(refreshTokens)]).toEqual([3, 3]);
});

test('records that make no sense change nothing and stop nothing', async () => {
  await start(1);
  await record('user.admin_changed', { isAdmin: true });
  await register();
  const before = contents(engine);
  await start(1);
  await refresh(2, 3);
  await record('session.confirmed', { deviceId: 'D', accessHash: hash(1) });
  await record('device.renamed', { deviceId: 'D', displayName: 'x' });
  await record('device.removed', { deviceIds: ['D'] });
  expect(contents(engine)).toEqual(before);
  expect(engine.failure).toBeUndefined();
});

test('a user whose first record was erased is nobody', async () => {
  const { lastPosition } = await register();
  await record('user.admin_changed', { isAdmin: true });
  await log.destroyKey(lastPosition, 0);
  const again = await open('again');
  expect(again.reader.count(users)).toBe(0);
  expect(again.failure).toBeUndefined();
});

test('whoever holds something of an account is told when it changes', async () => {
  const touched: string[][] = [];
  engine.onAdvance((_frontier, topics) => touched.push([...topics]));
  await register();
  await record('user.admin_changed', { isAdmin: true });
  await record(
    'registration_token.created',
    { token: 't', usesAllowed: null, expiresAtMs: null },
    'server-registration_tokens',
  );
  expect(touched).toEqual([[`account:${ALICE}`], [`account:${ALICE}`], []]);
  expect(await log.revisionOf('user-z')).toBe(NO_STREAM);
});
