import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { ProjectionEngine } from './engine.ts';
import { EngineStopped, ProjectionFailed, UnknownTable } from './errors.ts';
import { ListLog } from './list-log.test-support.ts';
import { failingAt, notes, notesByStream, sampleProjections, totals, totalsProjection } from './notes.test-support.ts';
import type { EngineProgress } from './progress.ts';
import { DuplicateName, type Projection } from './projection.ts';

let dir: string;
const opened: ProjectionEngine[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-engine-'));
});
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close();
  await rm(dir, { recursive: true, force: true });
});

async function open(log: ListLog, projections = sampleProjections): Promise<ProjectionEngine> {
  const engine = await ProjectionEngine.open({ dir, log, projections, bootId: 'this boot' });
  opened.push(engine);
  return engine;
}

/** Everything in the tables of the samples. */
function contents(engine: ProjectionEngine): unknown {
  const rows = [...engine.reader.range(notesByStream)].map(({ key, value }) => [key, value.toString()]);
  return [rows, [...engine.reader.range(totals)].map(({ key, value }) => [key, value])];
}

describe('following the log', () => {
  it('applies what was there before it opened, and what comes after', async () => {
    const log = new ListLog(250);
    const engine = await open(log);
    expect(engine.frontier).toBe(249);
    expect(engine.reader.get(totals, ['room-0'])).toEqual({ count: 36, last: 245 });

    log.grow(3);

    expect(engine.frontier).toBe(252);
    expect(engine.reader.frontier).toBe(252);
    expect(engine.reader.get(totals, ['room-0'])).toEqual({ count: 37, last: 252 });
    expect(engine.recordCount).toBe(253);
  });

  it('goes on where it was after a restart', async () => {
    const log = new ListLog(250);
    await (await open(log)).close();
    log.grow(20);
    const progress: EngineProgress[] = [];
    const engine = await ProjectionEngine.open({
      dir,
      log,
      projections: sampleProjections,
      bootId: 'this boot',
      onProgress: (told) => progress.push(told),
    });
    opened.push(engine);
    expect(progress.at(-1)).toMatchObject({ records: 20, position: 269, head: 269, isDone: true });
    expect(engine.reader.count(notesByStream)).toBe(270);
  });

  it('has applied a record before its append is acknowledged', async () => {
    const log = openMemoryLog();
    const engine = await ProjectionEngine.open({ dir, log, projections: sampleProjections });
    opened.push(engine);
    const draft = { id: Buffer.alloc(16, 1), kind: 'note', version: 1, sections: [Buffer.from('hello')] };
    const { lastPosition } = await log.append('room-a', -1, [draft]);
    expect(engine.reader.get(notesByStream, ['room-a', lastPosition])?.toString()).toBe('hello');
    expect(engine.frontier).toBe(lastPosition);
    await log.close();
  });

  it('tells listeners how far and whom, after the commit', async () => {
    const log = new ListLog();
    const engine = await open(log);
    const heard: unknown[] = [];
    const stop = engine.onAdvance((frontier, touched) =>
      heard.push([frontier, [...touched], engine.reader.count(notesByStream)]),
    );
    log.grow(2);
    log.grow(1);
    stop();
    log.grow(1);
    expect(heard).toEqual([
      [1, ['room-0', 'room-1'], 2],
      [2, ['room-2'], 3],
    ]);
  });

  it('keeps going when a listener throws', async () => {
    const log = new ListLog();
    const errors: Error[] = [];
    const engine = await ProjectionEngine.open({
      dir,
      log,
      projections: sampleProjections,
      onError: (error) => errors.push(error),
    });
    opened.push(engine);
    engine.onAdvance(() => {
      throw new Error('not my day');
    });
    log.grow(2);
    expect(errors.map((error) => error.message)).toEqual(['not my day']);
    expect(engine.failure).toBeUndefined();
  });
});

describe('waiting for a position', () => {
  it('resolves in the order of positions, at once for what is there', async () => {
    const log = new ListLog(1);
    const engine = await open(log);
    await engine.waitFor(0);
    const order: number[] = [];
    const waits = [3, 1, 2].map((position) => engine.waitFor(position).then(() => order.push(position)));
    log.grow(2);
    await Promise.all([waits[1], waits[2]]);
    expect(order).toEqual([1, 2]);
    log.grow(1);
    await waits[0];
    expect(order).toEqual([1, 2, 3]);
  });

  it('ends with the reason of its signal', async () => {
    const log = new ListLog(1);
    const engine = await open(log);
    const controller = new AbortController();
    const wait = engine.waitFor(5, controller.signal);
    controller.abort(new Error('the client left'));
    await expect(wait).rejects.toThrow('the client left');
    await expect(engine.waitFor(5, controller.signal)).rejects.toThrow('the client left');
  });

  it('ends when the engine is closed', async () => {
    const engine = await open(new ListLog(1));
    const wait = engine.waitFor(5);
    const ended = expect(wait).rejects.toBeInstanceOf(EngineStopped);
    await engine.close();
    await ended;
    await expect(engine.waitFor(5)).rejects.toBeInstanceOf(EngineStopped);
  });
});

describe('reading', () => {
  it('stays at one moment in a snapshot, across awaits', async () => {
    const log = new ListLog(10);
    const engine = await open(log);
    await engine.snapshot(async (reader) => {
      log.grow(5);
      await new Promise((resolve) => setImmediate(resolve));
      log.grow(5);
      expect(reader.frontier).toBe(9);
      expect(reader.count(notesByStream)).toBe(10);
      expect(reader.get(notesByStream, ['room-3', 10])).toBeUndefined();
      expect([...reader.range(notesByStream)].length).toBe(10);
      expect(reader.seekLast(notesByStream, ['room-3'])?.key).toEqual(['room-3', 3]);
      expect(engine.reader.count(notesByStream)).toBe(20);
    });
    expect(engine.reader.seekLast(notesByStream, ['room-3'])?.key).toEqual(['room-3', 17]);
  });

  it('refuses tables of other environments', async () => {
    const engine = await open(new ListLog(1), [notes]);
    expect(() => engine.reader.get(totals, ['room-0'])).toThrow(UnknownTable);
  });
});

describe('a projection that throws', () => {
  it('stops the engine at the batch before, naming projection, position and kind', async () => {
    const log = new ListLog(10);
    const engine = await open(log, [failingAt(12), totalsProjection]);
    const failures: Error[] = [];
    engine.onFailure((error) => failures.push(error));
    const wait = engine.waitFor(12);
    log.grow(2);
    log.grow(2);
    log.grow(2);
    expect(failures).toHaveLength(1);
    expect(engine.failure).toBeInstanceOf(ProjectionFailed);
    expect(engine.failure).toMatchObject({ projection: 'notes', position: 12, kind: 'note' });
    expect(engine.failure?.message).toBe('projection notes cannot apply record 12 (note): this note cannot be applied');
    expect(engine.frontier).toBe(11);
    expect(engine.reader.count(notesByStream)).toBe(12);
    expect(engine.reader.get(totals, ['room-5'])).toEqual({ count: 1, last: 5 });
    await expect(wait).rejects.toBeInstanceOf(EngineStopped);
    await expect(engine.waitFor(13)).rejects.toThrow('this note cannot be applied');
  });

  it('rejects opening, and goes on once the projection is mended', async () => {
    const log = new ListLog(150);
    await expect(open(log, [failingAt(120), totalsProjection])).rejects.toBeInstanceOf(ProjectionFailed);
    const engine = await open(log);
    expect(engine.reader.count(notesByStream)).toBe(150);
  });

  it('may only write its own tables', async () => {
    const trespasser: Projection = { name: 'trespasser', version: 1, tables: [], apply: notes.apply };
    const log = new ListLog(1);
    await expect(open(log, [notes, trespasser])).rejects.toThrow('belongs to notes, not to trespasser');
  });
});

describe('a full disk', () => {
  it('stops the engine until there is room again', async () => {
    let isFull = false;
    const bounded: Projection = {
      ...notes,
      apply(tx, record) {
        notes.apply(tx, record);
        if (isFull) throw Object.assign(new Error('No space left on device'), { code: 28 });
      },
    };
    const log = new ListLog(10);
    const engine = await ProjectionEngine.open({ dir, log, projections: [bounded], retryMs: 1 });
    opened.push(engine);
    const failures: Error[] = [];
    engine.onFailure((error) => failures.push(error));
    isFull = true;
    log.grow(5);
    expect(engine.failure?.message).toContain('No space left');
    expect(engine.frontier).toBe(9);
    const advanced = new Promise<number>((resolve) => engine.onAdvance(resolve));
    isFull = false;
    log.grow(5);
    expect(await advanced).toBe(19);
    await expect.poll(() => engine.failure).toBeUndefined();
    log.grow(5);
    expect(engine.reader.count(notesByStream)).toBe(25);
    expect(failures).toHaveLength(1);
  });
});

describe('changed projections', () => {
  it('are rebuilt beside and swapped when a version or a table changes', async () => {
    const log = new ListLog(120);
    await (await open(log, [notes])).close();
    const before = await readdir(dir);

    const progress: EngineProgress[] = [];
    const shorter: Projection = {
      ...notes,
      version: 2,
      apply: (tx, record) => {
        if (record.position < 10) notes.apply(tx, record);
      },
    };
    const engine = await ProjectionEngine.open({
      dir,
      log,
      projections: [shorter, totalsProjection],
      onProgress: (told) => progress.push(told),
    });
    opened.push(engine);

    expect(engine.reader.count(notesByStream)).toBe(10);
    expect(engine.reader.count(totals)).toBe(7);
    expect(progress.at(-1)?.reason).toBe('the projections have changed with the program');
    expect(before.sort()).toEqual(['CURRENT', 'env-1']);
    expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-2']);
  });

  it('may not share names', async () => {
    const log = new ListLog();
    await expect(open(log, [notes, notes])).rejects.toBeInstanceOf(DuplicateName);
    await expect(open(log, [notes, { ...notes, name: 'notes2' }])).rejects.toThrow('declared by notes and by notes2');
  });
});

describe('growth', () => {
  it('needs no more than a small map to begin with', async () => {
    const wide: Projection = {
      ...notes,
      apply(tx, record) {
        tx.put(notesByStream, [record.stream, record.position], Buffer.alloc(20_000, record.position));
      },
    };
    const log = new ListLog(300);
    const engine = await ProjectionEngine.open({ dir, log, projections: [wide], mapBytes: 64 * 1024 });
    opened.push(engine);
    const held = engine.reader.range(notesByStream)[Symbol.iterator]();
    held.next();
    for (let round = 0; round < 300; round++) log.grow(2);
    expect(engine.failure).toBeUndefined();
    expect(engine.reader.count(notesByStream)).toBe(900);
    for (const { key, value } of engine.reader.range(notesByStream)) {
      expect(value.equals(Buffer.alloc(20_000, key[1]))).toBe(true);
    }
    held.return?.();
    await engine.close();
    const again = await ProjectionEngine.open({ dir, log, projections: [wide], mapBytes: 64 * 1024 });
    opened.push(again);
    expect(again.reader.count(notesByStream)).toBe(900);
  });
});

it('gives the same rows however the records were batched', async () => {
  const log = new ListLog(300);
  const built = contents(await open(log));
  const other = await mkdtemp(join(tmpdir(), 'stele-engine-'));
  const single = new ListLog();
  const engine = await ProjectionEngine.open({ dir: other, log: single, projections: sampleProjections });
  for (let round = 0; round < 300; round++) single.grow(1);
  expect(contents(engine)).toEqual(built);
  await engine.close();
  await rm(other, { recursive: true, force: true });
});
