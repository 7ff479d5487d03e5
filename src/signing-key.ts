import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { ED25519_KEY_BYTES } from '#protocol/ed25519.ts';
import { type SigningKey, signingKeyFromSeed } from '#protocol/signing.ts';
import { formatSigningKeyFile, parseSigningKeyFile } from '#protocol/signing-key-file.ts';

const KEY_NAME_CHARACTERS = 6;

/**
 * The key that signs events. Made, readable by its owner only, if the file is not there.
 *
 * @throws {Error} naming the file when it cannot be read or is no signing key.
 */
export async function openMatrixSigningKey(file: string): Promise<SigningKey> {
  const text = (await readIfThere(file)) ?? (await makeKeyFile(file));
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

async function makeKeyFile(file: string): Promise<string> {
  const name = randomBytes(KEY_NAME_CHARACTERS).toString('hex').slice(0, KEY_NAME_CHARACTERS);
  const text = formatSigningKeyFile({ keyId: `ed25519:a_${name}`, seed: randomBytes(ED25519_KEY_BYTES) });
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return text;
}
