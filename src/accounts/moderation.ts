import type { Allowance } from '#src/http/rate-limit.ts';
import type { UserCommands } from './user-commands.ts';

/** What server administrators do to accounts, short of closing them. All throw `M_NOT_FOUND` and `M_USER_DEACTIVATED`. */
export class Moderation {
  readonly #users: UserCommands;

  constructor(users: UserCommands) {
    this.#users = users;
  }

  /** Suspends an account, or lifts that; see restrictions.ts. */
  async setSuspended(userId: string, isSuspended: boolean): Promise<void> {
    await this.#users.run(userId, (user) => ({
      records: user.isSuspended === isSuspended ? [] : [this.#users.record('user.suspension_changed', { isSuspended })],
      result: undefined,
    }));
  }

  /** Locks an account, or unlocks it. Its tokens stay good, and are of no use but for logging out. */
  async setLocked(userId: string, isLocked: boolean): Promise<void> {
    await this.#users.run(userId, (user) => ({
      records: user.isLocked === isLocked ? [] : [this.#users.record('user.lock_changed', { isLocked })],
      result: undefined,
    }));
  }

  /** Has what a user sends go nowhere without telling them, or lifts that; see shadow-ban.ts. */
  async setShadowBanned(userId: string, isShadowBanned: boolean): Promise<void> {
    await this.#users.run(userId, (user) => ({
      records:
        user.isShadowBanned === isShadowBanned
          ? []
          : [this.#users.record('user.shadow_ban_changed', { isShadowBanned })],
      result: undefined,
    }));
  }

  /** Lets a user replace their cross-signing keys without confirming it, until a time (milliseconds since the epoch). */
  async allowKeyReplacement(userId: string, untilMs: number): Promise<void> {
    await this.#users.run(userId, () => ({
      records: [this.#users.record('user.key_replacement_allowed', { untilMs })],
      result: undefined,
    }));
  }

  /** Lets a user send more, or less, than others at a time; null for as much as everybody, a rate of 0 for no limit. */
  async setAllowance(userId: string, allowance: Allowance | null): Promise<void> {
    await this.#users.run(userId, () => ({
      records: [this.#users.record('user.rate_limit_changed', { allowance })],
      result: undefined,
    }));
  }
}
