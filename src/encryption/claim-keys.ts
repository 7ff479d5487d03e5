/** Gives one-time keys away: each at most once, the oldest first, and a fallback key where there are none left. */
import { streamOfUser } from '#projections/accounts/queries.ts';
import { fallbackKeyOf, nextOneTimeKeys } from '#projections/encryption/key-queries.ts';
import { keyRecord } from '#projections/encryption/key-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { UserStreamContext } from '#src/client-api/user-stream.ts';
import { objectText } from './json-text.ts';

/** Users whose keys are claimed at the same time: one group commit takes them together. */
const USERS_AT_ONCE = 64;

/** Whose keys are wanted: user → device → algorithm. */
export type KeysWanted = ReadonlyMap<string, ReadonlyMap<string, string>>;

interface GivenKey {
  readonly deviceId: string;
  readonly algorithm: string;
  readonly keyId: string;
  readonly keyJson: string;
  readonly isFallback: boolean;
  /** It was taken out of the queue, or is used for the first time: that has to be recorded. */
  readonly isNews: boolean;
}

/**
 * The keys that were found, JSON texts by user: device → `<algorithm>:<key id>` → key. Each is recorded as given away before
 * the promise resolves, so no crash can bring it back. Users and devices without one are left out.
 */
export async function claimKeys(
  context: UserStreamContext,
  claimedBy: string,
  wanted: KeysWanted,
): Promise<[userId: string, json: string][]> {
  const users = [...wanted];
  const found: [string, string][] = [];
  for (let begin = 0; begin < users.length; begin += USERS_AT_ONCE) {
    const claims = users.slice(begin, begin + USERS_AT_ONCE).map(async ([userId, ofDevices]) => {
      const keys = await claimOfUser(context, claimedBy, userId, ofDevices);
      if (keys.length > 0) found.push([userId, objectText(keys.map(deviceMember))]);
    });
    await Promise.all(claims);
  }
  return found;
}

function deviceMember({ deviceId, algorithm, keyId, keyJson }: GivenKey): [string, string] {
  return [deviceId, objectText([[`${algorithm}:${keyId}`, keyJson]])];
}

async function claimOfUser(
  context: UserStreamContext,
  claimedBy: string,
  userId: string,
  wanted: ReadonlyMap<string, string>,
): Promise<readonly GivenKey[]> {
  const stream = streamOfUser(context.reader, userId);
  if (stream === undefined) return [];
  const { result } = await context.commands.run(stream, () => {
    const given: GivenKey[] = [];
    for (const [deviceId, algorithm] of wanted) {
      const key = nextKey(context.reader, userId, deviceId, algorithm);
      if (key !== undefined) given.push(key);
    }
    const news = given.filter(({ isNews }) => isNews);
    const keys = news.map(({ deviceId, algorithm, keyId, isFallback }) => ({ deviceId, algorithm, keyId, isFallback }));
    const records =
      keys.length === 0 ? [] : [keyRecord(context.newRecordId(), 'keys.claimed', { userId, claimedBy, keys })];
    return { records, result: given };
  });
  return result;
}

function nextKey(reader: Reader, userId: string, deviceId: string, algorithm: string): GivenKey | undefined {
  for (const key of nextOneTimeKeys(reader, userId, deviceId, algorithm)) {
    return { deviceId, algorithm, ...key, isFallback: false, isNews: true };
  }
  const fallback = fallbackKeyOf(reader, userId, deviceId, algorithm);
  if (fallback === undefined) return undefined;
  const { keyId, keyJson, isUsed } = fallback;
  return { deviceId, algorithm, keyId, keyJson, isFallback: true, isNews: !isUsed };
}
