import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { logPaths } from '../embedded/paths.ts';
import { Damaged, NO_STREAM, type RecordDraft } from '../event-log.ts';
import { openLog } from '../open-log.ts';
import { ErasedList, type ErasedSection, readErasedList } from './erased-list.ts';

let folder: string;
let list: string;
const logId = randomBytes(16);

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-erased-'));
  list = path.join(folder, 'erased.list');
});
afterEach(() => rm(folder, { recursive: true }));

const entry = (position: number): ErasedSection => ({
  position,
  section: position % 3,
  recordId: Buffer.alloc(16, position + 1),
  destroyedAtS: 1_700_000_000 + (position % 1000),
});
const opened = (id = logId): Promise<ErasedList> => ErasedList.open({ folder, path: list, logId: id });

describe('the list of destroyed keys', () => {
  test('says what was added, over several openings', async () => {
    expect(await readErasedList(list)).toBeUndefined();
    for (const positions of [[0, 1], [2], [2 ** 40]]) {
      const writing = await opened();
      await writing.add(positions.map(entry));
      expect(writing.last).toEqual(entry(positions.at(-1) ?? -1));
      await writing.close();
    }
    expect(await readErasedList(list)).toEqual({ logId, sections: [0, 1, 2, 2 ** 40].map(entry) });
  });

  test('loses nothing but a last entry that was half written', async () => {
    const writing = await opened();
    await writing.add([0, 1, 2].map(entry));
    await writing.close();
    await truncate(list, 64 + 2 * 32 + 11);
    expect((await readErasedList(list))?.sections).toEqual([0, 1].map(entry));
    const again = await opened();
    await again.add([entry(9)]);
    await again.close();
    expect((await readErasedList(list))?.sections).toEqual([0, 1, 9].map(entry));
  });

  test('is not believed when it was changed, or is of another log', async () => {
    const writing = await opened();
    await writing.add([0, 1, 2].map(entry));
    await writing.close();
    await expect(opened(randomBytes(16))).rejects.toThrow(/another log/);
    const handle = await open(list, 'r+');
    await handle.write(Buffer.from([0xee]), 0, 1, 64 + 33);
    await handle.close();
    await expect(readErasedList(list)).rejects.toThrow(Damaged);
    await writeFile(list, 'something else entirely, and long enough to be taken for a header of such a list');
    await expect(opened()).rejects.toThrow(Damaged);
  });

  test('begun and not finished, it is begun again', async () => {
    await writeFile(list, Buffer.alloc(0));
    const writing = await opened();
    await writing.add([entry(4)]);
    await writing.close();
    expect((await readErasedList(list))?.sections).toEqual([entry(4)]);
  });
});

describe('a log', () => {
  const draft = (text: string): RecordDraft => ({
    id: randomBytes(16),
    kind: 'test',
    version: 1,
    sections: [Buffer.from(`head of ${text}`), Buffer.from(text)],
  });

  test('lists a key before it is destroyed, and each once', async () => {
    const log = await openLog({ folder });
    await log.append('s', NO_STREAM, [draft('a'), draft('b'), draft('c')]);
    const [, second] = [await log.readAt(0), await log.readAt(1)];
    await log.destroyKeys([
      { position: 2, section: 0 },
      { position: 1, section: 1 },
    ]);
    await log.destroyKey(1, 1);
    await expect(log.destroyKeys([{ position: 0, section: 7 }])).rejects.toThrow(RangeError);
    await log.close();
    const read = await readErasedList(logPaths(folder).erased);
    expect(read?.logId).toEqual(log.logId);
    expect(read?.sections.map(({ position, section }) => [position, section])).toEqual([
      [2, 0],
      [1, 1],
    ]);
    expect(read?.sections[1]?.recordId).toEqual(second?.id);
  });

  test('destroys many keys side by side, and none beside them', async () => {
    const log = await openLog({ folder });
    const count = 60;
    await log.append(
      's',
      NO_STREAM,
      Array.from({ length: count }, (_, n) => draft(`${n}`)),
    );
    const isDue = (n: number): boolean => n % 3 !== 0 && n < 50;
    const due = Array.from({ length: count }, (_, position) => ({ position, section: 1 })).filter(({ position }) =>
      isDue(position),
    );
    await expect(log.destroyKeys([...due, { position: count, section: 0 }])).rejects.toThrow(RangeError);
    await log.destroyKeys(due.reverse());
    for await (const records of log.readAll(-1)) {
      for (const { position, sections } of records) {
        expect(sections[0]?.toString()).toBe(`head of ${position}`);
        expect(sections[1] === null).toBe(isDue(position));
      }
    }
    await log.close();
    expect((await readErasedList(logPaths(folder).erased))?.sections).toHaveLength(due.length);
  });

  test('given back an older keyring destroys again what was destroyed since', async () => {
    const log = await openLog({ folder });
    await log.append('s', NO_STREAM, [draft('a'), draft('b')]);
    await log.close();
    const paths = logPaths(folder);
    const backup = path.join(folder, 'backup');
    await cp(paths.keyring, backup, { recursive: true });
    const second = await openLog({ folder });
    await second.destroyKey(0, 1);
    await second.destroyKey(1, 0);
    await second.close();
    await cp(backup, paths.keyring, { recursive: true });
    const restored = await openLog({ folder });
    expect(restored.reapplied).toEqual({ destroyed: 2, alreadyGone: 0, unknown: 0 });
    expect((await restored.readAt(0))?.sections.map((section) => section?.toString())).toEqual([
      'head of a',
      undefined,
    ]);
    expect((await restored.readAt(1))?.sections[0]).toBeNull();
    await restored.close();
    const again = await openLog({ folder });
    expect(again.reapplied).toBeUndefined();
    await again.close();
  });

  test('passes over what was destroyed of records that it does not have', async () => {
    const log = await openLog({ folder });
    await log.append('s', NO_STREAM, [draft('a'), draft('b')]);
    const record = await log.readAt(0);
    const destroyedAtS = 1;
    const applied = await log.reapplyErasures([
      { position: 0, section: 1, recordId: Buffer.alloc(16, 7), destroyedAtS },
      { position: 99, section: 1, recordId: Buffer.alloc(16, 7), destroyedAtS },
      { position: 0, section: 0, recordId: record?.id ?? Buffer.alloc(16), destroyedAtS },
    ]);
    expect(applied).toEqual({ destroyed: 1, alreadyGone: 0, unknown: 2 });
    expect((await log.readAt(0))?.sections.map((section) => section?.toString())).toEqual([undefined, 'a']);
    await log.close();
    expect((await readFile(logPaths(folder).erased)).length).toBe(64 + 32);
  });
});
