import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { ED25519_KEY_BYTES } from '#protocol/ed25519.ts';
import { type SigningKey, signingKeyFromSeed } from '#protocol/signing.ts';
import { formatSigningKeyFile, parseSigningKeyFile } from '#protocol/signing-key-file.ts';
import { POLICY_KEY_ID } from './rooms/policy.ts';

const KEY_NAME_CHARACTERS = 6;

/**
 * The key that signs events. Made, readable by its owner only, if the file is not there.
 *
 * @throws {Error} naming the file when it cannot be read or is no signing key.
 */
export async function openMatrixSigningKey(file: string): Promise<SigningKey> {
  const text = (await readIfThere(file)) ?? (await writeKeyFile(file, file));
  return keyOf(file, text);
}

/**
 * The key with which this server signs as the policy server of rooms, which has the same name everywhere. Made as the other is.
 *
 * @throws {Error} naming the file when it cannot be read, or its key has another id.
 */
export async function openPolicySigningKey(file: string): Promise<SigningKey> {
  const key = keyOf(file, (await readIfThere(file)) ?? (await writeKeyFile(file, file, POLICY_KEY_ID)));
  if (key.keyId === POLICY_KEY_ID) return key;
  throw new Error(`${file}: the id of the key is ${key.keyId}; that of a policy server is always ${POLICY_KEY_ID}`);
}

/**
 * Makes a new key and puts it in place of the one in the file, in one step: whatever happens, the file holds one or the other.
 *
 * @throws {Error} when the file cannot be written.
 */
export async function replaceMatrixSigningKey(file: string): Promise<SigningKey> {
  const newFile = `${file}.new-${randomBytes(KEY_NAME_CHARACTERS).toString('hex')}`;
  const text = await writeKeyFile(newFile, file);
  await rename(newFile, file);
  const folder = await open(path.dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return keyOf(file, text);
}

function keyOf(file: string, text: string): SigningKey {
  try {
    const { keyId, seed } = parseSigningKeyFile(text);
    return signingKeyFromSeed(keyId, seed);
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Error(`The signing key file ${file} cannot be read: ${String(error)}`, { cause: error });
  }
}

/** Writes a fresh key to a file that must not be there, and gives its text. The folder is made if it has to be. */
async function writeKeyFile(file: string, named: string, keyId = newKeyId()): Promise<string> {
  const text = formatSigningKeyFile({ keyId, seed: randomBytes(ED25519_KEY_BYTES) });
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new Error(`The signing key file ${named} cannot be written: ${String(error)}`, { cause: error });
  }
  return text;
}

function newKeyId(): string {
  return `ed25519:a_${randomBytes(KEY_NAME_CHARACTERS).toString('hex').slice(0, KEY_NAME_CHARACTERS)}`;
}
