/** `stele keys`, beside a running server and without one. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifySignedJson } from '#protocol/signing.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

interface ListedKey {
  readonly key_id: string;
  readonly public_key: string;
  readonly expired_ts: number | null;
}

interface KeyAnswer {
  readonly server_name: string;
  readonly verify_keys: Record<string, { readonly key: string }>;
  readonly old_verify_keys: Record<string, { readonly key: string; readonly expired_ts: number }>;
}

let stele: SteleProcess;
beforeAll(async () => {
  stele = await SteleProcess.make();
});
afterAll(async () => {
  await stele.stop();
  await stele.remove();
});

async function run<T>(...args: string[]): Promise<T[]> {
  const { status, stdout, stderr } = await stele.run('keys', ...args, '--json', '--config', stele.configFile);
  expect(status, stderr).toBe(0);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

async function published(): Promise<KeyAnswer> {
  const answer = await fetch(`${stele.url}/_matrix/key/v2/server`);
  return (await answer.json()) as KeyAnswer;
}

const keyIn = async (): Promise<string | undefined> =>
  (await readFile(path.join(stele.dataDir, 'signing.key'), 'utf8')).split(' ')[1];

it('rotates without a server, and beside one that signs with the new key at once; old keys outlive restarts', async () => {
  const [first] = await run<ListedKey>('list');
  expect(first).toMatchObject({ expired_ts: null });
  const [second] = await run<{ key_id: string; old_key_id: string }>('rotate');
  expect(second).toMatchObject({ old_key_id: first?.key_id });

  await stele.start();
  const before = await published();
  expect(Object.keys(before.verify_keys)).toEqual([second?.key_id]);
  expect(before.old_verify_keys).toEqual({
    [first?.key_id ?? '']: { key: first?.public_key, expired_ts: expect.any(Number) },
  });

  const [third] = await run<{ key_id: string; old_key_id: string }>('rotate');
  const after = await published();
  const [[keyId, { key }] = ['', { key: '' }]] = Object.entries(after.verify_keys);
  expect(keyId).toBe(third?.key_id);
  expect(verifySignedJson({ ...after }, 'localhost', keyId, Buffer.from(key, 'base64'))).toBe(true);
  expect(`ed25519:${await keyIn()}`).toBe(keyId);

  await stele.stop('SIGKILL');
  await stele.start();
  const { old_verify_keys: old, verify_keys: inUse } = await published();
  expect([Object.keys(inUse), old]).toEqual([[keyId], after.old_verify_keys]);
  expect(Object.keys(old).sort()).toEqual([first?.key_id, second?.key_id].sort());
  expect(await run<ListedKey>('list')).toHaveLength(3);
}, 60_000);
