/** The signing keys of all servers: from the log's projection, else from the servers themselves, else from notaries. */
import type { Reader } from '#projections/engine/reader.ts';
import { KEYS_SEEN_STREAM, type KeysSeen, keysSeenRecord } from '#projections/federation/key-records.ts';
import { keyOfServer, keysOfServer, type ServerKeyRow } from '#projections/federation/keys.ts';
import { roomsOfServer } from '#projections/rooms/queries.ts';
import { type KeyValidity, MAX_KEY_VALIDITY_MS, trustedUntil } from '#protocol/key-validity.ts';
import { isServerName } from '#protocol/server-name.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import { Lru } from '#src/sync/lru.ts';
import { Budget } from '../budget.ts';
import { FederationError } from '../errors.ts';
import { Slots } from '../slots.ts';
import { FetchBudget } from './fetch-budget.ts';
import { type KeyFetcher, type KeysWanted, NOTARY_BATCH } from './key-fetcher.ts';
import type { OwnKeys } from './own-keys.ts';

/** Keys that are held in memory. */
const MAX_HELD_KEYS = 20_000;
/**
 * Servers that are asked at the same time, for all who need keys together; as many of those that are in rooms with this one, and of
 * all others: anybody can name servers that never answer, and those whom people here talk with must not wait for them.
 */
export const MAX_FETCHES = 64;
/** Servers that one who needs keys waits for at the same time. */
const MAX_FETCHES_PER_CALL = 100;
/** From so many servers on notaries are asked first, who answer for all of them at once. */
const MANY_SERVERS = 8;
/** How long one who needs keys waits for them, unless they say otherwise; what comes later is known the next time. */
export const DEFAULT_PATIENCE_MS = 60_000;
/** Servers that may wait to be asked, of each kind; those beyond are not. */
export const MAX_WAITING_FETCHES = 1000;
/** Most bytes of answers that go to the log in one append. */
const MAX_APPEND_JSON_BYTES = 512 * 1024;
/**
 * What is recorded of the keys of one server, in KiB: so much at once, and one more each so many milliseconds. An honest one says
 * something new when it changes its key.
 */
const SERVER_BURST_KIB = 256;
const SERVER_REFILL_MS = 60_000;
/** Servers of which is counted how much was recorded. */
const MAX_COUNTED = 20_000;
/**
 * The same for all servers together that are in no room with this one: whoever has a domain can make up any number of them. It is
 * enough for all servers of the largest rooms, whose keys are wanted when one is entered.
 */
export const STRANGERS_BURST_KIB = 16 * 1024;
export const STRANGERS_REFILL_MS = 60;
/** What a server said so short a while ago is not asked again only because a key should count for longer. */
const RECENT_MS = 60_000;
/** An answer that only says the same for longer is recorded if it is longer by at least this. */
const WORTH_RECORDING_MS = 60 * 60 * 1000;

/** A key of a server, and until when it counts. */
export interface VerifyKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** For events: see keyCountsFor of the protocol. */
  readonly validity: KeyValidity;
  /** When its server, or a notary, was last heard about it; milliseconds since the epoch. */
  readonly fetchedAtMs: number;
}

/** Keys that somebody needs. */
export interface KeyRequest {
  readonly serverName: string;
  /** With their algorithm. */
  readonly keyIds: readonly string[];
  /**
   * Milliseconds since the epoch: keys in use have to count at least until then, or their server is asked again. 0 where the
   * room version does not care (see `enforceKeyValidity`).
   */
  readonly validAtMs: number;
}

/** Server name → key id → key; what could not be found is not in it. */
export type FoundKeys = ReadonlyMap<string, ReadonlyMap<string, VerifyKey>>;

export interface ServerKeysOptions {
  readonly serverName: string;
  readonly ownKeys: OwnKeys;
  readonly fetcher: KeyFetcher;
  /** Servers that are asked where one cannot be asked itself. */
  readonly notaries: readonly string[];
  readonly reader: Reader;
  readonly commands: StreamCommands;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** Finds keys, remembers them in the log, and asks nobody twice for what it was told. */
export class ServerKeys {
  readonly #options: ServerKeysOptions;
  readonly #held = new Lru<string, VerifyKey>(MAX_HELD_KEYS);
  readonly #budget: FetchBudget;
  readonly #fetches = new Map<string, Promise<void>>();
  readonly #slots = new Slots({ perName: MAX_FETCHES, maxWaiting: MAX_WAITING_FETCHES });
  readonly #recorded: Budget;
  readonly #strangers: Budget;
  readonly #unrecorded: KeysSeen[] = [];
  #recording: Promise<void> | undefined;

  constructor(options: ServerKeysOptions) {
    this.#options = options;
    const { clock } = options;
    this.#budget = new FetchBudget(clock);
    this.#recorded = new Budget({ burst: SERVER_BURST_KIB, refillMs: SERVER_REFILL_MS, maxNames: MAX_COUNTED, clock });
    this.#strangers = new Budget({ burst: STRANGERS_BURST_KIB, refillMs: STRANGERS_REFILL_MS, maxNames: 1, clock });
  }

  /**
   * The keys that are asked for, as far as they can be found, and all others that are known of their servers by the same ids. A
   * key may count for less long than was asked for; whoever uses it has to look. All requests of one call are worked on at the
   * same time, and each server is asked once, however many want its keys. Never rejects for what another server does.
   */
  async keysFor(requests: readonly KeyRequest[], patienceMs = DEFAULT_PATIENCE_MS): Promise<FoundKeys> {
    const wanted = this.#missing(mergeByServer(requests));
    if (wanted.length > 0) await atMost(patienceMs, this.#ask(wanted));
    const found = new Map<string, Map<string, VerifyKey>>();
    for (const { serverName, keyIds } of requests) {
      const ofServer = found.get(serverName) ?? new Map<string, VerifyKey>();
      for (const keyId of keyIds) {
        const key = this.known(serverName, keyId);
        if (key !== undefined) ofServer.set(keyId, key);
      }
      found.set(serverName, ofServer);
    }
    return found;
  }

  /** What is known of a key without asking anybody. */
  known(serverName: string, keyId: string): VerifyKey | undefined {
    if (serverName === this.#options.serverName) return this.#own(keyId);
    const name = `${serverName} ${keyId}`;
    const held = this.#held.get(name);
    if (held !== undefined) return held;
    const row = keyOfServer(this.#options.reader, serverName, keyId);
    if (row === undefined) return undefined;
    const key = verifyKeyOf(row);
    this.#held.set(name, key);
    return key;
  }

  /** Asks a server for its keys now, if it may be asked. Resolves when what it says is known here, whatever it was. */
  async refresh(serverName: string): Promise<void> {
    if (serverName !== this.#options.serverName) await this.#fetch({ serverName, keyIds: [], validUntilTs: 0 });
  }

  /** Resolves when what was heard is in the log. */
  async settled(): Promise<void> {
    await this.#recording;
  }

  #own(keyId: string): VerifyKey | undefined {
    const key = this.#options.ownKeys.list().find((one) => one.keyId === keyId);
    const now = this.#options.clock();
    if (key === undefined) return undefined;
    const { publicKey, expiredTs } = key;
    const validity = expiredTs === undefined ? { validUntilTs: now + MAX_KEY_VALIDITY_MS } : { expiredTs };
    return { publicKey, validity, fetchedAtMs: now };
  }

  /** Of the keys that are wanted, those that are not known, or do not count for long enough. */
  #missing(wanted: readonly KeysWanted[]): KeysWanted[] {
    const missing: KeysWanted[] = [];
    const recentMs = this.#options.clock() - RECENT_MS;
    for (const { serverName, keyIds, validUntilTs } of wanted) {
      if (serverName === this.#options.serverName || !isServerName(serverName)) continue;
      const lacking = keyIds.filter((keyId) => {
        const key = this.known(serverName, keyId);
        if (key === undefined) return true;
        if (key.fetchedAtMs > recentMs) return false;
        return 'validUntilTs' in key.validity && key.validity.validUntilTs < validUntilTs;
      });
      if (lacking.length > 0) missing.push({ serverName, keyIds: lacking, validUntilTs });
    }
    return missing;
  }

  async #ask(wanted: readonly KeysWanted[]): Promise<void> {
    let left = wanted;
    const isMuch = wanted.length >= MANY_SERVERS;
    if (isMuch) {
      await this.#askNotaries(left);
      left = this.#missing(left);
    }
    const queue = left.values();
    const lines = Array.from({ length: Math.min(MAX_FETCHES_PER_CALL, left.length) }, async () => {
      for (const want of queue) await this.#fetch(want);
    });
    await Promise.all(lines);
    if (!isMuch) await this.#askNotaries(this.#missing(left));
  }

  /** Asks a server, unless it is being asked, or was asked too often. */
  #fetch({ serverName }: KeysWanted): Promise<void> {
    const underWay = this.#fetches.get(serverName);
    if (underWay !== undefined) return underWay;
    if (!this.#budget.take(serverName)) return Promise.resolve();
    const fetched = this.#fetchNow(serverName).finally(() => this.#fetches.delete(serverName));
    this.#fetches.set(serverName, fetched);
    return fetched;
  }

  async #fetchNow(serverName: string): Promise<void> {
    const line = this.#isStranger(serverName) ? 'strangers' : 'in our rooms';
    const release = await this.#slots.take(line, new AbortController().signal);
    if (release === undefined) return;
    let seen: KeysSeen;
    try {
      seen = await this.#options.fetcher.fromServer(serverName);
      this.#budget.answered(serverName);
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      if (error.isServerDown || error.kind === 'refused') this.#budget.notThere(serverName);
      this.#options.logger.debug(
        { server: serverName, reason: error.message },
        'the keys of a server were not to be had',
      );
      return;
    } finally {
      release();
    }
    await this.#remember([seen]);
  }

  async #askNotaries(wanted: readonly KeysWanted[]): Promise<void> {
    let left = wanted;
    for (const notary of this.#options.notaries) {
      if (left.length === 0) return;
      const others = left.filter(({ serverName }) => serverName !== notary);
      for (let begin = 0; begin < others.length; begin += NOTARY_BATCH) {
        await this.#askNotary(notary, others.slice(begin, begin + NOTARY_BATCH));
      }
      left = this.#missing(left);
    }
  }

  async #askNotary(notary: string, wanted: readonly KeysWanted[]): Promise<void> {
    const { fetcher, reader, clock, logger } = this.#options;
    try {
      const isKnown = Array.from(keysOfServer(reader, notary)).some(([, row]) => countsNow(row, clock()));
      if (!isKnown) await this.refresh(notary);
      const seen = await fetcher.fromNotary(notary, wanted, (keyId) => keyOfServer(reader, notary, keyId)?.publicKey);
      await this.#remember(seen);
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      logger.debug({ notary, reason: error.message }, 'a notary did not help');
    }
  }

  /** Resolves when the log has it, so that nothing is verified with a key that the log does not know. */
  async #remember(seen: readonly KeysSeen[]): Promise<void> {
    const news = seen.filter((answer) => isNews(this.#options.reader, answer) && this.#mayRecord(answer));
    if (news.length === 0) return;
    this.#unrecorded.push(...news);
    // Whoever comes while an append is under way goes with the next.
    this.#recording = (this.#recording ?? Promise.resolve()).then(() => this.#recordAll());
    await this.#recording;
  }

  /** Whether a server is in no room with this one. */
  #isStranger(serverName: string): boolean {
    return roomsOfServer(this.#options.reader, serverName).next().done === true;
  }

  /** The log is for ever, and anybody can make this server ask for keys. */
  #mayRecord({ serverName, json }: KeysSeen): boolean {
    const sizeKib = Math.ceil(json.length / 1024);
    const mayBe =
      this.#recorded.take(serverName, sizeKib) && (!this.#isStranger(serverName) || this.#strangers.take('', sizeKib));
    if (!mayBe)
      this.#options.logger.warn({ server: serverName, sizeKib }, 'a server says more of its keys than is recorded');
    return mayBe;
  }

  async #recordAll(): Promise<void> {
    const { commands, newRecordId, logger } = this.#options;
    while (this.#unrecorded.length > 0) {
      const batch = this.#unrecorded.splice(0, fittingCount(this.#unrecorded));
      try {
        await commands.run(KEYS_SEEN_STREAM, () => ({
          records: batch.map((seen) => keysSeenRecord(newRecordId(), seen)),
          result: undefined,
        }));
        this.#forget(batch);
      } catch (error) {
        // Where nothing can be written no event is accepted either, but others may go on reading.
        logger.warn({ err: error }, 'the keys of other servers could not be recorded');
        this.#holdUnrecorded(batch);
      }
    }
  }

  /** The projection knows better now. */
  #forget(batch: readonly KeysSeen[]): void {
    for (const { serverName, keys } of batch) for (const { keyId } of keys) this.#held.delete(`${serverName} ${keyId}`);
  }

  #holdUnrecorded(batch: readonly KeysSeen[]): void {
    for (const { serverName, keys, validUntilTs, fetchedAtMs, notary } of batch) {
      if (notary !== undefined) continue;
      for (const { keyId, publicKey, expiredTs } of keys) {
        const validity = validityOf({ expiredTs, validUntilTs, fetchedAtMs });
        this.#held.set(`${serverName} ${keyId}`, { publicKey, validity, fetchedAtMs });
      }
    }
  }
}

/** Resolves when the work is done, or when it has taken so long; then it goes on by itself. */
async function atMost(ms: number, work: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // Whoever waited would have been told; nobody is there to be told now.
    work.catch(() => {});
  }
}

/** How many of the first answers go into one append; at least one. */
function fittingCount(answers: readonly KeysSeen[]): number {
  let size = 0;
  const tooMany = answers.findIndex(({ json }) => {
    size += json.length;
    return size > MAX_APPEND_JSON_BYTES;
  });
  return tooMany === -1 ? answers.length : Math.max(1, tooMany);
}

function mergeByServer(requests: readonly KeyRequest[]): KeysWanted[] {
  const merged = new Map<string, { keyIds: Set<string>; validUntilTs: number }>();
  for (const { serverName, keyIds, validAtMs } of requests) {
    const one = merged.get(serverName) ?? { keyIds: new Set(), validUntilTs: 0 };
    for (const keyId of keyIds) one.keyIds.add(keyId);
    one.validUntilTs = Math.max(one.validUntilTs, validAtMs);
    merged.set(serverName, one);
  }
  return Array.from(merged, ([serverName, { keyIds, validUntilTs }]) => ({
    serverName,
    keyIds: [...keyIds],
    validUntilTs,
  }));
}

function verifyKeyOf(row: ServerKeyRow): VerifyKey {
  const { publicKey, fetchedAtMs } = row;
  return { publicKey, fetchedAtMs, validity: validityOf(row) };
}

type Times = Pick<ServerKeyRow, 'expiredTs' | 'validUntilTs' | 'fetchedAtMs'>;

function validityOf({ expiredTs, validUntilTs, fetchedAtMs }: Times): KeyValidity {
  return expiredTs === undefined ? { validUntilTs: trustedUntil(validUntilTs, fetchedAtMs) } : { expiredTs };
}

function countsNow({ expiredTs, validUntilTs, fetchedAtMs }: ServerKeyRow, now: number): boolean {
  return expiredTs === undefined && now <= trustedUntil(validUntilTs, fetchedAtMs);
}

/** Whether an answer says anything that is not known and counts, or the same for notably longer. */
function isNews(reader: Reader, { serverName, keys, validUntilTs, fetchedAtMs, notary }: KeysSeen): boolean {
  const untilTs = trustedUntil(validUntilTs, fetchedAtMs);
  return keys.some(({ keyId, publicKey, expiredTs }) => {
    const row = keyOfServer(reader, serverName, keyId);
    if (row === undefined) return true;
    const isSameKey = Buffer.compare(row.publicKey, publicKey) === 0;
    const isLonger = untilTs >= trustedUntil(row.validUntilTs, row.fetchedAtMs) + WORTH_RECORDING_MS;
    // Of what the server itself said a notary can only say more.
    if (notary !== undefined && row.isDirect) return isSameKey && isLonger && validUntilTs > row.validUntilTs;
    if (notary === undefined && !row.isDirect) return true;
    if (!isSameKey || row.expiredTs !== expiredTs) return true;
    return expiredTs === undefined && (isLonger || validUntilTs < row.validUntilTs);
  });
}
