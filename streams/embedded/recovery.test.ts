import { cp, mkdtemp, open, readdir, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { collect, draft } from '../contract.ts';
import { BEFORE_FIRST, Damaged } from '../event-log.ts';
import { MasterKeyProblem } from '../keyring/master-key.ts';
import { type OpenLog, openLog } from '../open-log.ts';
import { FaultyFiles } from './faulty-files.test-support.ts';
import { LogInUse } from './lock.ts';

const SEGMENT_BYTES = 4 * 1024;
const FIRST_SEGMENT = 'segments/0000000000000000.seg';
const KEYS = 'keyring/keys-00000000.keys';

let root: string;
let folder: string;
let copies = 0;
const opened: OpenLog[] = [];

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'stele-recovery-'));
  folder = path.join(root, 'log');
});
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
  await rm(root, { recursive: true });
});

async function start(where = folder, more: { segmentBytes?: number; mustHaveAtLeast?: number } = {}): Promise<OpenLog> {
  const log = await openLog({ folder: where, ...more });
  opened.push(log);
  return log;
}

/** What a crash of the server leaves: the files as they are at this moment. */
async function crash(): Promise<string> {
  const copy = path.join(root, `crashed-${copies++}`);
  await cp(folder, copy, { recursive: true });
  return copy;
}

async function fill(log: OpenLog, stream: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await log.append(stream, await log.revisionOf(stream), [draft(`${stream} ${n}`)]);
  }
}

const everything = async (log: OpenLog) => (await collect(log.readAll(BEFORE_FIRST))).flat();

/** Overwrites bytes of a file in place. */
async function patch(file: string, offset: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(bytes, 0, bytes.length, offset);
  await handle.close();
}

async function flip(file: string, offset: number): Promise<void> {
  const byte = (await readFile(file))[offset] ?? 0;
  await patch(file, offset, Buffer.from([byte ^ 0x40]));
}

/** Where the written part of a file ends. */
async function writtenEnd(file: string): Promise<number> {
  const bytes = await readFile(file);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

/** A log with some commits, and its files before and after the last of them. */
async function twoStates(): Promise<{ before: string; after: string; records: number }> {
  const log = await start();
  await fill(log, 'a', 5);
  const before = await crash();
  await log.append('a', 4, [draft('last 1'), draft('last 2', { sections: [Buffer.alloc(1500, 7)] }), draft('last 3')]);
  const after = await crash();
  return { before, after, records: 5 };
}

describe('after a crash', () => {
  test('everything acknowledged is there', async () => {
    const log = await start();
    await fill(log, 'a', 20);
    const again = await start(await crash());
    expect(await everything(again)).toEqual(await everything(log));
    expect(again.recovery).toMatchObject({ closedInOrder: false, records: 20, cut: undefined });
  });

  test('the folders of a new log are durable before anything is acknowledged', async () => {
    const files = new FaultyFiles();
    const log = await openLog({ folder, files });
    opened.push(log);
    await fill(log, 'a', 1);
    const synced = files.calls
      .filter((call) => call.startsWith('syncFolder'))
      .map((call) => path.relative(root, call.slice(11)));
    expect(synced).toEqual(expect.arrayContaining(['', 'log', 'log/segments', 'log/keyring']));
  });

  test('a closed log says that it was closed in order', async () => {
    const log = await start();
    await fill(log, 'a', 3);
    await log.close();
    const again = await start();
    expect(again.recovery).toMatchObject({ closedInOrder: true, records: 3, cut: undefined, warnings: [] });
  });

  test('a commit written up to any byte is there whole or cut, and the log goes on', async () => {
    const { before, after, records } = await twoStates();
    const [old, full] = [
      await readFile(path.join(before, FIRST_SEGMENT)),
      await readFile(path.join(after, FIRST_SEGMENT)),
    ];
    const start0 = await writtenEnd(path.join(before, FIRST_SEGMENT));
    const end = await writtenEnd(path.join(after, FIRST_SEGMENT));
    for (let cut = start0; cut < end; cut += cut < start0 + 64 || cut > end - 64 ? 5 : 97) {
      const torn = Buffer.from(old);
      full.copy(torn, 0, 0, cut);
      await rm(folder, { recursive: true, force: true });
      await cp(after, folder, { recursive: true });
      await writeFile(path.join(folder, FIRST_SEGMENT), torn);
      const log = await openLog({ folder });
      expect((await everything(log)).length, `written up to byte ${cut}`).toBe(records);
      const whole = torn.subarray(0, end).equals(old.subarray(0, end));
      if (!whole) expect(log.recovery.cut?.file.endsWith(FIRST_SEGMENT)).toBe(true);
      expect((await log.append('a', 4, [draft('next')])).firstPosition).toBe(records);
      await log.close();
    }
  });

  test('a commit with any sector missing is cut', async () => {
    const { before, after, records } = await twoStates();
    const full = await readFile(path.join(after, FIRST_SEGMENT));
    const from = await writtenEnd(path.join(before, FIRST_SEGMENT));
    const end = await writtenEnd(path.join(after, FIRST_SEGMENT));
    for (let sector = Math.ceil(from / 512) * 512; sector < end; sector += 512) {
      await rm(folder, { recursive: true, force: true });
      await cp(after, folder, { recursive: true });
      const torn = Buffer.from(full).fill(0, sector, sector + 512);
      await writeFile(path.join(folder, FIRST_SEGMENT), torn);
      const log = await openLog({ folder });
      expect((await everything(log)).length, `without the sector at ${sector}`).toBe(records);
      expect(log.recovery.cut).toBeDefined();
      await log.close();
    }
  });

  test('a commit without its keys is cut, and no key slot is used again', async () => {
    const { before, after, records } = await twoStates();
    await cp(path.join(before, KEYS), path.join(after, KEYS));
    const log = await start(after);
    expect(await everything(log)).toHaveLength(records);
    expect(log.recovery.cut).toMatchObject({ records: 3 });
    await fill(log, 'b', 2);
    expect((await everything(log)).map((record) => record.stream)).toEqual(['a', 'a', 'a', 'a', 'a', 'b', 'b']);
  });

  test('keys without their commit are left unused', async () => {
    const { before, after, records } = await twoStates();
    await cp(path.join(before, FIRST_SEGMENT), path.join(after, FIRST_SEGMENT));
    const slotsUsed = await writtenEnd(path.join(after, KEYS));
    const log = await start(after);
    expect(await everything(log)).toHaveLength(records);
    expect(log.recovery.closedInOrder).toBe(false);
    await fill(log, 'b', 1);
    expect((await log.readRaw(records))?.firstKeySlot).toBeGreaterThanOrEqual(Math.floor((slotsUsed - 512) / 32));
  });

  test('indexes that are missing or broken are made again', async () => {
    const log = await start(folder, { segmentBytes: SEGMENT_BYTES });
    await fill(log, 'a', 60);
    await fill(log, 'b', 60);
    await log.close();
    const before = await everything(await start());
    await opened.pop()?.close();
    const indexes = (await readdir(path.join(folder, 'segments'))).filter((name) => name.endsWith('.idx'));
    expect(indexes.length).toBeGreaterThan(2);
    await unlink(path.join(folder, 'segments', indexes[0] ?? ''));
    await flip(path.join(folder, 'segments', indexes[1] ?? ''), 20);
    await truncate(path.join(folder, 'segments', indexes[2] ?? ''), 60);
    const again = await start();
    expect(again.recovery.indexesMade.map((file) => path.basename(file))).toEqual(indexes.slice(0, 3));
    expect(await everything(again)).toEqual(before);
    expect(await collect(again.readStream('a', { direction: 'backwards' }))).toHaveLength(60);
    await opened.pop()?.close();
    expect((await start()).recovery.indexesMade).toEqual([]);
  });

  test('a new segment that was only just begun is used', async () => {
    const log = await start(folder, { segmentBytes: SEGMENT_BYTES });
    await fill(log, 'a', 60);
    const crashed = await crash();
    const names = (await readdir(path.join(crashed, 'segments'))).filter((name) => name.endsWith('.seg'));
    const last = path.join(crashed, 'segments', names.at(-1) ?? '');
    const firstInLast = Number(names.at(-1)?.slice(0, 16));
    await truncate(last, 64);
    await expect(start(crashed)).rejects.toThrow(Damaged);
    await cp(path.join(folder, KEYS), path.join(crashed, KEYS));
    await expect(start(crashed, { mustHaveAtLeast: firstInLast })).rejects.toThrow(/acknowledged records are lost/);
  });
});

describe('damage stops the server, naming file, offset, record and the command that helps', () => {
  async function expectDamage(where: string, what: RegExp): Promise<void> {
    const failure = await start(where).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Damaged);
    expect(String(failure)).toMatch(what);
  }

  test('a byte changed in any record of the last segment', async () => {
    const log = await start();
    await fill(log, 'a', 6);
    await log.close();
    const file = path.join(folder, FIRST_SEGMENT);
    const end = await writtenEnd(file);
    let found = 0;
    for (let offset = 64; offset < end; offset += 41) {
      await flip(file, offset);
      const failure = await openLog({ folder }).then(
        (log) => log.close(),
        (error: Error) => error,
      );
      // Padding is covered by no checksum, and says nothing.
      if (failure)
        expect(failure.message).toMatch(/0000000000000000\.seg, offset \d+, record \d+: .*stele verify --from \d+/s);
      if (failure) found += 1;
      await flip(file, offset);
    }
    expect(found).toBeGreaterThan(10);
  });

  test('a byte changed in an acknowledged last commit, even after a crash', async () => {
    const log = await start();
    await fill(log, 'a', 3);
    const crashed = await crash();
    const file = path.join(crashed, FIRST_SEGMENT);
    await flip(file, (await writtenEnd(file)) - 20);
    await expectDamage(crashed, /record 2: its checksum does not match/);
  });

  test('records that were acknowledged and are cut off', async () => {
    const log = await start();
    await fill(log, 'a', 2);
    const early = await crash();
    await fill(log, 'a', 4);
    const late = await crash();
    await cp(path.join(early, FIRST_SEGMENT), path.join(late, FIRST_SEGMENT));
    await expectDamage(late, /3 acknowledged records are lost: the keyring tells of 5, there are 2/);
  });

  test('an older copy of the whole log, when a checkpoint tells of more', async () => {
    const log = await start();
    await fill(log, 'a', 2);
    const early = await crash();
    await expect(start(early, { mustHaveAtLeast: 3 })).rejects.toThrow(/1 acknowledged records are lost: a checkpoint/);
    await start(early, { mustHaveAtLeast: 2 });
  });

  test('a missing or a cut segment in the middle', async () => {
    const log = await start(folder, { segmentBytes: SEGMENT_BYTES });
    await fill(log, 'a', 150);
    await log.close();
    const segments = (await readdir(path.join(folder, 'segments'))).filter((name) => name.endsWith('.seg'));
    const second = path.join(folder, 'segments', segments[1] ?? '');
    const bytes = await readFile(second);
    await truncate(second, bytes.length - 100);
    await expectDamage(folder, /offset \d+, record \d+: the file ends there/);
    await unlink(second);
    await expectDamage(folder, new RegExp(`${segments[1]} is missing`));
    await unlink(second.replace('.seg', '.idx'));
    await expectDamage(folder, new RegExp(`${segments[1]} is missing`));
  });

  test('a finished segment with a byte changed, found when it is read', async () => {
    const log = await start(folder, { segmentBytes: SEGMENT_BYTES });
    await fill(log, 'a', 80);
    await log.close();
    await flip(path.join(folder, FIRST_SEGMENT), 500);
    const again = await start();
    await expect(everything(again)).rejects.toThrow(/0000000000000000\.seg, offset \d+, record \d/);
    await expect(again.readAt(2)).rejects.toThrow(Damaged);
    expect(await again.readAt(70)).toBeDefined();
  });

  test('all segments gone', async () => {
    const log = await start();
    await fill(log, 'a', 3);
    await log.close();
    await unlink(path.join(folder, FIRST_SEGMENT));
    await expectDamage(folder, /3 acknowledged records are lost/);
  });

  test('a segment of another log', async () => {
    const log = await start();
    await fill(log, 'a', 1);
    const other = await openLog({ folder: path.join(root, 'other') });
    await fill(other, 'a', 1);
    await other.close();
    await log.close();
    await cp(path.join(root, 'other', FIRST_SEGMENT), path.join(folder, FIRST_SEGMENT));
    await expectDamage(folder, /belongs elsewhere/);
  });

  test('a keyring that is missing, cut, or older than the log', async () => {
    const log = await start();
    await fill(log, 'a', 2);
    const early = await readFile(path.join(folder, KEYS));
    await fill(log, 'a', 5);
    await log.close();
    const keys = path.join(folder, KEYS);
    const whole = await readFile(keys);
    await writeFile(keys, early);
    await expectDamage(folder, /keyring/);
    await truncate(keys, 512);
    await expectDamage(folder, /keyring/);
    await flip(keys, 40);
    await expectDamage(folder, /keys-00000000\.keys, offset 0/);
    await unlink(keys);
    await expectDamage(folder, /holds no keyring/);
    await writeFile(keys, whole);
    expect(await everything(await start())).toHaveLength(7);
  });

  test('a key changed, found when its section is opened', async () => {
    const log = await start();
    await fill(log, 'a', 2);
    await log.close();
    await flip(path.join(folder, KEYS), 512 + 10);
    const again = await start();
    await expect(again.readAt(0)).rejects.toThrow(/section 0 of the record at position 0 does not open .* slot 0/);
    expect(await again.readAt(1)).toBeDefined();
  });
});

describe('the master key', () => {
  test('is made on first start, for the owner alone', async () => {
    await start();
    expect((await stat(path.join(folder, 'master.key'))).mode & 0o777).toBe(0o600);
  });

  test('missing or wrong, it keeps the server from starting, and a new one is not made', async () => {
    const log = await start();
    await fill(log, 'a', 1);
    await log.close();
    const file = path.join(folder, 'master.key');
    const right = await readFile(file);
    await unlink(file);
    await expect(openLog({ folder })).rejects.toThrow(MasterKeyProblem);
    await expect(openLog({ folder })).rejects.toThrow(/master\.key is missing.*backup/);
    await writeFile(file, `${Buffer.alloc(32, 5).toString('base64')}\n`);
    await expect(openLog({ folder })).rejects.toThrow(/does not fit the keyring/);
    await writeFile(file, 'nonsense');
    await expect(openLog({ folder })).rejects.toThrow(/holds no master key/);
    await writeFile(file, right);
    expect(await everything(await start())).toHaveLength(1);
  });

  test('may lie elsewhere, and is reported when others may read it', async () => {
    const masterKeyFile = path.join(root, 'elsewhere', 'stele.key');
    const log = await openLog({ folder, masterKeyFile });
    await log.close();
    const handle = await open(masterKeyFile, 'r');
    await handle.chmod(0o644);
    await handle.close();
    const again = await openLog({ folder, masterKeyFile });
    expect(again.recovery.warnings).toEqual([expect.stringMatching(/readable by others.*chmod 600/)]);
    await again.close();
  });
});

describe('one server for one folder', () => {
  test('a second one is turned away with a sentence, until the first is closed', async () => {
    const log = await start();
    await expect(openLog({ folder })).rejects.toThrow(LogInUse);
    await expect(openLog({ folder })).rejects.toThrow(`in use by process ${process.pid} on`);
    await fill(log, 'a', 1);
    await log.close();
    expect((await start()).head()).toBe(0);
  });

  test('one that could not open leaves the folder free', async () => {
    const log = await start();
    await fill(log, 'a', 1);
    await log.close();
    const file = path.join(folder, FIRST_SEGMENT);
    await flip(file, 80);
    await expect(openLog({ folder })).rejects.toThrow(Damaged);
    await flip(file, 80);
    await start();
  });
});

describe('destroyed keys', () => {
  test('leave nothing of the key in the keyring, and stay destroyed after a crash', async () => {
    const log = await start();
    await fill(log, 'a', 3);
    const file = path.join(folder, KEYS);
    const slot = (await log.readRaw(1))?.firstKeySlot ?? 0;
    const before = await readFile(file);
    const key = before.subarray(512 + 32 * (slot + 1), 512 + 32 * (slot + 2));
    const leaf = (await log.readRaw(1))?.leaf;
    await log.destroyKey(1, 1);
    const after = await readFile(file);
    expect(after.includes(key)).toBe(false);
    expect(after.subarray(512 + 32 * (slot + 1), 512 + 32 * (slot + 2))).toEqual(Buffer.alloc(32, 0xff));
    expect(after.subarray(0, 512 + 32 * (slot + 1))).toEqual(before.subarray(0, 512 + 32 * (slot + 1)));
    const again = await start(await crash());
    const record = await again.readAt(1);
    expect(record?.sections[0]).not.toBeNull();
    expect(record?.sections[1]).toBeNull();
    expect((await again.readRaw(1))?.leaf).toEqual(leaf);
  });

  test('of the last commit do not make it look torn', async () => {
    const log = await start();
    await fill(log, 'a', 2);
    await log.destroyKey(1, 0);
    await log.destroyKey(1, 1);
    const again = await start(await crash());
    expect(again.recovery.cut).toBeUndefined();
    expect((await again.readAt(1))?.sections).toEqual([null, null]);
  });
});
