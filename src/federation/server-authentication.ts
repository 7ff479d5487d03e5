/**
 * Which server sent a request: the receiving side of request authentication.
 * https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import { decodeBase64 } from '#protocol/base64.ts';
import { CanonicalJsonError } from '#protocol/canonical-json.ts';
import { isKeyId } from '#protocol/identifiers.ts';
import { isServerName } from '#protocol/server-name.ts';
import { verifySignature } from '#protocol/signing.ts';
import type {
  BegunRequest,
  ServerAuthenticator,
  ServerRequester,
  SignedContent,
  SignedRequest,
} from '#src/http/endpoint.ts';
import { badJson, limitExceeded, MatrixError } from '#src/http/errors.ts';
import { parseServerAuthorization, type ServerCredentials } from './authorization-header.ts';
import { Budget } from './budget.ts';
import type { Destinations } from './destinations.ts';
import type { ServerKeys, VerifyKey } from './keys/server-keys.ts';
import { bytesToSign } from './signed-request.ts';

/** Requests of one server that are worked on at the same time. */
export const MAX_REQUESTS_PER_ORIGIN = 50;
/** Most Authorization headers of a request: one for each key that signed it. */
const MAX_HEADERS = 4;
/**
 * Large bodies that are put into canonical form to see whether somebody signed that: so many in a row, and one more each so many
 * milliseconds. Nearly all servers send what they sign.
 */
export const REWRITE_BURST = 8;
export const REWRITE_INTERVAL_MS = 10_000;
/** When a server that has too many requests under way may come again. */
const BUSY_RETRY_MS = 1000;
/**
 * How far the clock of a server may be behind ours, in milliseconds: a key that has run out by our clock is taken for so much
 * longer, where its server cannot be asked again.
 */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

export interface ServerAuthenticationOptions {
  /** Our own. */
  readonly serverName: string;
  readonly keys: ServerKeys;
  readonly destinations: Destinations;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Verifies the requests of other servers. */
export class ServerAuthentication implements ServerAuthenticator {
  readonly #options: ServerAuthenticationOptions;
  readonly #rewritten: Budget;
  /** Only origins with requests under way. */
  readonly #underWay = new Map<string, number>();

  constructor(options: ServerAuthenticationOptions) {
    this.#options = options;
    const { clock } = options;
    this.#rewritten = new Budget({ burst: REWRITE_BURST, refillMs: REWRITE_INTERVAL_MS, maxNames: 1, clock });
  }

  begin(authorization: readonly string[]): BegunRequest {
    if (authorization.length === 0) throw unauthorized('The request is not signed by a server.');
    const credentials = authorization.slice(0, MAX_HEADERS).map(parseServerAuthorization);
    const valid = credentials.filter((one) => one !== undefined);
    const [first] = valid;
    if (first === undefined || valid.length < credentials.length)
      throw malformed('The Authorization header is malformed.');
    for (const one of valid) this.#check(one, first);
    return { ready: this.#findKeys(first.origin, valid), verify: (request) => this.#verify(request, valid) };
  }

  enter(origin: string): () => void {
    const count = this.#underWay.get(origin) ?? 0;
    if (count >= MAX_REQUESTS_PER_ORIGIN) throw limitExceeded(BUSY_RETRY_MS);
    this.#underWay.set(origin, count + 1);
    return () => {
      const left = (this.#underWay.get(origin) ?? 1) - 1;
      if (left === 0) this.#underWay.delete(origin);
      else this.#underWay.set(origin, left);
    };
  }

  #check({ origin, destination, keyId }: ServerCredentials, first: ServerCredentials): void {
    const { serverName } = this.#options;
    if (!isServerName(origin)) throw malformed('The origin is not a server name.');
    if (!isKeyId(keyId)) throw malformed('The key is not a key id.');
    if (origin !== first.origin) throw malformed('The Authorization headers are of different servers.');
    if (destination !== undefined && destination !== serverName) {
      throw unauthorized(`The request is for ${destination}; this is ${serverName}.`);
    }
    if (origin === serverName) throw unauthorized('This server does not call itself.');
  }

  /** Before the body is read: what nobody can have signed is not worth its bytes. Nearly always nothing has to be asked. */
  #findKeys(origin: string, credentials: readonly ServerCredentials[]): Promise<void> | undefined {
    const { keys, clock } = this.#options;
    const now = clock();
    const keyIds = credentials.map(({ keyId }) => keyId);
    if (keyIds.every((keyId) => isInUse(keys.known(origin, keyId), now))) return undefined;
    return keys.keysFor([{ serverName: origin, keyIds, validAtMs: now }]).then(() => {
      if (!keyIds.some((keyId) => this.#keyInUse(origin, keyId))) throw unverified(keys, origin, keyIds);
    });
  }

  #keyInUse(origin: string, keyId: string): VerifyKey | undefined {
    const { keys, clock } = this.#options;
    const key = keys.known(origin, keyId);
    return isInUse(key, clock() - CLOCK_TOLERANCE_MS) ? key : undefined;
  }

  async #verify(
    { method, uri, content }: SignedRequest,
    credentials: readonly ServerCredentials[],
  ): Promise<ServerRequester> {
    const origin = credentials[0]?.origin ?? '';
    const isSigned = (text: string | undefined): boolean =>
      credentials.some(({ keyId, signature, destination }) => {
        const key = this.#keyInUse(origin, keyId);
        const bytes = decodeBase64(signature);
        if (bytes === undefined || key === undefined) return false;
        return verifySignature(bytesToSign({ method, uri, origin, destination, content: text }), bytes, key.publicKey);
      });
    if (isSigned(content?.text) || (content !== undefined && isSigned(await this.#canonical(content)))) {
      this.#options.destinations.alive(origin);
      return { origin };
    }
    const keyIds = credentials.map(({ keyId }) => keyId);
    throw unverified(this.#options.keys, origin, keyIds);
  }

  /** The body in the form in which it was signed, if that is another one than it came in. */
  async #canonical(content: SignedContent): Promise<string> {
    // Whoever sends what nobody signed costs us this, and nobody knows who it is.
    if (content.isLarge && !this.#rewritten.take('')) throw limitExceeded(REWRITE_INTERVAL_MS);
    try {
      return await content.canonical();
    } catch (error) {
      if (error instanceof CanonicalJsonError) throw badJson(error.message);
      throw error;
    }
  }
}

/** Old keys are good for old events only. */
function isInUse(key: VerifyKey | undefined, atMs: number): key is VerifyKey {
  return key !== undefined && 'validUntilTs' in key.validity && key.validity.validUntilTs >= atMs;
}

function unverified(keys: ServerKeys, origin: string, keyIds: readonly string[]): MatrixError {
  const isFound = keyIds.some((keyId) => keys.known(origin, keyId) !== undefined);
  const reason = isFound ? 'The signature is not right.' : `The keys of ${origin} could not be found.`;
  return unauthorized(`${reason} (${keyIds.join(', ')})`);
}

function unauthorized(message: string): MatrixError {
  return new MatrixError('M_UNAUTHORIZED', message);
}

function malformed(message: string): MatrixError {
  return new MatrixError('M_UNAUTHORIZED', message, { status: 400 });
}
