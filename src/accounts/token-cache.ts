import type { Requester } from '#src/http/endpoint.ts';
import type { Activity } from './activity.ts';

/** Tokens remembered in each of the two generations. */
export const MAX_CACHED_TOKENS = 20_000;

/** What is known of an access token that was good when it was looked up. */
export interface KnownToken {
  readonly requester: Requester;
  /** Null for never. */
  readonly expiresAtMs: number | null;
  readonly activity: Activity;
  /** Whether the account is locked: it can only log out. */
  readonly isLocked: boolean;
}

/** The same in the cache. */
export interface CachedToken extends KnownToken {
  /** Until the account changes. Shared by all tokens of the user. */
  readonly account: { isUnchanged: boolean };
}

/**
 * Access tokens that were looked up lately. A hit is one look into a map: tokens in use move into the young generation when
 * it is begun, and the others are dropped with the old one. When anything of an account changes, all its tokens are looked up
 * anew.
 */
export class TokenCache {
  #young = new Map<string, CachedToken>();
  #old = new Map<string, CachedToken>();
  readonly #accounts = new Map<string, { isUnchanged: boolean }>();
  readonly #maxTokens: number;

  constructor(maxTokens: number = MAX_CACHED_TOKENS) {
    this.#maxTokens = maxTokens;
  }

  get(token: string): CachedToken | undefined {
    const young = this.#young.get(token);
    if (young !== undefined) return young.account.isUnchanged ? young : undefined;
    const old = this.#old.get(token);
    if (old === undefined || !old.account.isUnchanged) return undefined;
    this.#put(token, old);
    return old;
  }

  add(token: string, entry: KnownToken): CachedToken {
    const { userId } = entry.requester;
    let account = this.#accounts.get(userId);
    if (account === undefined) {
      account = { isUnchanged: true };
      this.#accounts.set(userId, account);
    }
    const cached = { ...entry, account };
    this.#put(token, cached);
    return cached;
  }

  /** Everything known of an account's tokens is void. */
  invalidate(userId: string): void {
    const account = this.#accounts.get(userId);
    if (account === undefined) return;
    account.isUnchanged = false;
    this.#accounts.delete(userId);
  }

  /** Tokens held, void ones included. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  #put(token: string, entry: CachedToken): void {
    if (this.#young.size >= this.#maxTokens) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#forgetAccountsWithoutTokens(entry.requester.userId);
    }
    this.#young.set(token, entry);
  }

  #forgetAccountsWithoutTokens(arriving: string): void {
    const held = new Set([arriving]);
    for (const entry of this.#old.values()) held.add(entry.requester.userId);
    for (const [userId, account] of this.#accounts) {
      if (held.has(userId)) continue;
      // A token that somebody still holds an entry of must not outlive the way to void it.
      account.isUnchanged = false;
      this.#accounts.delete(userId);
    }
  }
}
