import { decodeBase64, encodeBase64 } from './base64.ts';
import { ED25519_KEY_BYTES } from './ed25519.ts';
import { parseKeyId } from './identifiers.ts';

/** What a signing key file holds. */
export interface SigningKeySeed {
  /** With its algorithm: `ed25519:<version>`. */
  readonly keyId: string;
  /** 32 secret bytes. */
  readonly seed: Uint8Array;
}

/** A signing key file that does not say what it should. The message names the mistake, never the key. */
export class SigningKeyFileError extends Error {
  override readonly name = 'SigningKeyFileError';
}

const EXPECTED = 'It should hold one line: "ed25519 <id> <unpadded base64 of the 32-byte seed>".';

/**
 * Reads the text of a signing key file in the form that Matrix homeservers share: one line
 * `ed25519 <id> <unpadded base64 seed>`.
 *
 * @throws {SigningKeyFileError} if the text is anything else.
 */
export function parseSigningKeyFile(text: string): SigningKeySeed {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const [line] = lines;
  if (line === undefined) throw new SigningKeyFileError(`The signing key file is empty. ${EXPECTED}`);
  if (lines.length > 1) {
    throw new SigningKeyFileError(
      `The signing key file holds ${lines.length} keys; keep the one to sign with. ${EXPECTED}`,
    );
  }
  const [algorithm, version, encodedSeed, ...rest] = line.trim().split(/\s+/);
  if (algorithm !== 'ed25519') throw new SigningKeyFileError(`The signing key is not an Ed25519 key. ${EXPECTED}`);
  if (encodedSeed === undefined || rest.length > 0) {
    throw new SigningKeyFileError(`The line in the signing key file does not have three parts. ${EXPECTED}`);
  }
  const keyId = `${algorithm}:${version}`;
  if (parseKeyId(keyId) === undefined) {
    throw new SigningKeyFileError(
      `The key id in the signing key file may hold only letters, digits and _. ${EXPECTED}`,
    );
  }
  const seed = decodeBase64(encodedSeed);
  if (seed?.length !== ED25519_KEY_BYTES) {
    throw new SigningKeyFileError(
      `The seed in the signing key file is not ${ED25519_KEY_BYTES} bytes of base64. ${EXPECTED}`,
    );
  }
  return { keyId, seed };
}

/** The text of a signing key file, newline at the end included. */
export function formatSigningKeyFile(key: SigningKeySeed): string {
  return `${key.keyId.replace(':', ' ')} ${encodeBase64(key.seed)}\n`;
}
