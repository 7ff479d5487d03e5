import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogRecord } from '#streams/event-log.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { ProjectionEngine } from './engine.ts';
import { HiddenRows } from './hidden-rows.ts';
import type { Projection } from './projection.ts';
import { defineTable, str, tuple, u48 } from './table.ts';

const words = defineTable({
  name: 'test.words',
  key: tuple<[position: number]>(u48),
  value: str,
  why: 'For a test.',
  hide: ([position], word, { positions }) => (positions.has(position) ? undefined : word),
});
const lengths = defineTable({
  name: 'test.lengths',
  key: tuple<[position: number]>(u48),
  value: u48,
  why: 'For a test: what the projection itself reads.',
});
const projection: Projection = {
  name: 'test',
  version: 1,
  tables: [words, lengths],
  apply(tx, { position, sections: [section] }: LogRecord) {
    tx.put(words, [position], section ? Buffer.from(section).toString() : '');
    tx.put(lengths, [position], tx.get(words, [Math.max(0, position - 1)])?.length ?? 0);
  },
};

const hidden = (positions: number[]) => ({ positions, contents: [], contentTimes: [], users: [] });

describe('rows that are hidden', () => {
  let dir: string;
  let log: ReturnType<typeof openMemoryLog>;
  let engine: ProjectionEngine;
  let written = 0;

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'stele-hidden-'));
    log = openMemoryLog();
    engine = await ProjectionEngine.open({ dir, log, projections: [projection], safeCopies: false });
    for (const word of ['one', 'two', 'three']) await write(word);
  });
  afterEach(async () => {
    await engine.close();
    await log.close();
    await rm(dir, { recursive: true, force: true });
  });

  async function write(word: string): Promise<void> {
    const id = Buffer.alloc(16, ++written);
    await log.append('s', await log.revisionOf('s'), [{ id, kind: 'pdu', version: 1, sections: [Buffer.from(word)] }]);
  }
  const shown = (): (string | undefined)[] => [0, 1, 2].map((position) => engine.reader.get(words, [position]));

  it('are not read, one by one, in ranges and in snapshots, until the tables are built anew', async () => {
    engine.hide(hidden([1]));
    expect(shown()).toEqual(['one', undefined, 'three']);
    expect(Array.from(engine.reader.range(words), ({ value }) => value)).toEqual(['one', 'three']);
    expect(Array.from(engine.reader.range(words, { limit: 2 }), ({ value }) => value)).toEqual(['one', 'three']);
    expect(await engine.snapshot((reader) => reader.get(words, [1]))).toBeUndefined();
    await log.destroyKeys([{ position: 1, section: 0 }]);
    await engine.renew();
    expect(shown()).toEqual(['one', '', 'three']);
  });

  it('are seen by projections, which must do the same as in a replay', async () => {
    engine.hide(hidden([2]));
    await write('four');
    expect(engine.reader.get(lengths, [3])).toBe('three'.length);
  });

  it('stay hidden when the tables cannot be built', async () => {
    engine.hide(hidden([1]));
    await expect(engine.renew({ buildAhead: () => Promise.reject(new Error('no room')) })).rejects.toThrow('no room');
    expect(shown()).toEqual(['one', undefined, 'three']);
  });
});

describe('what is hidden', () => {
  it('while tables are built stays so until the next ones are', () => {
    const rows = new HiddenRows();
    rows.add(hidden([1]));
    rows.beginBuilding();
    rows.add(hidden([2]));
    rows.built();
    expect([...(rows.current?.positions ?? [])]).toEqual([2]);
    rows.beginBuilding();
    rows.built();
    expect(rows.current).toBeUndefined();
  });

  it('once more after keys are gone outlives tables that may have read them', () => {
    const rows = new HiddenRows();
    rows.add(hidden([1]));
    rows.beginBuilding();
    // The key goes here: tables may have the row.
    rows.add(hidden([1]));
    rows.built();
    expect(rows.current?.positions.has(1)).toBe(true);
  });
});
