/** What the running server does when its folder, its disk or its keys are not as they should be. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dataPaths } from '#src/data-paths.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { openLog } from '#streams/open-log.ts';
import { SteleProcess, type TestUser } from '#test/support/stele-process.ts';

const FRAME_ALIGN_BYTES = 8;

let stele: SteleProcess;
let alice: TestUser;
let roomId: string;
/** Body by event id, of every message that was acknowledged. */
let acknowledged: Map<string, string>;

beforeEach(async () => {
  stele = await SteleProcess.make();
  acknowledged = new Map();
});
afterEach(async () => {
  await stele.remove();
});

describe('the data folder', () => {
  it('is for one server at a time', async () => {
    await startAndTalk();
    const second = await SteleProcess.make({ data_dir: stele.dataDir });
    try {
      const { status, stderr } = await second.startInVain();
      expect(status).toBe(1);
      expect(stderr).toMatch(new RegExp(`in use by process ${stele.pid} .*stop that server first`));
      await say('not disturbed');
      await stele.stop('SIGKILL');
      // However the first one ended, its folder is free.
      await second.start();
      await second.stop();
    } finally {
      await second.remove();
    }
  });
});

describe('SIGTERM', () => {
  it('answers long polls, ends with status 0 and closes the log in order', async () => {
    await startAndTalk();
    const { next_batch: since } = await alice.call('GET', '/sync?timeout=0');
    const poll = alice.call('GET', `/sync?timeout=60000&since=${since}`);
    // The poll has come in when the server answers what was asked behind it.
    await alice.call('GET', '/account/whoami');
    expect(await stele.stop('SIGTERM')).toBe(0);
    expect((await poll)['next_batch']).toEqual(expect.any(String));
    const log = await openLog({ folder: dataPaths(stele.dataDir).log });
    await log.close();
    expect(log.recovery).toMatchObject({ closedInOrder: true, cut: undefined });
  });
});

describe('the end of the log', () => {
  it('with half a commit that was never acknowledged is cut off and reported', async () => {
    await startAndTalk();
    await stele.stop('SIGKILL');
    const { file, end } = await lastSegment();
    const torn = Buffer.alloc(300, 0x5a);
    torn.writeUInt32BE(2_000, 0);
    await overwrite(file, end, torn);
    await stele.start();
    expect(stele.logged('warn')).toContainEqual(expect.objectContaining({ file, offset: end, bytes: torn.length }));
    await expectEverything();
    await say('goes on');
    await expectVerified();
  });

  it('with records missing stops the server, since a checkpoint tells of them', async () => {
    await startAndTalk();
    await stele.stop('SIGTERM');
    const { file, end } = await lastSegment();
    await overwrite(file, end - 400, Buffer.alloc(400));
    const { status, stderr } = await stele.startInVain();
    expect(status).toBe(1);
    expect(stderr).toMatch(/record \d+.*acknowledged records are lost/s);
    expect(stderr).toContain(file);
  });
});

describe('a flipped byte in the middle of the log', () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`stops the server that was ended by ${signal}, naming file, offset, record and the command that helps`, async () => {
      await startAndTalk();
      await stele.stop(signal);
      const { file, end } = await lastSegment();
      const middle = Math.floor(end / 2);
      await flip(file, middle);

      const { status, stderr } = await stele.startInVain();
      expect(status).toBe(1);
      expect(stderr).toContain(file);
      expect(stderr).toMatch(/offset \d+, record \d+/);
      expect(stderr).toContain('stele verify');
      expect(stderr).not.toMatch(/\n\s+at /);

      const verified = await stele.run('verify', '--config', stele.configFile);
      expect(verified.status).toBe(1);
      expect(verified.stdout + verified.stderr).toMatch(/record \d+/);

      await flip(file, middle);
      await stele.start();
      await expectEverything();
    });
  }
});

describe('the master key', () => {
  it('that is missing or another stops the server, and nothing is touched', async () => {
    await startAndTalk();
    await stele.stop('SIGTERM');
    const { masterKey } = logPaths(dataPaths(stele.dataDir).log);
    await rename(masterKey, `${masterKey}.away`);
    const missing = await stele.startInVain();
    expect(missing.status).toBe(1);
    expect(missing.stderr).toMatch(/master key .* is missing.*from your backup/);
    await expect(stat(masterKey)).rejects.toThrow('ENOENT');

    const other = await SteleProcess.make();
    try {
      await other.start();
      await other.stop();
      await copyFile(logPaths(dataPaths(other.dataDir).log).masterKey, masterKey);
    } finally {
      await other.remove();
    }
    const wrong = await stele.startInVain();
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toMatch(/master key does not fit .*from your backup/);

    await rename(`${masterKey}.away`, masterKey);
    await stele.start();
    await expectEverything();
  });
});

describe('a full disk', () => {
  const mounts = canMount();
  if (!mounts)
    console.warn('SKIPPED: the tests of a full disk need to mount a small file system, which only root may.');

  // The log has room ahead of it, so where all is on one disk the projections are the first to find it full.
  it.skipIf(!mounts).each([
    ['everything', (dataDir: string) => dataDir],
    ['the log alone', (dataDir: string) => dataPaths(dataDir).log],
  ])('with %s on it: writes are turned down with the reason, reading goes on, it recovers by itself', async (_, on) => {
    const folder = on(stele.dataDir);
    await mkdir(folder, { recursive: true });
    mountSmallDisk(folder);
    try {
      await startAndTalk();
      const ballast = path.join(folder, 'ballast');
      fillDisk(ballast);
      const { refusal, unanswered } = await sayUntilRefused();
      expect(unanswered.length).toBeLessThanOrEqual(1);
      expect(refusal).toMatch(/: 503 .*"errcode":"M_UNKNOWN".*disk is full/);
      expect(refusal).not.toContain(stele.dataDir);
      await expect(stele.register('bob')).rejects.toThrow(/: 503 /);
      const ready = await fetch(`${stele.url}/_stele/ready`);
      expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('the disk')]);

      expect((await alice.call('GET', '/sync?timeout=0'))['next_batch']).toEqual(expect.any(String));
      expect((await history()).size).toBeGreaterThan(0);
      for (const eventId of (await history()).keys()) expect(acknowledged.has(eventId)).toBe(true);

      await rm(ballast);
      await sayUntilTaken('there is space again');
      for (const body of unanswered) await say(body);
      await expectEverything();
      expect((await fetch(`${stele.url}/_stele/ready`)).status).toBe(200);
      await expect.poll(() => stele.logged('warn').at(-1)).toMatchObject({ msg: 'writing goes on' });
      // What was refused is said once; only the request whose outcome was open has a line of its own. The search index, which
      // lags, may or may not have come to write while the disk was full.
      const errors = stele.logged('error').filter(({ msg }) => !String(msg).startsWith('the search index has stopped'));
      const reasons = errors.filter(({ reason }) => reason !== undefined);
      expect(reasons).toMatchObject([{ reason: expect.stringContaining('free some space') }]);
      expect(errors.length - reasons.length).toBe(unanswered.length);

      await stele.stop('SIGKILL');
      await stele.start();
      await expectEverything();
      await expectVerified();
      await stele.stop('SIGTERM');
    } finally {
      await stele.stop('SIGKILL');
      execFileSync('umount', [folder]);
    }
  });
});

async function startAndTalk(): Promise<void> {
  await stele.start();
  alice = await stele.register('alice');
  roomId = String((await alice.call('POST', '/createRoom', {}))['room_id']);
  for (let index = 0; index < 10; index++) await say(`message ${index}`);
}

async function say(body: string): Promise<void> {
  const at = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${encodeURIComponent(body.slice(0, 80))}`;
  const { event_id: eventId } = await alice.call('PUT', at, { msgtype: 'm.text', body });
  acknowledged.set(String(eventId), body);
}

/**
 * Sends until the server turns one down; gives what it said, and the message of which it could not say whether it was
 * stored: the one under way when the disk became full.
 */
async function sayUntilRefused(): Promise<{ refusal: string; unanswered: string[] }> {
  const unanswered: string[] = [];
  for (let index = 0; ; index++) {
    const body = `filling ${index} ${'x'.repeat(10_000)}`;
    try {
      await say(body);
    } catch (error) {
      if (!String(error).includes('cannot tell whether')) return { refusal: String(error), unanswered };
      unanswered.push(body);
    }
  }
}

async function sayUntilTaken(body: string): Promise<void> {
  for (;;) {
    try {
      await say(body);
      return;
    } catch (error) {
      if (!String(error).includes(': 503 ')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Every message of the room by event id. */
async function history(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  let from = '';
  for (;;) {
    const page = await alice.call('GET', `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=500${from}`);
    for (const event of page['chunk'] as { event_id: string; type: string; content: { body: string } }[]) {
      if (event.type !== 'm.room.message') continue;
      expect(found.has(event.event_id)).toBe(false);
      found.set(event.event_id, event.content.body);
    }
    if (page['end'] === undefined) return found;
    from = `&from=${String(page['end'])}`;
  }
}

/** All that was acknowledged is there, once, and nothing else. */
async function expectEverything(): Promise<void> {
  expect([...(await history())].sort()).toEqual([...acknowledged].sort());
}

async function expectVerified(): Promise<void> {
  const { status, stdout, stderr } = await stele.run('verify', '--config', stele.configFile);
  expect([status, stdout + stderr]).toEqual([0, expect.anything()]);
}

/** The last segment's file, and where its records end. */
async function lastSegment(): Promise<{ file: string; end: number }> {
  const folder = logPaths(dataPaths(stele.dataDir).log).segments;
  const name = (await readdir(folder))
    .filter((entry) => entry.endsWith('.seg'))
    .sort()
    .at(-1);
  if (name === undefined) throw new Error(`no segment in ${folder}`);
  const file = path.join(folder, name);
  const written = (await readFile(file)).findLastIndex((byte) => byte !== 0) + 1;
  return { file, end: Math.ceil(written / FRAME_ALIGN_BYTES) * FRAME_ALIGN_BYTES };
}

async function overwrite(file: string, offset: number, bytes: Buffer): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.write(bytes, 0, bytes.length, offset);
  } finally {
    await handle.close();
  }
}

async function flip(file: string, offset: number): Promise<void> {
  const byte = (await readFile(file)).readUInt8(offset);
  await overwrite(file, offset, Buffer.of(byte ^ 0x10));
}

/** Whether this process may mount file systems: root may, unless a container keeps it from it. */
function canMount(): boolean {
  const folder = mkdtempSync(path.join(tmpdir(), 'stele-mount-'));
  try {
    mountSmallDisk(folder);
    execFileSync('umount', [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(folder);
  }
}

function mountSmallDisk(folder: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'stele-test', folder], { stdio: 'ignore' });
}

/** Writes until nothing more fits. */
function fillDisk(file: string): void {
  const handle = openSync(file, 'w');
  try {
    for (const size of [1_048_576, 4_096]) {
      try {
        for (;;) writeSync(handle, Buffer.alloc(size, 1));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      }
    }
  } finally {
    closeSync(handle);
  }
}
