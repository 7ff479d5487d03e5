/**
 * Signed notes (https://c2sp.org/signed-note) with Ed25519 keys, and the text forms of those keys that Go's
 * `golang.org/x/mod/sumdb/note` reads: `<name>+<key id>+<base64 of 0x01 ‖ public key>` for a verifier, the same behind
 * `PRIVATE+KEY+` with the seed for a signer. Pure but for the random seed of {@link newSignerText}.
 */
import { createPrivateKey, createPublicKey, hash, type KeyObject, randomBytes, sign, verify } from 'node:crypto';

/** The Ed25519 signature type of the note format. */
const ED25519 = 1;
const KEY_ID_BYTES = 4;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** Longest note that is read, in characters: some 16 signatures of any size. */
export const MAX_NOTE_LENGTH = 100_000;
const SIGNER_PREFIX = 'PRIVATE+KEY+';
/** What stands before an Ed25519 seed in PKCS #8 (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A text is no key or no note, or a note's signature does not hold. */
export class NoteError extends Error {
  override readonly name = 'NoteError';
  /** `key`: a key text is malformed; `malformed`: no signed note; `unsigned`: not by this key; `forged`: by it, but wrong. */
  readonly reason: 'key' | 'malformed' | 'unsigned' | 'forged';
  constructor(reason: NoteError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Checks signatures of one key. */
export interface NoteVerifier {
  readonly name: string;
  /** First four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key), as a number. */
  readonly keyId: number;
  /** Its text form, to be published. */
  readonly text: string;
  verify(text: string, signature: Uint8Array): boolean;
}

/** Signs with one key. */
export interface NoteSigner {
  readonly verifier: NoteVerifier;
  /** The note: the text, a blank line and one signature line. The text must end in a newline. */
  sign(text: string): string;
}

/** Text form of a new key. The name may hold neither spaces nor `+`; see {@link NoteError}. */
export function newSignerText(name: string): string {
  const seed = randomBytes(KEY_BYTES);
  const { verifier } = signerOf(name, seed);
  return `${SIGNER_PREFIX}${name}+${hexKeyId(verifier.keyId)}+${typedKey(seed)}`;
}

/** Reads a signer's text form. Throws {@link NoteError} `key`. */
export function parseSigner(text: string): NoteSigner {
  if (!text.startsWith(SIGNER_PREFIX)) throw new NoteError('key', 'not a note signing key');
  const { name, keyId, key } = parseKeyText(text.slice(SIGNER_PREFIX.length));
  const signer = signerOf(name, key);
  if (signer.verifier.keyId !== keyId) throw new NoteError('key', 'the signing key and its id do not belong together');
  return signer;
}

/** Reads a verifier's text form. Throws {@link NoteError} `key`. */
export function parseVerifier(text: string): NoteVerifier {
  const { name, keyId, key } = parseKeyText(text);
  const verifier = verifierOf(name, key);
  if (verifier.keyId !== keyId) throw new NoteError('key', 'the public key and its id do not belong together');
  return verifier;
}

/**
 * The text of a note that the key has signed. Signatures by other keys are ignored, as the format asks.
 * Throws {@link NoteError} `malformed`, `unsigned` or `forged`.
 */
export function openNote(note: string, verifier: NoteVerifier, maxLength = MAX_NOTE_LENGTH): string {
  const { text, signatures } = parseNote(note, maxLength);
  let signed = false;
  for (const { name, keyId, signature } of signatures) {
    if (name !== verifier.name || keyId !== verifier.keyId) continue;
    if (!verifier.verify(text, signature)) {
      throw new NoteError('forged', `the signature of ${name} does not belong to this text`);
    }
    signed = true;
  }
  if (!signed) throw new NoteError('unsigned', `not signed by ${verifier.name} with key ${hexKeyId(verifier.keyId)}`);
  return text;
}

/** A signature line of a note. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  readonly signature: Uint8Array;
}

const SIGNATURE_LINE = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u;

/** A note in its parts, nothing verified. Throws {@link NoteError} `malformed`. */
export function parseNote(
  note: string,
  maxLength = MAX_NOTE_LENGTH,
): { readonly text: string; readonly signatures: readonly NoteSignature[] } {
  const split = note.lastIndexOf('\n\n');
  if (note.length > maxLength || split < 0 || !note.endsWith('\n') || hasControlCharacter(note)) {
    throw new NoteError('malformed', 'not a signed note');
  }
  const lines = note.slice(split + 2, -1).split('\n');
  const signatures = lines.map((line) => {
    const [, name, encoded] = SIGNATURE_LINE.exec(line) ?? [];
    const bytes = decodeBase64(encoded ?? '');
    if (name === undefined || bytes === undefined || bytes.length <= KEY_ID_BYTES) {
      throw new NoteError('malformed', 'a line of the note is no signature');
    }
    return { name, keyId: bytes.readUInt32BE(0), signature: bytes.subarray(KEY_ID_BYTES) };
  });
  return { text: note.slice(0, split + 1), signatures };
}

/** Standard base64 with padding, or undefined where the text is not exactly that. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 && code !== 0x0a) return true;
  }
  return !text.isWellFormed();
}

/** An Ed25519 key pair of its seed: the private key as Node takes it, the public one as 32 bytes. */
export function keyPairOf(seed: Uint8Array): { readonly privateKey: KeyObject; readonly publicKey: Buffer } {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, publicKey: Buffer.from(String(x), 'base64url') };
}

function signerOf(name: string, seed: Uint8Array): NoteSigner {
  const { privateKey, publicKey } = keyPairOf(seed);
  const verifier = verifierOf(name, publicKey);
  return {
    verifier,
    sign(text) {
      if (!text.endsWith('\n') || hasControlCharacter(text)) throw new RangeError('this text cannot be a note');
      const signature = Buffer.allocUnsafe(KEY_ID_BYTES + SIGNATURE_BYTES);
      signature.writeUInt32BE(verifier.keyId, 0);
      signature.set(sign(null, Buffer.from(text), privateKey), KEY_ID_BYTES);
      return `${text}\n\u2014 ${name} ${signature.toString('base64')}\n`;
    },
  };
}

function verifierOf(name: string, publicKey: Buffer): NoteVerifier {
  if (!/^[^\s+]+$/u.test(name) || hasControlCharacter(name)) {
    throw new NoteError('key', `"${name}" cannot name a note key: it must be without spaces and "+"`);
  }
  const typed = Buffer.concat([Buffer.of(ED25519), publicKey]);
  const digest = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed]), 'buffer');
  const keyId = digest.readUInt32BE(0);
  const key = publicKeyObject(publicKey);
  return {
    name,
    keyId,
    text: `${name}+${hexKeyId(keyId)}+${typed.toString('base64')}`,
    verify: (text, signature) =>
      signature.length === SIGNATURE_BYTES && verify(null, Buffer.from(text), key, signature),
  };
}

/** An Ed25519 public key of 32 bytes as Node takes it. Throws {@link NoteError} `key`. */
export function publicKeyObject(publicKey: Buffer): KeyObject {
  try {
    const x = publicKey.toString('base64url');
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  } catch {
    throw new NoteError('key', 'not an Ed25519 public key');
  }
}

/** `<name>+<8 hex digits>+<base64 of the type byte and 32 bytes>`; the base64 may itself hold `+`. */
function parseKeyText(text: string): { name: string; keyId: number; key: Buffer } {
  const [, name, keyId, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/u.exec(text) ?? [];
  const typed = decodeBase64(encoded ?? '');
  if (name === undefined || typed === undefined || typed.length !== 1 + KEY_BYTES || typed[0] !== ED25519) {
    throw new NoteError('key', 'not the text form of an Ed25519 note key');
  }
  return { name, keyId: Number.parseInt(String(keyId), 16), key: typed.subarray(1) };
}

function typedKey(key: Uint8Array): string {
  return Buffer.concat([Buffer.of(ED25519), key]).toString('base64');
}

/** A key id as the text forms of keys write it. */
export function hexKeyId(keyId: number): string {
  return keyId.toString(16).padStart(8, '0');
}
