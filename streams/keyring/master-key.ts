/** The key that the keyring is encrypted with: one line of base64 in a file that only the server's user may read. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

export const MASTER_KEY_BYTES = 32;
const PRIVATE_MODE = 0o600;
const OTHERS = 0o077;

/** The master key is missing, unreadable, or not the one that the keyring was written with. Says what to do. */
export class MasterKeyProblem extends Error {
  override readonly name = 'MasterKeyProblem';
}

/** The key in the file, or undefined if there is no such file. Throws {@link MasterKeyProblem} if it holds no key. */
export async function readMasterKey(file: string): Promise<Buffer | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new MasterKeyProblem(`the master key ${file} cannot be read: ${String(error)}`);
  }
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== MASTER_KEY_BYTES || key.toString('base64') !== text.trim()) {
    throw new MasterKeyProblem(
      `${file} holds no master key (one line, ${MASTER_KEY_BYTES} bytes in base64). Put the right file there from your backup.`,
    );
  }
  return key;
}

/** Makes a new master key file, mode 0600, durable before it is used. Fails if there is one. */
export async function makeMasterKey(file: string): Promise<Buffer> {
  const key = randomBytes(MASTER_KEY_BYTES);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'wx', PRIVATE_MODE);
  try {
    await handle.writeFile(`${key.toString('base64')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  const folder = await open(path.dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return key;
}

/** A sentence for operators if others than the owner may read the key, or undefined. */
export async function masterKeyExposure(file: string): Promise<string | undefined> {
  const { mode } = await stat(file);
  if ((mode & OTHERS) === 0) return undefined;
  return `the master key ${file} is readable by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${file}`;
}
