import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openMatrixSigningKey, openPolicySigningKey, replaceMatrixSigningKey } from './signing-key.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-key-'));
  file = path.join(folder, 'data', 'signing.key');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('makes a key that only its owner can read, once', async () => {
  const made = await openMatrixSigningKey(file);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readFile(file, 'utf8')).toMatch(/^ed25519 a_[0-9a-f]{6} [A-Za-z0-9+/]{43}\n$/);
  const opened = await openMatrixSigningKey(file);
  expect([opened.keyId, opened.publicKey]).toEqual([made.keyId, made.publicKey]);
});

it('replaces a key in one step and leaves nothing behind', async () => {
  const old = await openMatrixSigningKey(file);
  const next = await replaceMatrixSigningKey(file);
  expect(next.keyId).not.toBe(old.keyId);
  expect((await openMatrixSigningKey(file)).publicKey).toEqual(next.publicKey);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(path.dirname(file))).toEqual(['signing.key']);
});

it('names the file that holds no key, and the one that cannot be written, but no secret', async () => {
  await writeFile(path.join(folder, 'bad'), 'ed25519 a_1 c2VjcmV0');
  await expect(openMatrixSigningKey(path.join(folder, 'bad'))).rejects.toThrow(
    expect.objectContaining({ message: expect.stringMatching(/bad: (?!.*c2Vj)/) }),
  );
  // A folder cannot be made where a file is.
  const below = path.join(folder, 'bad', 'signing.key');
  await expect(replaceMatrixSigningKey(below)).rejects.toThrow(below);
});

it('makes the key of a policy server, whose id is always the same', async () => {
  const made = await openPolicySigningKey(file);
  expect(made.keyId).toBe('ed25519:policy_server');
  expect((await openPolicySigningKey(file)).publicKey).toEqual(made.publicKey);
  await rm(file);
  await openMatrixSigningKey(file);
  await expect(openPolicySigningKey(file)).rejects.toThrow(/always ed25519:policy_server/);
});
