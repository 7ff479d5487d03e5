/** Asks servers, and notaries, for signing keys. */
import type { KeysSeen } from '#projections/federation/key-records.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import type { FederationClient } from '../client.ts';
import { FederationError } from '../errors.ts';
import { isSignedBy, KeyAnswerError, MAX_KEY_ANSWER_BYTES, readKeyAnswer } from './key-answer.ts';

/** For a server to be found, and to say what its keys are. */
const DIRECT_DEADLINE_MS = 15_000;
/** For a notary, which may have to ask the servers itself. */
const NOTARY_DEADLINE_MS = 20_000;
/** Most servers that a notary is asked about at once. */
export const NOTARY_BATCH = 50;
/** Where more keys of one server are wanted, a notary is asked for all that it has. */
const MAX_KEYS_NAMED = 16;
/** Largest answer of a notary: several answers for each server. */
const MAX_NOTARY_ANSWER_BYTES = 8 * 1024 * 1024;

/** Keys that are wanted of a server, and until when they have to count at least. */
export interface KeysWanted {
  readonly serverName: string;
  readonly keyIds: readonly string[];
  readonly validUntilTs: number;
}

export interface KeyFetcherOptions {
  readonly client: FederationClient;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** The network half of {@link ServerKeys}. */
export class KeyFetcher {
  readonly #client: FederationClient;
  readonly #clock: () => number;

  constructor({ client, clock }: KeyFetcherOptions) {
    this.#client = client;
    this.#clock = clock;
  }

  /** What a server says of its own keys. @throws {FederationError} */
  async fromServer(serverName: string): Promise<KeysSeen> {
    const answer = await this.#client.request({
      destination: serverName,
      method: 'GET',
      path: '/_matrix/key/v2/server',
      isSigned: false,
      // Somebody has sent something that it signed, so it may well be there again.
      isUrgent: true,
      deadlineMs: DIRECT_DEADLINE_MS,
      maxAnswerBytes: MAX_KEY_ANSWER_BYTES,
    });
    try {
      return readKeyAnswer(answer, serverName, this.#clock(), undefined);
    } catch (error) {
      if (!(error instanceof KeyAnswerError)) throw error;
      throw new FederationError('bad_answer', serverName, `its keys: ${error.message}`, { cause: error });
    }
  }

  /**
   * What a notary says of the keys of servers; what it cannot tell, or did not sign, is left out. Answers that list the same
   * keys of a server are given oldest first.
   *
   * @param publicKeyOf the notary's own keys by key id.
   * @throws {FederationError}
   */
  async fromNotary(
    notary: string,
    wanted: readonly KeysWanted[],
    publicKeyOf: (keyId: string) => Uint8Array | undefined,
  ): Promise<KeysSeen[]> {
    const answer = await this.#client.request({
      destination: notary,
      method: 'POST',
      path: '/_matrix/key/v2/query',
      isSigned: false,
      content: { server_keys: criteriaOf(wanted) },
      deadlineMs: NOTARY_DEADLINE_MS,
      maxAnswerBytes: MAX_NOTARY_ANSWER_BYTES,
    });
    const asked = new Set(wanted.map(({ serverName }) => serverName));
    const list = answer['server_keys'];
    const seen: KeysSeen[] = [];
    for (const entry of Array.isArray(list) ? (list as JsonValue[]) : []) {
      if (!isJsonObject(entry) || !isSignedBy(entry, notary, publicKeyOf)) continue;
      const serverName = ownValue(entry, 'server_name');
      if (typeof serverName !== 'string' || !asked.has(serverName)) continue;
      try {
        seen.push(readKeyAnswer(entry, serverName, this.#clock(), notary));
      } catch (error) {
        if (!(error instanceof KeyAnswerError)) throw error;
      }
    }
    return seen.sort((one, other) => one.validUntilTs - other.validUntilTs);
  }
}

function criteriaOf(wanted: readonly KeysWanted[]): JsonObject {
  const servers = wanted.map(({ serverName, keyIds, validUntilTs }) => {
    const named = keyIds.length > MAX_KEYS_NAMED ? [] : keyIds;
    const keys = named.map((keyId) => [keyId, { minimum_valid_until_ts: validUntilTs }] as const);
    return [serverName, Object.fromEntries(keys)] as const;
  });
  return Object.fromEntries(servers);
}
