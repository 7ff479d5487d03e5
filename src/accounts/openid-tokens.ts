/**
 * The tokens with which somebody proves to another service who they are on this server.
 * https://spec.matrix.org/v1.19/client-server-api/#openid
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { SigningKey } from '#protocol/signing.ts';
import type { RandomBytes } from './secrets.ts';

/** How long a token is good. */
export const OPENID_TOKEN_LIFETIME_MS = 60 * 60 * 1000;

const PREFIX = 'stele_oid_';
/** No signature that others get is on this: what is signed for them is canonical JSON, and begins with a brace. */
const KEY_LABEL = 'stele openid tokens';
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const EXPIRY_BYTES = 6;
/** A token holds a user id of at most 255 bytes. */
const MAX_TOKEN_LENGTH = 512;

export interface OpenIdTokensOptions {
  /** Every node and every start of the server has it: a token of one is good on all. */
  readonly signingKey: SigningKey;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly random: RandomBytes;
  /** Whether the user still has an account that is open. */
  readonly isActive: (userId: string) => boolean;
}

/**
 * Nothing is stored for a token: it is the user id and its end, sealed under a key that is derived from the server's. So
 * tokens outlive a restart, and however many are asked for, they take no room.
 */
export class OpenIdTokens {
  readonly #options: OpenIdTokensOptions;
  readonly #key: Uint8Array;

  constructor(options: OpenIdTokensOptions) {
    this.#options = options;
    const secret = options.signingKey.sign(Buffer.from(KEY_LABEL));
    this.#key = new Uint8Array(hkdfSync('sha256', secret, '', KEY_LABEL, KEY_BYTES));
  }

  /** A token for a user, good for {@link OPENID_TOKEN_LIFETIME_MS}. */
  issue(userId: string): string {
    const { clock, random } = this.#options;
    const expiry = Buffer.alloc(EXPIRY_BYTES);
    expiry.writeUIntBE(clock() + OPENID_TOKEN_LIFETIME_MS, 0, EXPIRY_BYTES);
    const nonce = random(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce);
    const sealed = [cipher.update(expiry), cipher.update(userId, 'utf8'), cipher.final()];
    return PREFIX + Buffer.concat([nonce, cipher.getAuthTag(), ...sealed]).toString('base64url');
  }

  /** Whose token it is; undefined for one that is not ours, that is over, or whose user has closed the account. */
  verify(token: string): string | undefined {
    const opened = this.#open(token);
    if (opened === undefined) return undefined;
    const { clock, isActive } = this.#options;
    const { userId, expiresAtMs } = opened;
    return expiresAtMs > clock() && isActive(userId) ? userId : undefined;
  }

  #open(token: string): { readonly userId: string; readonly expiresAtMs: number } | undefined {
    if (!token.startsWith(PREFIX) || token.length > MAX_TOKEN_LENGTH) return undefined;
    const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url');
    if (bytes.length <= NONCE_BYTES + TAG_BYTES + EXPIRY_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    try {
      const plain = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
      return { expiresAtMs: plain.readUIntBE(0, EXPIRY_BYTES), userId: plain.toString('utf8', EXPIRY_BYTES) };
    } catch {
      return undefined;
    }
  }
}
