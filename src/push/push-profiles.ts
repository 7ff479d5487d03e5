/** What decides which events notify users: their push rules, compiled, and whom they ignore. */
import { accountDataPosition, hasAccountDataSince } from '#projections/account-data/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { subscriptionsChangedAt } from '#projections/thread-subscriptions/projection.ts';
import { PUSH_RULES_TYPE, pushRuleChangesOf } from '#src/client-api/account-data/entries.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { Lru } from '#src/sync/lru.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { CompiledRules } from './evaluate.ts';
import { NO_CHANGES } from './rules.ts';
import { countOfRules, rulesOf } from './user-rules.ts';

/** Weight of what is remembered: each rule of a user and each user ignored is 1, some 500 bytes. */
const MAX_WEIGHT = 400_000;
/** Weight of a user who has changed nothing. */
const BASE_WEIGHT = 20;
/** Type of the account data that says whom a user ignores. */
export const IGNORED_USERS_TYPE = 'm.ignored_user_list';

/** One user's, the same object for as long as nothing about it changes. */
export interface PushProfile {
  readonly rules: CompiledRules;
  /** Users whose events never notify. */
  readonly ignored: ReadonlySet<string>;
  /** Whether it matters which threads the user follows. */
  readonly hasThreads: boolean;
  /** Position of the last change; `BEFORE_FIRST` where there was none. */
  readonly changedAt: Position;
}

interface Remembered {
  readonly profile: PushProfile;
  readonly weight: number;
  checkedAt: Position;
}

/** The profiles of users, compiled when they are first asked for and when their account data has changed. */
export class PushProfiles {
  readonly #remembered = new Lru<string, Remembered>(MAX_WEIGHT, ({ weight }) => weight);

  of(reader: Reader, userId: string): PushProfile {
    const { frontier } = reader;
    const known = this.#remembered.get(userId);
    if (known !== undefined) {
      if (known.checkedAt === frontier || !mayHaveChanged(reader, userId, known)) {
        known.checkedAt = frontier;
        return known.profile;
      }
      if (changedAt(reader, userId) === known.profile.changedAt) {
        known.checkedAt = frontier;
        return known.profile;
      }
    }
    const changes = pushRuleChangesOf(reader, userId);
    const profile: PushProfile = {
      rules: new CompiledRules(rulesOf(userId, changes)),
      ignored: ignoredUsers(reader, userId),
      hasThreads: changes.hasThreads === true,
      changedAt: changedAt(reader, userId),
    };
    const weight = BASE_WEIGHT + profile.ignored.size + (changes === NO_CHANGES ? 0 : countOfRules(changes));
    this.#remembered.set(userId, { profile, weight, checkedAt: frontier });
    return profile;
  }
}

function mayHaveChanged(reader: Reader, userId: string, { profile, checkedAt }: Remembered): boolean {
  if (hasAccountDataSince(reader, userId, checkedAt)) return true;
  return profile.hasThreads && subscriptionsChangedAt(reader, userId) > checkedAt;
}

function changedAt(reader: Reader, userId: string): Position {
  return Math.max(
    accountDataPosition(reader, userId, PUSH_RULES_TYPE) ?? BEFORE_FIRST,
    accountDataPosition(reader, userId, IGNORED_USERS_TYPE) ?? BEFORE_FIRST,
    subscriptionsChangedAt(reader, userId),
  );
}
