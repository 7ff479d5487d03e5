/** Account data, filters, receipts, profiles and media: what a replay of the log makes of them, and what erasure leaves. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { accountDataProjection } from '#projections/account-data/projection.ts';
import {
  accountData,
  accountDataChangesSince,
  accountDataCount,
  allAccountData,
  filterJson,
} from '#projections/account-data/queries.ts';
import { accountDataRecord, filterRecord } from '#projections/account-data/records.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { Table } from '#projections/engine/table.ts';
import { mediaById, mediaProjection } from '#projections/media/projection.ts';
import { mediaRecord } from '#projections/media/records.ts';
import { profilesProjection } from '#projections/profiles/projection.ts';
import { fullProfileOf } from '#projections/profiles/queries.ts';
import { profileRecord } from '#projections/profiles/records.ts';
import { receiptsProjection } from '#projections/receipts/projection.ts';
import { receiptsSince } from '#projections/receipts/queries.ts';
import { receiptRecord } from '#projections/receipts/records.ts';
import { BEFORE_FIRST, type RecordDraft } from '#streams/event-log.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';

const PROJECTIONS: readonly Projection[] = [
  accountDataProjection,
  receiptsProjection,
  profilesProjection,
  mediaProjection,
];
const ALICE = '@alice:example.org';
const BOB = '@bob:example.org';
const ROOM = '!room:example.org';

let dir: string;
let log: MemoryLog;
let live: ProjectionEngine;
const engines: ProjectionEngine[] = [];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stele-user-data-'));
  log = openMemoryLog();
  live = await start('live');
});

afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

async function start(name: string): Promise<ProjectionEngine> {
  const engine = await ProjectionEngine.open({
    dir: path.join(dir, name),
    log,
    projections: PROJECTIONS,
    safeCopies: false,
  });
  engines.push(engine);
  return engine;
}

let ids = 0;
const newId = (): Uint8Array => Buffer.from((ids++).toString(16).padStart(32, '0'), 'hex');

async function append(draft: RecordDraft): Promise<number> {
  const stream = 'user-test';
  return (await log.append(stream, await log.revisionOf(stream), [draft])).lastPosition;
}

const set = (type: string, content: object, roomId?: string) =>
  append(accountDataRecord(newId(), { userId: ALICE, roomId, type, contentJson: JSON.stringify(content) }));
const read = (userId: string, eventId: string, threadId?: string, type: 'm.read' | 'm.read.private' = 'm.read') =>
  append(receiptRecord(newId(), { userId, roomId: ROOM, type, eventId, threadId, tsMs: 1 }));
const say = (field: string, value: unknown) =>
  append(
    profileRecord(newId(), {
      userId: ALICE,
      field,
      valueJson: value === undefined ? undefined : JSON.stringify(value),
    }),
  );

async function everything(): Promise<void> {
  await set('a', { n: 1 });
  await set('a', { n: 2 }, ROOM);
  await set('b', { text: 'ü\u0000\ud83d\ude00' });
  await set('a', { n: 3 });
  await append(filterRecord(newId(), { userId: ALICE, filterId: 'f', filterJson: '{}' }));
  await read(ALICE, '$1');
  await read(BOB, '$1', 'main');
  await read(BOB, '$2', undefined, 'm.read.private');
  await read(ALICE, '$2');
  await say('displayname', 'Alice');
  await say('org.example.x', [1, null, { y: 2 }]);
  await say('displayname', 'A.');
  await say('org.example.x', undefined);
  for (const contentType of ['image/png', undefined]) {
    const media = { uploader: ALICE, sha256: 'ab'.repeat(32), sizeBytes: 7, contentType, fileName: contentType };
    await append(mediaRecord(newId(), { mediaId: `m${contentType ?? ''}`, ...media }));
  }
}

/** Every row of every table. */
function rowsOf(reader: Reader): unknown[] {
  const tables = PROJECTIONS.flatMap((projection) => projection.tables) as unknown as Table<[string], unknown>[];
  return tables.flatMap((table) => Array.from(reader.range(table), ({ key, value }) => [table.name, key, value]));
}

describe('a replay', () => {
  it('from the bytes of the log gives the rows that were made live', async () => {
    await everything();
    const rows = rowsOf(live.reader);
    expect(rows).toHaveLength(25);
    expect(rowsOf((await start('replayed')).reader)).toEqual(rows);
  });

  it('leaves one row of the changes for each entry', async () => {
    for (let n = 0; n < 5; n += 1) await set('a', { n });
    expect([...accountDataChangesSince(live.reader, ALICE, BEFORE_FIRST)]).toEqual([
      { roomId: undefined, type: 'a', contentJson: '{"n":4}' },
    ]);
    for (let n = 0; n < 5; n += 1) await read(BOB, `$${n}`);
    expect([...receiptsSince(live.reader, ROOM, BEFORE_FIRST, ALICE)]).toMatchObject([{ eventId: '$4' }]);
  });
});

describe('an erased section', () => {
  it('of a content takes the entry away, and nothing older comes back', async () => {
    const positions = [await set('a', { n: 1 }), await set('a', { n: 2 }), await set('b', {})];
    await say('displayname', 'old');
    positions.push(await say('displayname', 'new'));
    for (const position of [positions[1], positions[3]]) await log.destroyKey(position ?? -1, 1);
    const { reader } = await start('replayed');
    expect([...allAccountData(reader, ALICE)]).toEqual([{ roomId: undefined, type: 'b', contentJson: '{}' }]);
    expect(accountDataCount(reader, ALICE)).toBe(1);
    expect(fullProfileOf(reader, ALICE)).toEqual({});
  });

  it('of a head is as if there had been nothing', async () => {
    await everything();
    for (let position = 0; position <= log.head(); position += 1) await log.destroyKey(position, 0);
    const { reader } = await start('replayed');
    expect(rowsOf(reader)).toEqual([]);
    expect(accountData(reader, ALICE, 'a')).toBeUndefined();
    expect(filterJson(reader, ALICE, 'f')).toBeUndefined();
    expect(mediaById(reader, 'm')).toBeUndefined();
  });
});
