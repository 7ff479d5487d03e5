/** Passing on what other servers said of their keys. https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server */
import type { Reader } from '#projections/engine/reader.ts';
import { keyAnswer, keyOfServer, keysOfServer, type ServerKeyRow } from '#projections/federation/keys.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { trustedUntil } from '#protocol/key-validity.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { isServerName } from '#protocol/server-name.ts';
import { signJson } from '#protocol/signing.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';
import type { OwnKeys } from './own-keys.ts';
import type { ServerKeys } from './server-keys.ts';

/** Most servers that are asked for one query; of the others what is known is told. */
const MAX_ASKED = 50;
/** Largest answer, in characters of what the servers said; what they said beyond it is left out, as if it were not known. */
export const MAX_ANSWER_CHARACTERS = 6 * 1024 * 1024;
/** Most servers that one query is answered for. */
const MAX_SERVERS = 500;

/** Which keys of a server somebody wants; all if none is named. */
export interface NotaryQuery {
  readonly serverName: string;
  readonly keys: readonly {
    readonly keyId: string;
    /** Until when a key in use should count at least, in milliseconds since the epoch. */
    readonly validUntilTs: number;
  }[];
  /** The same where no key is named. */
  readonly validUntilTs: number;
}

export interface NotaryOptions {
  readonly serverName: string;
  readonly keys: ServerKeys;
  readonly ownKeys: OwnKeys;
  readonly reader: Reader;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Answers for other servers, with our signature beside theirs. */
export class Notary {
  readonly #options: NotaryOptions;

  constructor(options: NotaryOptions) {
    this.#options = options;
  }

  /**
   * What servers said of the keys that are wanted, each answer once. A server whose answers are missing, run out too soon, or
   * have lived half of their lives is asked again; where that does not help, what is known is told all the same.
   */
  async answersTo(queries: readonly NotaryQuery[]): Promise<JsonObject[]> {
    const { keys } = this.#options;
    const served = queries.filter(({ serverName }) => isServerName(serverName)).slice(0, MAX_SERVERS);
    const stale = served.filter((query) => this.#isStale(query)).slice(0, MAX_ASKED);
    await Promise.all(stale.map(({ serverName }) => keys.refresh(serverName)));
    const answers: JsonObject[] = [];
    let characters = 0;
    for (const query of served) {
      for (const { answer, length } of this.#answersOf(query)) {
        characters += length;
        if (characters > MAX_ANSWER_CHARACTERS) return answers;
        answers.push(answer);
        if (sharedPacer.isDue) await sharedPacer.pause();
      }
    }
    return answers;
  }

  #isStale({ serverName, keys, validUntilTs }: NotaryQuery): boolean {
    const { reader, clock } = this.#options;
    if (serverName === this.#options.serverName) return false;
    const now = clock();
    if (keys.length > 0) {
      return keys.some(({ keyId, validUntilTs: wanted }) =>
        isStaleKey(keyOfServer(reader, serverName, keyId), wanted, now),
      );
    }
    const inUse = Array.from(keysOfServer(reader, serverName), ([, row]) => row).filter(
      ({ expiredTs }) => expiredTs === undefined,
    );
    return inUse.every((row) => isStaleKey(row, validUntilTs, now));
  }

  *#answersOf({ serverName, keys }: NotaryQuery): Generator<{ readonly answer: JsonObject; readonly length: number }> {
    const { reader, ownKeys } = this.#options;
    if (serverName === this.#options.serverName) {
      yield { answer: ownKeys.answer(), length: 0 };
      return;
    }
    const wanted = new Set(keys.map(({ keyId }) => keyId));
    const places = new Set<Position>();
    for (const [keyId, { answerAt }] of keysOfServer(reader, serverName)) {
      if (wanted.size === 0 || wanted.has(keyId)) places.add(answerAt);
    }
    for (const at of places) {
      const row = keyAnswer(reader, serverName, at);
      const answer = row === undefined ? undefined : parseJson(row.json);
      if (row === undefined || !isJsonObject(answer)) continue;
      yield { answer: signJson(answer, this.#options.serverName, ownKeys.signingKey), length: row.json.length };
    }
  }
}

function isStaleKey(row: ServerKeyRow | undefined, wantedUntilTs: number, now: number): boolean {
  if (row === undefined) return true;
  if (row.expiredTs !== undefined) return false;
  // What had run out when it was fetched has no half of its life: who wants it for a time in the past gets it.
  const lifeMs = Math.max(0, trustedUntil(row.validUntilTs, row.fetchedAtMs) - row.fetchedAtMs);
  return row.validUntilTs < wantedUntilTs || (lifeMs > 0 && now - row.fetchedAtMs > lifeMs / 2);
}
