/** Verification of destroyed keys: each was decided on record before, and what is recorded to be gone is gone. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeBackup } from '#ops/backup/backup.ts';
import { restoreBackup } from '#ops/backup/restore.ts';
import { verifyFolder } from '#ops/verify/verify-folder.ts';
import { destroyedBy } from '#projections/compliance/queries.ts';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import { dataPaths } from '#src/data-paths.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { KEY_FILE_HEADER_BYTES } from '#streams/keyring/key-file.ts';
import { KEY_BYTES } from '#streams/keyring/key-store.ts';
import { openLog, openLogReadOnly } from '#streams/open-log.ts';
import { type FolderApplication, openFolderApplication } from './folder-application.test-support.ts';
import { filesUnder, makeRoom, say } from './support.ts';

const SECRET = 'Brombeermarmelade';

let folder: string;
let app: FolderApplication;
let position: number;
let isOpen = false;

const dataDir = (): string => path.join(folder, 'data');

async function open(): Promise<void> {
  app = await openFolderApplication(dataDir(), Date.now);
  isOpen = true;
}
async function close(): Promise<void> {
  if (isOpen) await app.close();
  isOpen = false;
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-destroyed-'));
  await open();
  const ann = app.as(await app.register('ann'));
  const eventId = await say(ann, await makeRoom(ann), SECRET);
  position = positionOfEvent(app.engine.reader, eventId) ?? -1;
});
afterEach(async () => {
  await close();
  await rm(folder, { recursive: true, force: true });
});

async function found(dir = dataDir()): Promise<string[]> {
  const paths = dataPaths(dir);
  const { findings, findingCount } = await verifyFolder({
    logFolder: paths.log,
    transparencyFolder: paths.transparency,
  });
  expect(findingCount).toBe(findings.length);
  return findings.map((finding) => `${finding.kind} ${finding.position}`);
}

const decide = () =>
  app.context.compliance.destruction.destroy({
    cause: 'history_purge',
    requestId: null,
    why: 'A test.',
    items: [{ position, sections: [1] }],
  });

const purge = async () => {
  await decide();
  await app.context.compliance.destruction.finish();
};

function backUp(): ReturnType<typeof makeBackup> {
  return makeBackup({
    dataDir: dataDir(),
    serverName: 'localhost',
    signingKeyFile: path.join(dataDir(), 'signing.key'),
    folder: path.join(folder, 'copy'),
    keyringFolder: path.join(folder, 'keys'),
    settings: {},
  });
}

/** Puts keys back that one keyring has still and another has not any more; gives how many. */
async function putBack(from: string, to: string): Promise<number> {
  let count = 0;
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.keys')) continue;
    const file = path.join(entry.parentPath, entry.name);
    const before = await readFile(path.join(from, path.relative(to, file)));
    const now = await readFile(file);
    const destroyed = Buffer.alloc(KEY_BYTES, 0xff);
    for (let at = KEY_FILE_HEADER_BYTES; at + KEY_BYTES <= before.length; at += KEY_BYTES) {
      const slot = now.subarray(at, at + KEY_BYTES);
      if (!slot.equals(destroyed) || before.subarray(at, at + KEY_BYTES).equals(destroyed)) continue;
      before.copy(now, at, at, at + KEY_BYTES);
      count++;
    }
    await writeFile(file, now);
  }
  return count;
}

describe('verification', () => {
  it('passes where keys were destroyed as records decided, beside the server too', async () => {
    await purge();
    expect(await found()).toEqual([]);
    await close();
    expect(await found()).toEqual([]);
  });

  it('passes where a password was changed: that the hash of the old one goes is decided, unless it is on hold', async () => {
    const { accounts, compliance } = app.context;
    const hashes = async (userId: string): Promise<boolean[]> => {
      const there: boolean[] = [];
      for await (const { kind, sections } of app.log.readStream(accounts.find(userId)?.stream ?? '')) {
        if (kind === 'user.registered' || kind === 'user.password_changed')
          there.push(sections[1] instanceof Uint8Array);
      }
      return there;
    };
    const change = (userId: string, password: string) =>
      accounts.changePassword(userId, password, { removeOtherDevices: false });
    const bob = await app.register('bob');
    await change(bob.userId, 'another long password');
    expect(await hashes(bob.userId)).toEqual([false, true]);
    const carl = await app.register('carl');
    await compliance.holds.add({ scope: { userId: carl.userId }, caseId: 'C', reason: 'R', by: 'operator:x' });
    await change(carl.userId, 'another long password');
    expect(await hashes(carl.userId)).toEqual([true, true]);
    expect(await found()).toEqual([]);
    // Nobody is in a hurry to clear tables of it.
    expect(compliance.destruction.unfinished).toBe(1);
    await compliance.retention.run();
    expect(compliance.destruction.unfinished).toBe(0);
    expect(await found()).toEqual([]);
  });

  it('finds a key that was destroyed without a decision', async () => {
    await app.log.destroyKey(position, 1);
    expect(await found()).toEqual([`undecided ${position}`]);
    await app.log.destroyKey(position, 0);
    expect(await found()).toEqual([`undecided ${position}`]);
  });

  it('finds a key that a keyring brought back, which the next start destroys again', async () => {
    const { keyring } = logPaths(dataPaths(dataDir()).log);
    await cp(keyring, path.join(folder, 'old'), { recursive: true });
    await purge();
    await close();
    expect(await putBack(path.join(folder, 'old'), keyring)).toBe(1);
    expect(await found()).toEqual([`revived ${position}`]);
    const log = await openLog({ folder: dataPaths(dataDir()).log });
    expect((await log.readAt(position))?.sections[1]).toBeNull();
    await log.close();
    expect(await found()).toEqual([]);
  });

  it('says so where the decisions cannot be read, and what else is wrong', async () => {
    await purge();
    const decision = destroyedBy(app.engine.reader, position) ?? -1;
    await close();
    const { segments } = logPaths(dataPaths(dataDir()).log);
    const log = await openLogReadOnly({ folder: dataPaths(dataDir()).log, withKeys: false });
    const sealed = (await log.readRaw(decision))?.sealedSections[0] ?? Buffer.alloc(0);
    await log.close();
    for (const name of await readdir(segments)) {
      const bytes = await readFile(path.join(segments, name));
      const at = bytes.indexOf(sealed);
      if (at < 0 || !name.endsWith('.seg')) continue;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      await writeFile(path.join(segments, name), bytes);
    }
    const kinds = (await found()).map((one) => one.split(' ')[0]);
    expect(kinds.filter((kind) => kind === 'damaged').length).toBeGreaterThan(1);
  });

  it('does not take what a crash left undone for a finding', async () => {
    const { destroyKeys } = app.log;
    app.log.destroyKeys = () => Promise.reject(new Error('killed'));
    await expect(decide()).rejects.toThrow('killed');
    app.log.destroyKeys = destroyKeys;
    expect(await found()).toEqual([]);
  });
});

describe('a restore', () => {
  it('records what was destroyed after the moment that it brings back', async () => {
    await app.publish();
    await backUp();
    await purge();
    const to = path.join(folder, 'restored');
    const erasedLists = [logPaths(dataPaths(dataDir()).log).erased];
    const options = { folder: path.join(folder, 'copy'), keyringFolder: path.join(folder, 'keys'), erasedLists, to };
    expect((await restoreBackup(options)).erasuresApplied).toBe(1);
    expect(await found(to)).toEqual([]);
    await close();
    const restored = await openFolderApplication(to, Date.now);
    try {
      const by = destroyedBy(restored.engine.reader, position);
      expect((await restored.log.readAt(by ?? -1))?.kind).toBe('destruction.decided');
      expect(restored.context.compliance.destruction.unfinished).toBe(0);
    } finally {
      await restored.close();
    }
  });

  it('destroys again what its own log says is gone, where the keyring is older and there is no list', async () => {
    await app.publish();
    await backUp();
    await cp(path.join(folder, 'keys'), path.join(folder, 'older-keys'), { recursive: true });
    await purge();
    await app.publish();
    await backUp();
    const to = path.join(folder, 'restored');
    expect(await putBack(path.join(folder, 'older-keys'), path.join(folder, 'keys'))).toBe(1);
    const options = { folder: path.join(folder, 'copy'), keyringFolder: path.join(folder, 'keys'), to };
    expect((await restoreBackup(options)).erasuresApplied).toBe(1);
    expect(await found(to)).toEqual([]);
    expect(await filesUnder(to, SECRET)).toEqual([]);
  });
});
