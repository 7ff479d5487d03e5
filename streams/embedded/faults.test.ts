import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { collect, draft } from '../contract.ts';
import { BEFORE_FIRST, type LogRecord, NotWritten, OutcomeUnknown } from '../event-log.ts';
import { type OpenLog, type OpenLogOptions, openLog } from '../open-log.ts';
import { FaultyFiles } from './faulty-files.test-support.ts';

const SEGMENT = /\.seg$/;
const KEYS = /\.keys$/;

let folder: string;
let files: FaultyFiles;
let log: OpenLog;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-faults-'));
  files = new FaultyFiles();
  log = await open();
  await log.append('a', -1, [draft('0')]);
});
afterEach(async () => {
  await log.close();
  await rm(folder, { recursive: true });
});

function open(more: Partial<OpenLogOptions> = {}): Promise<OpenLog> {
  return openLog({ folder, files, retryMs: 0, ...more });
}

async function reopen(more: Partial<OpenLogOptions> = {}): Promise<void> {
  await log.close();
  log = await open(more);
}

const texts = async () =>
  (await collect(log.readAll(BEFORE_FIRST))).flat().map((record) => `${record.sections[1]}`.replace('content of ', ''));

const append = async (text: string) => log.append('a', await log.revisionOf('a'), [draft(text)]);

describe('a full disk', () => {
  for (const [what, fault] of [
    ['when the segment is written', { on: 'write', path: SEGMENT }],
    ['in the middle of what is written', { on: 'write', path: SEGMENT, afterBytes: 100 }],
    ['at the end of what is written', { on: 'write', path: SEGMENT, afterBytes: 1_000_000 }],
    ['when the keys are written', { on: 'write', path: KEYS }],
    ['in the middle of the keys', { on: 'write', path: KEYS, afterBytes: 40 }],
  ] as const) {
    test(`${what}: writing stops, reading goes on, and writing goes on when space is back`, async () => {
      files.fail({ ...fault, code: 'ENOSPC', times: 2 });
      await expect(append('1')).rejects.toThrow(NotWritten);
      expect(log.writeState()).toMatchObject({
        writable: false,
        reason: expect.stringMatching(/is full .* free some space/),
      });
      expect(await texts()).toEqual(['0']);
      await expect(append('1')).rejects.toThrow(/is full/);
      await append('2');
      expect(log.writeState()).toEqual({ writable: true });
      await append('3');
      expect(await texts()).toEqual(['0', '2', '3']);
      await reopen();
      expect(await texts()).toEqual(['0', '2', '3']);
      expect(log.recovery.cut).toBeUndefined();
    });
  }

  test('leaves nothing of what was not written, even if the server dies then', async () => {
    files.fail({ on: 'write', path: KEYS, code: 'ENOSPC' });
    await expect(append('1')).rejects.toThrow(NotWritten);
    await reopen();
    expect(await texts()).toEqual(['0']);
    await append('2');
    expect(await texts()).toEqual(['0', '2']);
  });

  test('turns appends down at once while it waits, without asking the disk', async () => {
    await reopen({ retryMs: 3_600_000 });
    files.fail({ on: 'write', path: SEGMENT, code: 'ENOSPC' });
    await expect(append('1')).rejects.toThrow(NotWritten);
    const calls = files.calls.length;
    await expect(append('2')).rejects.toThrow(/is full/);
    await expect(append('3')).rejects.toThrow(/is full/);
    expect(files.calls.length).toBe(calls);
  });

  test('when a new segment is begun', async () => {
    await reopen({ segmentBytes: 4096 });
    for (const fault of [
      { on: 'open', path: /new\.tmp$/ },
      { on: 'write', path: /new\.tmp$/ },
      { on: 'datasync', path: /new\.tmp$/ },
      { on: 'rename', path: SEGMENT },
    ] as const) {
      files.fail({ ...fault, code: 'ENOSPC' });
      let failures = 0;
      for (let n = 0; n < 40; n++) await append(`${n}`).catch(() => (failures += 1));
      expect(failures, fault.on).toBe(1);
    }
    const before = await texts();
    expect(before).toHaveLength(1 + 4 * 39);
    await reopen({ segmentBytes: 4096 });
    expect(await texts()).toEqual(before);
  });

  test('while the log grows ahead harms nothing', async () => {
    files.fail({ on: 'write', path: SEGMENT, code: 'ENOSPC', times: 0 });
    await Promise.all(
      Array.from({ length: 3000 }, (_, n) => log.append(`s${n}`, -1, [draft('', { sections: [Buffer.alloc(1000)] })])),
    );
    expect(log.head()).toBe(3000);
  });
});

describe('an input/output error', () => {
  test('on writing stops writing until the log is opened again', async () => {
    files.fail({ on: 'write', path: SEGMENT, code: 'EIO', afterBytes: 60 });
    await expect(append('1')).rejects.toThrow(NotWritten);
    await expect(append('2')).rejects.toThrow(/check the disk, then restart the server/);
    expect(log.writeState().writable).toBe(false);
    expect(await texts()).toEqual(['0']);
    await reopen();
    await append('3');
    expect(await texts()).toEqual(['0', '3']);
  });

  for (const where of [SEGMENT, KEYS]) {
    test(`on syncing ${where.source} leaves the outcome unknown, shows nothing, and stops writing`, async () => {
      const seen: LogRecord[] = [];
      await log.subscribeAll(log.head(), { onRecords: (records) => void seen.push(...records) }).live;
      files.fail({ on: 'datasync', path: where, code: 'EIO' });
      const behind = [append('1')];
      await expect(behind[0]).rejects.toThrow(OutcomeUnknown);
      await expect(append('2')).rejects.toThrow(NotWritten);
      expect(await texts()).toEqual(['0']);
      expect(seen).toEqual([]);
      expect(log.head()).toBe(0);
      await reopen();
      // It happens to be there, whole; and it was written and synced once more before it is shown.
      expect(await texts()).toEqual(['0', '1']);
      const lastCalls = files.calls.slice(-12).join('\n');
      expect(lastCalls).toMatch(/write .*\.seg\n.*datasync .*\.seg/);
      expect(lastCalls).toMatch(/write .*\.keys\n.*datasync .*\.keys/);
      await append('3');
      expect(await texts()).toEqual(['0', '1', '3']);
    });
  }

  test('when a failed write cannot be taken back leaves the outcome unknown', async () => {
    files.fail({ on: 'write', path: KEYS, code: 'ENOSPC' });
    files.fail({ on: 'truncate', path: SEGMENT, code: 'EIO' });
    await expect(append('1')).rejects.toThrow(OutcomeUnknown);
    await expect(append('2')).rejects.toThrow(NotWritten);
    await reopen();
    expect((await texts())[0]).toBe('0');
    await append('3');
  });

  test('on writing an index is harmless', async () => {
    await reopen({ segmentBytes: 4096 });
    files.fail({ on: 'rename', path: /\.idx$/, code: 'EIO', times: 2 });
    for (let n = 0; n < 120; n++) await append(`${n}`);
    expect(await texts()).toHaveLength(121);
    await reopen({ segmentBytes: 4096 });
    expect(log.recovery.indexesMade).toHaveLength(2);
    expect(await texts()).toHaveLength(121);
  });

  test('on destroying a key says that it must be done again', async () => {
    files.fail({ on: 'datasync', path: KEYS, code: 'EIO' });
    await expect(log.destroyKey(0, 0)).rejects.toThrow(/Destroy it again/);
    await log.destroyKey(0, 0);
    expect((await log.readAt(0))?.sections[0]).toBeNull();
  });
});

test('a file system that became read-only stops writing and says so', async () => {
  files.fail({ on: 'write', path: SEGMENT, code: 'EROFS' });
  files.fail({ on: 'truncate', path: SEGMENT, code: 'EROFS', times: 0 });
  await expect(append('1')).rejects.toThrow(/mount the file system for writing/);
  expect(await texts()).toEqual(['0']);
});

test('a disk that does not answer leaves the outcome unknown, and what it does later is seen', async () => {
  await reopen({ appendDeadlineMs: 40 });
  const seen: LogRecord[] = [];
  await log.subscribeAll(log.head(), { onRecords: (records) => void seen.push(...records) }).live;
  const answer = files.hang('datasync', SEGMENT);
  const slow = append('1');
  await expect(slow).rejects.toThrow(/has not answered within 40 ms/);
  await expect(slow).rejects.toThrow(OutcomeUnknown);
  expect(seen).toEqual([]);
  answer();
  await append('2');
  expect(seen.map((record) => record.position)).toEqual([1, 2]);
});

test('more bytes in flight than the bound are turned down', async () => {
  await reopen({ maxPendingBytes: 10_000 });
  const big = () => draft('', { sections: [Buffer.alloc(6000)] });
  const taken = [log.append('x', -1, [big()]), log.append('y', -1, [big()])];
  await expect(log.append('z', -1, [big()])).rejects.toThrow(/waiting for the disk/);
  await Promise.all(taken);
  await log.append('z', -1, [big()]);
});
