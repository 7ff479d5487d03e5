import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { Environment } from '#projections/engine/environment.ts';
import { EnvironmentDamaged } from '#projections/engine/errors.ts';
import { ListLog } from '#projections/engine/list-log.test-support.ts';
import { notes, notesByStream, sampleProjections, totals } from '#projections/engine/notes.test-support.ts';
import { type CheckResult, check, NothingToCheck, rebuild } from '#projections/engine/replay.ts';
import { RowWriter } from '#projections/engine/row-access.ts';
import type { LogRecord } from '#streams/event-log.ts';

const bootId = 'this boot';
let parent: string;
let dir: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'stele-replay-'));
  dir = join(parent, 'core');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

async function build(log: ListLog): Promise<void> {
  const engine = await ProjectionEngine.open({ dir, log, projections: sampleProjections, bootId });
  await engine.close();
}

function checkWith(log: ListLog, options: Partial<Parameters<typeof check>[0]> = {}): Promise<CheckResult> {
  const readable: Parameters<typeof check>[0]['log'] = {
    readAll: (from) => log.readAll(from),
    head: () => log.head(),
    refresh: async () => log.head(),
  };
  return check({ dir, projections: sampleProjections, log: readable, maxDifferences: 2, bootId, ...options });
}

/** Changes rows behind the engine's back. */
async function tamper(change: (tx: RowWriter) => void): Promise<void> {
  const environment = new Environment({ path: join(dir, 'env-1'), projections: sampleProjections });
  const writer = new RowWriter(environment);
  environment.commit(() => {
    for (const projection of sampleProjections) {
      writer.owner = projection;
      if (projection === notes) change(writer);
    }
    return environment.readCheckpoint();
  });
  await environment.close();
}

describe('checking', () => {
  it('finds tables that a replay gives again to be equal', async () => {
    const log = new ListLog(1234);
    await build(log);
    const progress: number[] = [];
    const result = await checkWith(log, { onProgress: (records) => progress.push(records) });
    expect(result).toMatchObject({ isEqual: true, frontier: 1233, records: 1234 });
    expect(result.tables).toEqual([
      { table: 'notes.by-stream', rows: 1234, differences: 0, first: [] },
      { table: 'totals.by-stream', rows: 7, differences: 0, first: [] },
    ]);
    expect(progress.at(-1)).toBe(1234);
    expect(await readdir(parent)).toEqual(['core']);
  });

  it('tells what differs, by table and key', async () => {
    const log = new ListLog(300);
    await build(log);
    await tamper((tx) => {
      tx.remove(notesByStream, ['room-0', 0]);
      tx.put(notesByStream, ['room-0', 7], Buffer.from('forged'));
      tx.put(notesByStream, ['room-9', 1], Buffer.from('made up'));
    });
    const { isEqual, tables } = await checkWith(log);
    expect(isEqual).toBe(false);
    expect(tables[0]).toEqual({
      table: 'notes.by-stream',
      rows: 300,
      differences: 3,
      first: [
        { what: 'missing', key: '["room-0",0]', rebuilt: Buffer.from('note 0 ').toString('hex') },
        {
          what: 'different',
          key: '["room-0",7]',
          inUse: Buffer.from('forged').toString('hex'),
          rebuilt: Buffer.from(`note 7 ${'x'.repeat(7)}`).toString('hex'),
        },
      ],
    });
    expect(tables[1]?.differences).toBe(0);
  });

  it('compares at the position of the environment, also when the log is beyond it', async () => {
    await build(new ListLog(150));
    expect(await checkWith(new ListLog(420))).toMatchObject({ isEqual: true, frontier: 149, records: 150 });
  });

  it('works while another process writes', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'growing-writer.ts'), dir, '2000', bootId], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await message(child, 'ready');
    const log = new ListLog(2000);
    const readAll = async function* (from: number): AsyncGenerator<readonly LogRecord[]> {
      yield* log.readAll(from);
      if (log.head() > 1999) return;
      // What was there is applied; now the other process goes on.
      child.send('grow');
      await message(child, 'grown');
    };
    const refresh = async (): Promise<number> => {
      log.grow(500);
      return log.head();
    };
    const result = await checkWith(log, { log: { readAll, head: () => log.head(), refresh } });
    expect(result).toMatchObject({ isEqual: true, frontier: 2499, records: 2500 });
    child.disconnect();
    await once(child, 'exit');
  });

  it('says when there is nothing to compare, or nothing that can be read', async () => {
    await mkdir(dir, { recursive: true });
    await expect(checkWith(new ListLog(1))).rejects.toBeInstanceOf(NothingToCheck);
    const log = new ListLog(10);
    const engine = await ProjectionEngine.open({ dir, log, projections: sampleProjections, bootId });
    await expect(checkWith(log, { bootId: 'another boot' })).rejects.toBeInstanceOf(EnvironmentDamaged);
    await engine.close();
    await expect(checkWith(log, { projections: [notes] })).rejects.toBeInstanceOf(NothingToCheck);
  });

  it('removes what an earlier check left, and stops when told to', async () => {
    const log = new ListLog(5000);
    await build(log);
    await mkdir(join(parent, `core.check-${process.pid}`));
    const controller = new AbortController();
    const onProgress = (records: number): void => {
      if (records >= 1000) controller.abort(new Error('enough'));
    };
    await expect(checkWith(log, { onProgress, signal: controller.signal })).rejects.toThrow('enough');
    expect(await readdir(parent)).toEqual(['core']);
  });
});

describe('rebuilding', () => {
  it('replaces the environment in use', async () => {
    const log = new ListLog(800);
    await build(log);
    await tamper((tx) => tx.removeRange(notesByStream, {}));
    expect((await checkWith(log)).isEqual).toBe(false);

    const result = await rebuild({ dir, log, projections: sampleProjections, bootId });

    expect(result).toMatchObject({ records: 800, frontier: 799 });
    expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-2']);
    expect((await checkWith(log)).isEqual).toBe(true);
    const engine = await ProjectionEngine.open({ dir, log, projections: sampleProjections, bootId });
    expect(engine.reader.count(totals)).toBe(7);
    await engine.close();
  });

  it('leaves the one in use when it ends early', async () => {
    const log = new ListLog(800);
    await build(log);
    const signal = AbortSignal.abort(new Error('not now'));
    await expect(rebuild({ dir, log, projections: sampleProjections, bootId, signal })).rejects.toThrow('not now');
    expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-1']);
  });
});

async function message(child: ChildProcess, expected: string): Promise<void> {
  const [received] = await once(child, 'message');
  expect(received).toBe(expected);
}
