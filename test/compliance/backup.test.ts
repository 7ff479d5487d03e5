/** `stele backup` on a data folder, with the server running and without. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeBackup } from '#ops/backup/backup.ts';
import { openManifest } from '#ops/backup/manifest.ts';
import { pruneBackup } from '#ops/backup/prune.ts';
import { whyKept } from '#ops/backup/prune-decision.ts';
import type { Circumstances } from '#src/compliance/decision/decide.ts';
import { policyOf } from '#src/compliance/retention-policy.ts';
import { settingsSchema } from '#src/config/schema.ts';
import { diskFiles, type FileSystem } from '#streams/embedded/files.ts';
import { type Person, ServerFolder } from './server-folder.test-support.ts';

let server: ServerFolder;
let ada: Person;
let room: string;

beforeEach(async () => {
  server = await ServerFolder.make();
  await server.start();
  ada = await server.register('ada');
  room = await server.makeRoom(ada);
  await server.say(ada, room, 'the first word');
});

afterEach(() => server.remove());

async function allFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  return names.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

async function holdsText(folder: string, text: string): Promise<boolean> {
  for (const file of await allFiles(folder)) if ((await readFile(file)).includes(text)) return true;
  return false;
}

const upload = (text: string) =>
  server.ok('POST', '/_matrix/media/v3/upload', { token: ada.token, bytes: Buffer.from(text) });

function optionsFor(folder: string) {
  return {
    dataDir: server.path('data'),
    serverName: 'example.org',
    signingKeyFile: server.path('data', 'signing.key'),
    folder,
    settings: {},
  };
}

describe('stele backup', () => {
  test('while the server runs: what is there is not written again, and nothing can be read without the keyring', async () => {
    await upload('a very secret picture');
    await server.published();
    const first = await server.steleJson('backup', server.path('copy'), '--keyring', server.path('keys'));
    expect(first).toMatchObject({ ok: true, mediaFiles: 1, warnings: [], kept: { files: 0 } });
    await server.say(ada, room, 'the second word');
    await server.published();
    const second = await server.steleJson('backup', server.path('copy'), '--keyring', server.path('keys'));
    expect(second).toMatchObject({ mediaFiles: 1, warnings: [], kept: { files: 1 } });
    expect(Number(second['records'])).toBeGreaterThan(Number(first['records']));
    for (const text of ['secret picture', 'first word', 'second word']) {
      expect(await holdsText(server.path('copy'), text), text).toBe(false);
    }
    expect(await readdir(server.path('keys'))).toEqual(['keys', 'log-signing.key', 'master.key', 'signing.key']);
    expect(await readdir(server.path('copy'))).not.toContain('keyring');
  });

  test('while people write, each generation is of one published moment and can be restored', async () => {
    const published = async () => (await server.call('GET', '/_stele/log/checkpoint')).status;
    await expect.poll(published, { timeout: 60_000 }).toBe(200);
    const stop = new AbortController();
    const writing = Promise.all(
      [1, 2, 3].map(async (writer) => {
        for (let number = 0; !stop.signal.aborted; number++) await server.say(ada, room, `writer ${writer}: ${number}`);
      }),
    );
    const made: Record<string, unknown>[] = [];
    for (let run = 0; run < 3; run++) {
      made.push(await server.steleJson('backup', server.path('copy')));
      await server.say(ada, room, `after run ${run}`);
    }
    stop.abort();
    await writing;
    for (const { id, records, warnings } of made) {
      expect(warnings).toEqual([]);
      const drilled = await server.steleJson('drill', server.path('copy'), '--no-record', '--generation', String(id));
      expect(drilled).toMatchObject({ passed: true, records, findings: [] });
    }
  });

  test('the manifest is signed by the log, and names its checkpoint', async () => {
    const checkpoint = await server.published();
    const { id, records } = await server.steleJson('backup', server.path('copy'));
    const file = server.path('copy', 'generations', String(id), 'manifest');
    const note = await readFile(file, 'utf8');
    expect(openManifest(note, file)).toMatchObject({ checkpoint, records, server_name: 'example.org' });
    expect(() => openManifest(note.replace('"records": ', '"records": 1'), file)).toThrow(/no manifest of a backup/);
    expect(() => openManifest(note, file, 'another+00000000+key')).toThrow(/not by the key that was asked for/);
  });

  test('without the server running, and twice', async () => {
    await server.stop();
    const first = await server.steleJson('backup', server.path('copy'));
    expect(first).toMatchObject({ ok: true, kept: { files: 0 } });
    const { out, status } = await server.stele('verify', '--json');
    expect({ status, ok: JSON.parse(out).ok }).toEqual({ status: 0, ok: true });
  });

  test('the key of a policy server goes with it, and comes back, where there is one', async () => {
    await server.stop();
    const policyKeyFile = server.path('policy.key');
    await makeBackup({ ...optionsFor(server.path('copy')), policyKeyFile });
    expect(await readdir(server.path('copy', 'keyring'))).not.toContain('policy-signing.key');
    await writeFile(policyKeyFile, 'ed25519 policy_server AAAA\n');
    await makeBackup({ ...optionsFor(server.path('copy')), policyKeyFile });
    await server.steleJson('restore', server.path('copy'), '--to', server.path('restored'));
    expect(await readFile(server.path('restored', 'policy-signing.key'), 'utf8')).toBe('ed25519 policy_server AAAA\n');
  });

  test('a damaged file of the backup is found by its hash and written again', async () => {
    await server.stop();
    await makeBackup(optionsFor(server.path('copy')));
    const [name = ''] = await readdir(server.path('copy', 'segments'));
    const whole = await readFile(server.path('copy', 'segments', name));
    const file = await open(server.path('copy', 'segments', name), 'r+');
    await file.write(Buffer.from([(whole[1000] ?? 0) ^ 1]), 0, 1, 1000);
    await file.close();
    const report = await makeBackup(optionsFor(server.path('copy')));
    expect(report.warnings).toEqual([expect.stringContaining('was damaged, and was written again')]);
    expect(await readFile(server.path('copy', 'segments', name))).toEqual(whole);
  });

  test('a run that was broken off goes on: what was whole stays', async () => {
    await upload('one file');
    await upload('another file');
    await server.stop();
    const controller = new AbortController();
    await expect(
      makeBackup({
        ...optionsFor(server.path('copy')),
        signal: controller.signal,
        onProgress: (done, total) => {
          if (done > total - 20) controller.abort();
        },
      }),
    ).rejects.toThrow(/abort/i);
    expect(await readdir(server.path('copy'))).not.toContain('generations');
    const report = await makeBackup(optionsFor(server.path('copy')));
    expect(report.kept.files).toBeGreaterThanOrEqual(1);
    expect(report.mediaFiles).toBe(2);
    expect((await allFiles(server.path('copy'))).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('a run that was killed at any moment goes on, and nobody takes what it left for a backup', async () => {
    await upload('one file');
    await upload('another file');
    await server.stop();
    for (const share of [0, 0.9, 1]) {
      const script = path.join(import.meta.dirname, 'killed-backup.test-support.ts');
      const child = spawn(process.execPath, [script, JSON.stringify(optionsFor(server.path('copy'))), `${share}`]);
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      expect(signal).toBe('SIGKILL');
      const { status, err } = await server.stele('restore', server.path('copy'), '--to', server.path('restored'));
      expect({ status, err }).toEqual({ status: 1, err: expect.stringContaining('there is no backup in') });
    }
    const report = await makeBackup(optionsFor(server.path('copy')));
    expect(report).toMatchObject({ mediaFiles: 2, warnings: [] });
    expect((await allFiles(server.path('copy'))).filter((name) => name.endsWith('.part'))).toEqual([]);
    expect((await server.stele('drill', server.path('copy'), '--no-record')).status).toBe(0);
  });

  test('a full disk: it says so, leaves nothing half, and the next run goes on', async () => {
    await server.stop();
    let isFull = true;
    const files: FileSystem = {
      ...diskFiles,
      open: async (name, mode) => {
        const file = await diskFiles.open(name, mode);
        if (!name.endsWith('.seg.part')) return file;
        file.write = async () => {
          if (isFull) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
        };
        return file;
      },
    };
    await expect(makeBackup({ ...optionsFor(server.path('copy')), files })).rejects.toThrow(/disk of .* is full/);
    expect(await readdir(server.path('copy', 'segments'))).toEqual([]);
    isFull = false;
    expect(await makeBackup(optionsFor(server.path('copy')))).toMatchObject({ warnings: [] });
  });

  test('a key that was destroyed is destroyed in the kept keyring by the next run', async () => {
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    const { openLog } = await import('#streams/open-log.ts');
    await server.stop();
    const log = await openLog({ folder: server.path('data', 'log') });
    await log.destroyKey(0, 0);
    await log.close();
    expect(await makeBackup(optionsFor(server.path('copy')))).toMatchObject({ keys: { destroyed: 1 } });
    // And it stays so, whatever keyring the server has.
    expect(await makeBackup(optionsFor(server.path('copy')))).toMatchObject({ keys: { destroyed: 0, added: 0 } });
  });

  test('the keyring of another log is not written over', async () => {
    await server.stop();
    await mkdir(server.path('keys'));
    await writeFile(server.path('keys', 'master.key'), 'something else\n');
    const { status, err } = await server.stele('backup', server.path('copy'), '--keyring', server.path('keys'));
    expect({ status, err }).toEqual({ status: 1, err: expect.stringContaining('is another master key') });
    expect(await readFile(server.path('keys', 'master.key'), 'utf8')).toBe('something else\n');
  });

  test('media that are not what their name says are left out and named', async () => {
    await upload('a picture');
    await server.stop();
    const [prefix = ''] = (await readdir(server.path('data', 'media'))).filter((name) => name !== 'incoming');
    const [name = ''] = await readdir(server.path('data', 'media', prefix));
    await writeFile(server.path('data', 'media', prefix, name), 'a pictuRe');
    const report = await makeBackup(optionsFor(server.path('copy')));
    expect(report).toMatchObject({ mediaFiles: 0, warnings: [expect.stringContaining('not what its name says')] });
  });
});

describe('stele backup prune', () => {
  const policy = policyOf({ retention: settingsSchema.parse({ server_name: 'localhost' }).retention });

  async function generations(count: number): Promise<string[]> {
    await server.stop();
    const made: string[] = [];
    for (let number = 0; number < count; number++) {
      await server.start();
      await server.say(ada, room, `word ${number}`);
      await server.stop();
      made.push((await makeBackup(optionsFor(server.path('copy')))).id);
    }
    return made;
  }

  test('removes all but the newest, and the files that these do not need; what stays can be restored', async () => {
    const made = await generations(3);
    expect(await readdir(server.path('copy', 'segments'))).toHaveLength(3);
    const trial = await server.steleJson('backup', 'prune', server.path('copy'), '--keep', '1', '--dry-run');
    expect(trial).toMatchObject({ removed: made.slice(0, 2), filesRemoved: 2 });
    expect(await server.steleJson('backup', 'prune', server.path('copy'), '--keep', '1')).toMatchObject({
      removed: made.slice(0, 2),
      kept: [],
      filesRemoved: 2,
    });
    expect(await readdir(server.path('copy', 'generations'))).toEqual(made.slice(2));
    expect((await server.stele('drill', server.path('copy'), '--no-record')).status).toBe(0);
  });

  test('a run that ends in its middle is finished by the next, which removes what it left', async () => {
    const made = await generations(3);
    const prune = (files: FileSystem) =>
      pruneBackup({ folder: server.path('copy'), keepLast: 1, decide: () => undefined, files });
    const wanted = (await allFiles(server.path('copy'))).length;
    for (let removals = 0; ; removals++) {
      let left = removals;
      const cut: FileSystem = {
        ...diskFiles,
        remove: async (file) => {
          if (!file.endsWith('.lock') && left-- === 0) throw new Error('killed');
          await diskFiles.remove(file);
        },
      };
      const ended = await prune(cut).then(
        () => true,
        () => false,
      );
      if (ended) break;
      expect(removals).toBeLessThan(wanted);
    }
    expect(await readdir(server.path('copy', 'generations'))).toEqual(made.slice(2));
    expect(await readdir(server.path('copy', 'segments'))).toHaveLength(1);
    expect((await server.stele('drill', server.path('copy'), '--no-record')).status).toBe(0);
  });

  test('removes nothing that could not be put on record before', async () => {
    const made = await generations(2);
    // The log cannot be opened for writing, and what has no server beside it needs that.
    const key = server.path('data', 'log-signing.key');
    await rename(key, `${key}.away`);
    expect((await server.stele('backup', 'prune', server.path('copy'), '--keep', '1')).status).not.toBe(0);
    await rename(`${key}.away`, key);
    expect(await readdir(server.path('copy', 'generations'))).toEqual(made);
  });

  test('keeps what is on hold and says which hold', async () => {
    const made = await generations(2);
    const circumstances = { policy, nowMs: Date.now() };
    const prune = (holds: Circumstances['holds']) =>
      pruneBackup({
        folder: server.path('copy'),
        keepLast: 1,
        decide: (manifest, onlyCopy) => whyKept(manifest, onlyCopy, { ...circumstances, holds }),
      });
    const held = await prune([{ id: 'case-7', scope: { userId: ada.userId, toMs: Date.now() } }]);
    expect(held).toEqual({
      removed: [],
      kept: [{ generation: made[0], reason: expect.stringContaining('case-7') }],
      filesRemoved: 0,
    });
    // A hold on what comes after the generation says nothing about it.
    const later = await prune([{ id: 'case-8', scope: { roomId: room, fromMs: Date.now() + 3_600_000 } }]);
    expect(later.removed).toEqual(made.slice(0, 1));
  });

  test('keeps the last copy of media for the time that the policy asks for', async () => {
    await upload('the only copy');
    await generations(1);
    await rm(server.path('data', 'media'), { recursive: true });
    await makeBackup(optionsFor(server.path('copy')));
    const media = { minMs: 86_400_000, maxMs: null, legalBasis: null };
    const at = (nowMs: number) =>
      pruneBackup({
        folder: server.path('copy'),
        keepLast: 1,
        decide: (manifest, onlyCopy) =>
          whyKept(manifest, onlyCopy, {
            policy: { ...policy, classes: { ...policy.classes, media } },
            holds: [],
            nowMs,
          }),
      });
    expect((await at(Date.now())).kept).toEqual([
      { generation: expect.any(String), reason: expect.stringContaining('media') },
    ]);
    expect(await at(Date.now() + 2 * 86_400_000)).toMatchObject({ kept: [], removed: [expect.any(String)] });
    expect(await allFiles(server.path('copy', 'media'))).toEqual([]);
  });
});
