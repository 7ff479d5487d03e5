/**
 * Registration by whoever knows the server's shared secret, in the protocol of Synapse, so that its tools work here:
 * https://element-hq.github.io/synapse/latest/admin_api/register_api.html
 */
import { createHmac } from 'node:crypto';
import { equalInConstantTime, newOpaqueId, type RandomBytes } from './secrets.ts';

/** Nonces at once; at the bound the oldest goes. */
export const MAX_NONCES = 1_000;
export const NONCE_LIFETIME_MS = 60_000;

/** What the secret vouches for. */
export interface VouchedAccount {
  readonly nonce: string;
  readonly username: string;
  readonly password: string;
  readonly isAdmin: boolean;
}

export class SharedSecretNonces {
  /** Nonce → when it expires, in that order. */
  readonly #nonces = new Map<string, number>();
  readonly #clock: () => number;
  readonly #random: RandomBytes;

  constructor({ clock, random }: { readonly clock: () => number; readonly random: RandomBytes }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A new nonce, good once. */
  issue(): string {
    for (const [nonce, expiresAtMs] of this.#nonces) {
      if (expiresAtMs > this.#clock() && this.#nonces.size < MAX_NONCES) break;
      this.#nonces.delete(nonce);
    }
    const nonce = newOpaqueId(this.#random);
    this.#nonces.set(nonce, this.#clock() + NONCE_LIFETIME_MS);
    return nonce;
  }

  /** Whether the nonce was good; it is not any more. */
  spend(nonce: string): boolean {
    const expiresAtMs = this.#nonces.get(nonce);
    this.#nonces.delete(nonce);
    return expiresAtMs !== undefined && expiresAtMs > this.#clock();
  }
}

/** Whether `mac` is the HMAC-SHA1 of the account under the secret, in lower-case hex. */
export function isVouchedFor(
  { nonce, username, password, isAdmin }: VouchedAccount,
  mac: string,
  secret: string,
): boolean {
  const expected = createHmac('sha1', secret)
    .update([nonce, username, password, isAdmin ? 'admin' : 'notadmin'].join('\0'), 'utf8')
    .digest('hex');
  return equalInConstantTime(expected, mac.toLowerCase());
}
