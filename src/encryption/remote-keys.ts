/**
 * The keys of users of other servers: from the lists that are kept here, or from their servers.
 * https://spec.matrix.org/v1.19/server-server-api/#end-to-end-encryption
 */
import { isUserId, serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { FederationClient } from '#src/federation/client.ts';
import type { KeysWanted } from './claim-keys.ts';
import { objectText } from './json-text.ts';
import type { DevicesWanted, RemotePart, ToldKeys } from './query-keys.ts';
import type { RemoteDeviceLists } from './remote-device-lists.ts';
import { MAX_TOLD_KEY_CHARACTERS, memberOf, toldKeysOf } from './told-keys.ts';

/** How long a client waits that does not say how long, and the longest that it may say. */
export const DEFAULT_TIMEOUT_MS = 10_000;
export const MAX_TIMEOUT_MS = 30_000;
/** Servers that are asked at the same time for one request. */
const SERVERS_AT_ONCE = 32;
/** Lists of users of one server that are asked for one by one, to be kept; the keys of more are asked for together. */
const MAX_LISTS_PER_SERVER = 20;
/** Users in one request to another server. */
const USERS_PER_REQUEST = 500;

export interface RemoteKeysOptions {
  readonly client: FederationClient;
  readonly lists: RemoteDeviceLists;
  readonly serverName: string;
}

/** What is wanted of users of one server. */
type ByServer<Wanted> = ReadonlyMap<string, ReadonlyMap<string, Wanted>>;

/** What other servers were asked, and have not answered. */
type Failures = Map<string, object>;

export class RemoteKeys {
  readonly #options: RemoteKeysOptions;

  constructor(options: RemoteKeysOptions) {
    this.#options = options;
  }

  /** The keys of those of the users that are of other servers. Never rejects: servers that do not answer are named. */
  async query(wanted: DevicesWanted, timeoutMs: number = DEFAULT_TIMEOUT_MS): Promise<RemotePart> {
    const told = new Map<string, ToldKeys>();
    const failures: Failures = new Map();
    const kept = new Set<string>();
    const missing: [string, readonly string[]][] = [];
    for (const [userId, deviceIds] of Object.entries(wanted)) {
      if (!isUserId(userId)) continue;
      if (this.#options.lists.isCurrent(userId)) kept.add(userId);
      else missing.push([userId, deviceIds]);
    }
    await this.#askAll(this.#byServer(missing), timeoutMs, failures, async (server, users, signal) => {
      const others = await this.#refreshLists([...users.keys()], kept, signal);
      for (let at = 0; at < others.length; at += USERS_PER_REQUEST) {
        const some = others.slice(at, at + USERS_PER_REQUEST);
        const asked = Object.fromEntries(some.map((userId) => [userId, [...(users.get(userId) ?? [])]]));
        const answer = await this.#ask(server, 'query', { device_keys: asked }, timeoutMs, signal);
        for (const userId of some) {
          const keys = toldKeysOf(answer, userId);
          if (keys !== undefined) told.set(userId, keys);
        }
      }
    });
    return { kept, told, failures };
  }

  /**
   * Claims keys of those of the users that are of other servers: JSON texts by user, as in the answer to a client. Never
   * rejects: servers that do not answer are named.
   */
  async claim(
    wanted: KeysWanted,
    timeoutMs: number = DEFAULT_TIMEOUT_MS,
  ): Promise<{ readonly keys: readonly (readonly [userId: string, json: string])[]; readonly failures: Failures }> {
    const keys: [string, string][] = [];
    const failures: Failures = new Map();
    const valid = [...wanted].filter(([userId]) => isUserId(userId));
    await this.#askAll(this.#byServer(valid), timeoutMs, failures, async (server, users, signal) => {
      const all = [...users];
      for (let at = 0; at < all.length; at += USERS_PER_REQUEST) {
        const some = all.slice(at, at + USERS_PER_REQUEST);
        const asked = some.map(([userId, ofDevices]) => [userId, Object.fromEntries(ofDevices)]);
        const content = { one_time_keys: Object.fromEntries(asked) as JsonObject };
        const answer = await this.#ask(server, 'claim', content, timeoutMs, signal);
        for (const [userId, ofDevices] of some) {
          const json = claimedText(memberOf(answer.one_time_keys, userId), ofDevices);
          if (json !== undefined) keys.push([userId, json]);
        }
      }
    });
    return { keys, failures };
  }

  /** Has the lists asked for that can be kept; gives the users for whom that is no way. */
  async #refreshLists(userIds: readonly string[], kept: Set<string>, signal: AbortSignal): Promise<readonly string[]> {
    const { lists } = this.#options;
    const told = userIds.filter((userId) => lists.isTold(userId)).slice(0, MAX_LISTS_PER_SERVER);
    const over = Promise.withResolvers<never>();
    const giveUp = (): void => over.reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      const refreshed = Promise.all(told.map((userId) => lists.refresh(userId)));
      await Promise.race([refreshed, over.promise]);
    } finally {
      signal.removeEventListener('abort', giveUp);
      for (const userId of told) if (lists.isCurrent(userId)) kept.add(userId);
    }
    return userIds.filter((userId) => !kept.has(userId));
  }

  async #ask(
    destination: string,
    what: 'query' | 'claim',
    content: JsonObject,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const path = `/_matrix/federation/v1/user/keys/${what}`;
    return this.#options.client.request({
      destination,
      method: 'POST',
      path,
      content,
      deadlineMs: boundedMs(timeoutMs),
      signal,
    });
  }

  #byServer<Wanted>(wanted: readonly (readonly [userId: string, wanted: Wanted])[]): ByServer<Wanted> {
    const byServer = new Map<string, Map<string, Wanted>>();
    for (const [userId, what] of wanted) {
      const server = serverNameOf(userId) ?? '';
      if (server === this.#options.serverName) continue;
      const users = byServer.get(server) ?? new Map<string, Wanted>();
      byServer.set(server, users);
      users.set(userId, what);
    }
    return byServer;
  }

  /** Does something with each server, a few at a time, for as long as there is time; notes for which it did not work. */
  async #askAll<Wanted>(
    byServer: ByServer<Wanted>,
    timeoutMs: number,
    failures: Failures,
    ask: (server: string, users: ReadonlyMap<string, Wanted>, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    if (byServer.size === 0) return;
    const signal = AbortSignal.timeout(boundedMs(timeoutMs));
    const queue = [...byServer];
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const [server, users] = next;
        try {
          signal.throwIfAborted();
          await ask(server, users, signal);
        } catch {
          failures.set(server, { status: 503, message: 'The server could not be asked, or did not answer in time.' });
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(SERVERS_AT_ONCE, queue.length) }, work));
  }
}

function boundedMs(timeoutMs: number): number {
  return Math.min(Math.max(Math.trunc(timeoutMs), 1), MAX_TIMEOUT_MS);
}

/** The keys that another server gave, those that were asked for: device → `<algorithm>:<key id>` → key. */
function claimedText(ofUser: unknown, wanted: ReadonlyMap<string, string>): string | undefined {
  if (!isJsonObject(ofUser)) return undefined;
  const members: [string, string][] = [];
  for (const [deviceId, algorithm] of wanted) {
    const given = memberOf(ofUser, deviceId);
    if (!isJsonObject(given)) continue;
    const [name] = Object.keys(given).filter((one) => one.startsWith(`${algorithm}:`));
    if (name === undefined) continue;
    const json = objectText([[name, JSON.stringify(given[name])]]);
    if (json.length <= MAX_TOLD_KEY_CHARACTERS) members.push([deviceId, json]);
  }
  return members.length === 0 ? undefined : objectText(members);
}
