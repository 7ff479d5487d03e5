/** `stele replay` as an operator runs it, on a data folder with one small room. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommandLine } from '#ops/cli/run-command-line.ts';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { Environment } from '#projections/engine/environment.ts';
import { RowWriter } from '#projections/engine/row-access.ts';
import { pduRecord } from '#projections/rooms/pdu-record.ts';
import { roomsProjection } from '#projections/rooms/projection.ts';
import { timeline } from '#projections/rooms/tables.ts';
import { searchProjections } from '#projections/search/catalogue.ts';
import { searchProjection } from '#projections/search/projection.ts';
import { powers } from '#projections/search/tables.ts';
import { buildEvent } from '#protocol/build-event.ts';
import { splitPdu } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { signingKeyFromSeed } from '#protocol/signing.ts';
import { dataPaths } from '#src/data-paths.ts';
import { NO_STREAM, type RecordDraft } from '#streams/event-log.ts';
import { type OpenLog, openLog } from '#streams/open-log.ts';

let folder: string;
const paths = () => dataPaths(path.join(folder, 'data'));

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-replay-command-'));
  await writeFile(
    path.join(folder, 'stele.yaml'),
    `server_name: replay.test\ndata_dir: ${path.join(folder, 'data')}\n`,
  );
  const log = await openLog({ folder: paths().log });
  await log.append('room-a', NO_STREAM, [createEvent()]);
  await (await openEngine(log)).close();
  await log.close();
});
afterAll(() => rm(folder, { recursive: true }));

function createEvent(): RecordDraft {
  const rules = roomVersionRules('12');
  if (rules === undefined) throw new Error('room version 12 is unknown');
  const draft = {
    type: 'm.room.create',
    state_key: '',
    sender: '@ann:replay.test',
    content: { room_version: '12' },
    origin_server_ts: 1,
    depth: 1,
    prev_events: [],
    auth_events: [],
  };
  const built = buildEvent(draft, rules, 'replay.test', signingKeyFromSeed('1', Buffer.alloc(32)));
  const roomId = `!${built.eventId.slice(1)}`;
  const meta = { eventId: built.eventId, roomId, roomVersion: '12', disposition: 'accepted' } as const;
  return pduRecord(Buffer.alloc(16, 1), meta, built.pdu, built.skeletonJson, splitPdu(built.pdu, rules).stripped);
}

function openEngine(log: OpenLog): Promise<ProjectionEngine> {
  return ProjectionEngine.open({ dir: paths().projections, log, projections: coreProjections });
}

async function stele(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const status = await runCommandLine([...args, '--config', path.join(folder, 'stele.yaml')], {
    print: (line) => out.push(line),
    say: (line) => err.push(line),
    signal: new AbortController().signal,
    environment: {},
    workingDir: folder,
  });
  return { status, out: out.join('\n'), err: err.join('\n') };
}

test('a check finds what was built to be right, as words and as JSON', async () => {
  const { status, out, err } = await stele('replay', '--check');
  expect([status, out]).toEqual([0, '']);
  expect(err).toMatch(/^The projections are what the log says: 1 records up to position 0 .* tables compared\.\n/);
  expect(err).toMatch(/\nThere is no search index to check; .*$/);
  const asJson = await stele('replay', '--check', '--json');
  expect(asJson.status).toBe(0);
  expect(JSON.parse(asJson.out)).toMatchObject({ ok: true, records: 1, frontier: 0 });
});

test('a forged row is found by table and key, and a replay takes it away', async () => {
  const environment = new Environment({ path: path.join(paths().projections, 'env-1'), projections: coreProjections });
  const writer = new RowWriter(environment);
  writer.owner = roomsProjection;
  environment.commit(() => {
    const checkpoint = environment.readCheckpoint();
    writer.put(timeline, [0, 7], 7);
    return checkpoint;
  });
  await environment.close();

  const { status, out, err } = await stele('replay', '--check');
  expect(status).toBe(1);
  expect(out).toBe('rooms.timeline [0,7]: not in the log; in use is 000000000007');
  expect(err).toContain('The projections differ from what the log says: rooms.timeline (1). Build anew');

  const rebuilt = await stele('replay');
  expect(rebuilt.status).toBe(0);
  expect(rebuilt.err).toContain('The projections were built anew: 1 records up to position 0');
  expect((await stele('replay', '--check')).status).toBe(0);
});

test('the search index is checked and built like the rest', async () => {
  const log = await openLog({ folder: paths().log });
  const engine = await ProjectionEngine.open({ dir: paths().search, log, projections: searchProjections });
  await engine.waitFor(log.head());
  await engine.close();
  await log.close();
  const right = await stele('replay', '--check');
  expect([right.status, right.out]).toEqual([0, '']);
  expect(right.err).toMatch(
    /\nThe search index is what the log says: 1 records up to position 0 .* tables compared\.$/,
  );

  const environment = new Environment({ path: path.join(paths().search, 'env-1'), projections: searchProjections });
  const writer = new RowWriter(environment);
  writer.owner = searchProjection;
  environment.commit(() => {
    const checkpoint = environment.readCheckpoint();
    writer.put(powers, [7], { version: '12', creator: null, createJson: '{}', levelsJson: null });
    return checkpoint;
  });
  await environment.close();
  const forged = await stele('replay', '--check', '--json');
  expect(forged.status).toBe(1);
  const { ok, tables } = JSON.parse(forged.out) as { ok: boolean; tables: { table: string; differences: number }[] };
  expect(ok).toBe(false);
  expect(tables.filter(({ differences }) => differences > 0).map(({ table }) => table)).toEqual([powers.name]);

  expect((await stele('replay')).err).toContain('The search index was built anew: 1 records up to position 0');
  expect((await stele('replay', '--check')).status).toBe(0);
});

test('a replay is turned down while a server has the data folder', async () => {
  const log = await openLog({ folder: paths().log });
  try {
    const { status, err } = await stele('replay');
    expect(status).toBe(1);
    expect(err).toMatch(/in use|running|another/i);
  } finally {
    await log.close();
  }
});
