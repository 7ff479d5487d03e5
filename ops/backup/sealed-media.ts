/**
 * Media in a backup: sealed, since an uploaded file lies open in the data folder and an erasure that deletes it there must leave
 * nothing readable here. The key is made from the master key and the digest of the content, so whoever keeps the keyring apart
 * keeps these keys apart too, and the same content always gives the same file. A restore opens only what the restored log names.
 *
 * A file: magic 8 · for each 1 MiB of content (the last may be shorter, and there is always one): XChaCha20-Poly1305 of it, with
 * the number of the chunk as nonce, and whether it is the last as associated data.
 */
import sodium from 'sodium-native';
import type { OpenFile } from '#streams/embedded/files.ts';
import { BackupProblem, CHUNK_BYTES } from './stored-files.ts';

const MAGIC = Buffer.from('STELEmed', 'latin1');
const TAG_BYTES = sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES;
const NONCE_BYTES = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
const DIGEST_BYTES = 32;
const KEY_CONTEXT = Buffer.from('stele: the key of this file in a backup', 'latin1');
const NAME_CONTEXT = Buffer.from('stele: the name of this file in a backup', 'latin1');
const LAST = Buffer.of(1);
const NOT_LAST = Buffer.of(0);

/** Where a content is in a backup: `<2 hex digits>/<62>`. The name says nothing without the master key. */
export function sealedName(masterKey: Buffer, sha256: string): string {
  const name = derived(NAME_CONTEXT, masterKey, sha256).toString('hex');
  return `${name.slice(0, 2)}/${name.slice(2)}`;
}

/** The bytes that the sealed form of so many takes. */
export function sealedBytes(bytes: number): number {
  return MAGIC.length + bytes + TAG_BYTES * Math.max(1, Math.ceil(bytes / CHUNK_BYTES));
}

/** The sealed form of a file's content. `onPlain` is shown each chunk of the content; it is valid during the call. */
export async function* seal(
  file: OpenFile,
  masterKey: Buffer,
  sha256: string,
  onPlain: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  const key = derived(KEY_CONTEXT, masterKey, sha256);
  const size = await file.size();
  yield MAGIC;
  const plain = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let number = 0, at = 0; number === 0 || at < size; number++) {
    const chunk = plain.subarray(0, await file.read(plain.subarray(0, Math.min(CHUNK_BYTES, size - at)), at));
    if (chunk.length === 0 && size > at) throw new BackupProblem(`${file.path} became shorter while it was read.`);
    at += chunk.length;
    onPlain(chunk);
    const sealed = Buffer.allocUnsafe(chunk.length + TAG_BYTES);
    const isLast = at >= size ? LAST : NOT_LAST;
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, chunk, isLast, null, nonceOf(number), key);
    yield sealed;
  }
}

/** The content of a sealed file. @throws {BackupProblem} where it does not open: it is damaged, or the key is another. */
export async function* unseal(file: OpenFile, masterKey: Buffer, sha256: string): AsyncGenerator<Buffer> {
  const key = derived(KEY_CONTEXT, masterKey, sha256);
  const size = await file.size();
  const magic = Buffer.alloc(MAGIC.length);
  await file.read(magic, 0);
  if (!magic.equals(MAGIC)) throw doesNotOpen(file);
  const sealed = Buffer.allocUnsafeSlow(CHUNK_BYTES + TAG_BYTES);
  for (let number = 0, at = MAGIC.length; number === 0 || at < size; number++) {
    const chunk = sealed.subarray(0, await file.read(sealed.subarray(0, Math.min(sealed.length, size - at)), at));
    if (chunk.length < TAG_BYTES) throw doesNotOpen(file);
    at += chunk.length;
    const plain = Buffer.allocUnsafe(chunk.length - TAG_BYTES);
    try {
      const isLast = at >= size ? LAST : NOT_LAST;
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, null, chunk, isLast, nonceOf(number), key);
    } catch {
      throw doesNotOpen(file);
    }
    yield plain;
  }
}

function doesNotOpen(file: OpenFile): BackupProblem {
  return new BackupProblem(
    `${file.path} does not open: it is damaged, or the master key is another. \`stele backup\` writes it again if the server ` +
      'still has the file.',
  );
}

function derived(context: Buffer, masterKey: Buffer, sha256: string): Buffer {
  const result = Buffer.alloc(DIGEST_BYTES);
  sodium.crypto_generichash(result, Buffer.concat([context, Buffer.from(sha256, 'hex')]), masterKey);
  return result;
}

function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(number, NONCE_BYTES - 6, 6);
  return nonce;
}
