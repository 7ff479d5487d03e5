/**
 * Cosignatures of witnesses (https://c2sp.org/tlog-cosignature, Ed25519): the word of somebody else that at some time a checkpoint
 * was the largest they had seen of a log, and continued all they had seen before. Pure but for the seed of {@link newCosignerText}.
 */
import { hash, randomBytes, sign, verify } from 'node:crypto';
import { decodeBase64, hexKeyId, keyPairOf, NoteError, parseNote, publicKeyObject } from './note.ts';

/** The signature type of Ed25519 cosignatures in keys. */
const COSIGNATURE_V1 = 4;
const KEY_ID_BYTES = 4;
const KEY_BYTES = 32;
const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;
const SIGNER_PREFIX = 'PRIVATE+KEY+';

/** Checks cosignatures of one witness. */
export interface CosignatureVerifier {
  readonly name: string;
  readonly keyId: number;
  /** Its text form, to be published: `<name>+<key id>+<base64 of 0x04 ‖ public key>`. */
  readonly text: string;
  /** When the witness cosigned the note's text, in seconds since the epoch; undefined where the signature does not hold. */
  timeOf(text: string, signature: Uint8Array): number | undefined;
}

/** Cosigns with one key. */
export interface Cosigner {
  readonly verifier: CosignatureVerifier;
  /** The signature line for a checkpoint's text, with its newline. */
  cosign(text: string, timeS: number): string;
}

/** A cosignature that holds. */
export interface Cosignature {
  readonly witness: string;
  /** Seconds since the epoch. */
  readonly timeS: number;
  /** The signature line, with its newline. */
  readonly line: string;
}

/** Text form of a new key of a witness. The name should be a URL without its scheme. */
export function newCosignerText(name: string): string {
  const seed = randomBytes(KEY_BYTES);
  const { verifier } = cosignerOf(name, seed);
  return `${SIGNER_PREFIX}${name}+${hexKeyId(verifier.keyId)}+${typed(seed)}`;
}

/** Reads a witness's secret key. Throws {@link NoteError} `key`. */
export function parseCosigner(text: string): Cosigner {
  if (!text.startsWith(SIGNER_PREFIX)) throw new NoteError('key', 'not a cosigning key');
  const { name, keyId, key } = parseKey(text.slice(SIGNER_PREFIX.length));
  const cosigner = cosignerOf(name, key);
  if (cosigner.verifier.keyId !== keyId)
    throw new NoteError('key', 'the cosigning key and its id do not belong together');
  return cosigner;
}

/** Reads a witness's public key. Throws {@link NoteError} `key`. */
export function parseCosignatureVerifier(text: string): CosignatureVerifier {
  const { name, keyId, key } = parseKey(text);
  const verifier = verifierOf(name, key);
  if (verifier.keyId !== keyId) throw new NoteError('key', 'the public key and its id do not belong together');
  return verifier;
}

/**
 * The cosignatures of a note that hold, by these witnesses, at most one of each; what others signed is ignored.
 * Throws {@link NoteError} `malformed`, or `forged` where a line bears a witness's key id and does not hold.
 */
export function cosignaturesOf(note: string, witnesses: readonly CosignatureVerifier[]): Cosignature[] {
  const { text, signatures } = parseNote(note);
  const found = new Map<string, Cosignature>();
  for (const { name, keyId, signature } of signatures) {
    const verifier = witnesses.find((one) => one.name === name && one.keyId === keyId);
    if (verifier === undefined) continue;
    const timeS = verifier.timeOf(text, signature);
    if (timeS === undefined) throw new NoteError('forged', `the cosignature of ${name} does not belong to this text`);
    found.set(verifier.text, { witness: name, timeS, line: lineOf(name, keyId, signature) });
  }
  return [...found.values()];
}

/** What is signed: the time and the checkpoint's text. */
function message(text: string, timeS: number | bigint): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`);
}

function cosignerOf(name: string, seed: Uint8Array): Cosigner {
  const { privateKey, publicKey } = keyPairOf(seed);
  const verifier = verifierOf(name, publicKey);
  return {
    verifier,
    cosign(text, timeS) {
      const signature = Buffer.alloc(TIME_BYTES + SIGNATURE_BYTES);
      signature.writeBigUInt64BE(BigInt(timeS), 0);
      signature.set(sign(null, message(text, timeS), privateKey), TIME_BYTES);
      return lineOf(name, verifier.keyId, signature);
    },
  };
}

function verifierOf(name: string, publicKey: Buffer): CosignatureVerifier {
  if (!/^[^\s+\p{Cc}]+$/u.test(name)) throw new NoteError('key', `"${name}" cannot name a witness`);
  const typedKey = Buffer.concat([Buffer.of(COSIGNATURE_V1), publicKey]);
  const keyId = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typedKey]), 'buffer').readUInt32BE(0);
  const key = publicKeyObject(publicKey);
  return {
    name,
    keyId,
    text: `${name}+${hexKeyId(keyId)}+${typedKey.toString('base64')}`,
    timeOf(text, signature) {
      if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) return undefined;
      const time = Buffer.from(signature).readBigUInt64BE(0);
      if (time > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
      return verify(null, message(text, time), key, signature.subarray(TIME_BYTES)) ? Number(time) : undefined;
    },
  };
}

function lineOf(name: string, keyId: number, signature: Uint8Array): string {
  const id = Buffer.alloc(KEY_ID_BYTES);
  id.writeUInt32BE(keyId, 0);
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

function typed(key: Uint8Array): string {
  return Buffer.concat([Buffer.of(COSIGNATURE_V1), key]).toString('base64');
}

function parseKey(text: string): { name: string; keyId: number; key: Buffer } {
  const [, name, keyId, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/u.exec(text) ?? [];
  const bytes = decodeBase64(encoded ?? '');
  if (name === undefined || bytes?.length !== 1 + KEY_BYTES || bytes[0] !== COSIGNATURE_V1) {
    throw new NoteError('key', 'not the text form of a witness key: its type must be 0x04 (Ed25519 cosignatures)');
  }
  return { name, keyId: Number.parseInt(String(keyId), 16), key: bytes.subarray(1) };
}
