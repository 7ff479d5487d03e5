/**
 * Which server sent a request: the receiving side of request authentication.
 * https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import { decodeBase64 } from '#protocol/base64.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { isKeyId } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { isServerName } from '#protocol/server-name.ts';
import { verifySignature } from '#protocol/signing.ts';
import type { ServerAuthenticator, ServerRequester, SignedRequest } from '#src/http/endpoint.ts';
import { badJson, limitExceeded, MatrixError } from '#src/http/errors.ts';
import { parseServerAuthorization, type ServerCredentials } from './authorization-header.ts';
import type { Destinations } from './destinations.ts';
import type { ServerKeys, VerifyKey } from './keys/server-keys.ts';
import { bytesToSign } from './signed-request.ts';

/** Requests of one server that are worked on at the same time. */
export const MAX_REQUESTS_PER_ORIGIN = 50;
/** Most Authorization headers of a request: one for each key that signed it. */
const MAX_HEADERS = 4;
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
  /** Only origins with requests under way. */
  readonly #underWay = new Map<string, number>();

  constructor(options: ServerAuthenticationOptions) {
    this.#options = options;
  }

  begin(authorization: readonly string[]): (request: SignedRequest) => Promise<ServerRequester> {
    if (authorization.length === 0) throw unauthorized('The request is not signed by a server.');
    const credentials = authorization.slice(0, MAX_HEADERS).map(parseServerAuthorization);
    const valid = credentials.filter((one) => one !== undefined);
    const [first] = valid;
    if (first === undefined || valid.length < credentials.length)
      throw malformed('The Authorization header is malformed.');
    for (const one of valid) this.#check(one, first);
    return (request) => this.#verify(request, valid);
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

  async #verify(request: SignedRequest, credentials: readonly ServerCredentials[]): Promise<ServerRequester> {
    const origin = credentials[0]?.origin ?? '';
    const { keys, destinations, clock } = this.#options;
    const now = clock();
    const keyIds = credentials.map(({ keyId }) => keyId);
    const isKnown = keyIds.every((keyId) => isInUse(keys.known(origin, keyId), now));
    // Nearly always it is, and nothing has to be asked.
    if (!isKnown) await keys.keysFor([{ serverName: origin, keyIds, validAtMs: now }]);
    const content = request.content === undefined ? undefined : canonicalBody(request.content);
    for (const { keyId, signature, destination } of credentials) {
      const key = keys.known(origin, keyId);
      const bytes = decodeBase64(signature);
      if (bytes === undefined || !isInUse(key, now - CLOCK_TOLERANCE_MS)) continue;
      const { method, uri } = request;
      if (!verifySignature(bytesToSign({ method, uri, origin, destination, content }), bytes, key.publicKey)) continue;
      destinations.alive(origin);
      return { origin };
    }
    const isFound = keyIds.some((keyId) => keys.known(origin, keyId) !== undefined);
    const reason = isFound ? 'The signature is not right.' : `The keys of ${origin} could not be found.`;
    throw unauthorized(`${reason} (${keyIds.join(', ')})`);
  }
}

/** Old keys are good for old events only. */
function isInUse(key: VerifyKey | undefined, atMs: number): key is VerifyKey {
  return key !== undefined && 'validUntilTs' in key.validity && key.validity.validUntilTs >= atMs;
}

function canonicalBody(content: JsonObject): string {
  try {
    // Events of old room versions may have any number in them.
    return canonicalJson(content, 'loose');
  } catch (error) {
    throw badJson(error instanceof Error ? error.message : 'The request body has no canonical form.');
  }
}

function unauthorized(message: string): MatrixError {
  return new MatrixError('M_UNAUTHORIZED', message);
}

function malformed(message: string): MatrixError {
  return new MatrixError('M_UNAUTHORIZED', message, { status: 400 });
}
