/** Identity servers that users name: who has an address, and invites for those who have none yet. https://spec.matrix.org/v1.19/identity-service-api/ */
import { createHash } from 'node:crypto';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { isUserId } from '#protocol/identifiers.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { isServerName } from '#protocol/server-name.ts';
import type { SigningKey } from '#protocol/signing.ts';
import { type Errcode, invalidParam, MatrixError } from '#src/http/errors.ts';
import { type LazyAgent, undiciLoaded } from '#src/net/undici.ts';
import { parseAnswer, readBody } from './answer-body.ts';
import { authorize } from './signed-request.ts';

const MAX_ANSWER_BYTES = 64 * 1024;
/** Somebody waits. */
const DEADLINE_MS = 10_000;
/** Keys that an identity server may name for one invite. */
const MAX_PUBLIC_KEYS = 16;
/** Longest sentence of an identity server that is passed on, in UTF-16 code units. */
const MAX_SENTENCE_LENGTH = 500;
/** What an error code looks like; others are not passed on. */
const ERRCODE = /^[A-Z][A-Z0-9_.]{0,99}$/;
/** A client that is told one of these takes its own session for ended. */
const SESSION_ERRCODES = new Set(['M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN', 'M_USER_LOCKED', 'M_USER_DEACTIVATED']);

/** An address of somebody, at an identity server that the asking user is known to. */
export interface ThirdPartyAddress {
  /** Server name. */
  readonly idServer: string;
  /** The user's token for it. */
  readonly idAccessToken: string;
  /** `email` or `msisdn`. */
  readonly medium: string;
  readonly address: string;
}

/** An invite that waits at an identity server. */
export interface StoredInvite {
  readonly token: string;
  /** The content of the `m.room.third_party_invite` event. */
  readonly content: JsonObject;
}

/** What a user has of an identity server that checked an address. */
export interface AddressProof {
  /** Server name. */
  readonly idServer: string;
  /** The user's token for it. */
  readonly idAccessToken: string;
  /** The session in which the address was checked. */
  readonly sid: string;
  readonly clientSecret: string;
}

/** An address of a user, and the identity server that is to forget it. */
export interface BoundAddress {
  readonly userId: string;
  /** Server name. */
  readonly idServer: string;
  /** `email` or `msisdn`. */
  readonly medium: string;
  readonly address: string;
}

/** Requests to identity servers. */
export class IdentityServers {
  readonly #web: LazyAgent;
  readonly #serverName: string;
  readonly #signingKey: SigningKey;

  /** @param web connects only to where requests of users may go. @param signer who vouches for requests without a user's token. */
  constructor(web: LazyAgent, signer: { readonly serverName: string; readonly signingKey: SigningKey }) {
    this.#web = web;
    this.#serverName = signer.serverName;
    this.#signingKey = signer.signingKey;
  }

  /**
   * Binds the address that was checked to a user, and says which it is.
   * @throws {MatrixError} the identity server's own error; M_INVALID_PARAM and M_CONNECTION_FAILED as {@link lookUp}.
   */
  async bind(
    { idServer, idAccessToken, sid, clientSecret }: AddressProof,
    userId: string,
  ): Promise<{ readonly medium: string; readonly address: string }> {
    const content = { sid, client_secret: clientSecret, mxid: userId };
    const { medium, address } = await this.#ask({ idServer, idAccessToken }, 'POST', '3pid/bind', content);
    if (typeof medium !== 'string' || typeof address !== 'string') throw notUnderstood(idServer);
    return { medium, address };
  }

  /**
   * Has an address of a user forgotten, on the word of this server.
   * @returns false if the identity server does not do such a thing.
   * @throws {MatrixError} as {@link bind}.
   */
  async unbind({ userId, idServer, medium, address }: BoundAddress): Promise<boolean> {
    const content = { mxid: userId, threepid: { medium, address } };
    try {
      await this.#ask({ idServer }, 'POST', '3pid/unbind', content);
      return true;
    } catch (error) {
      const { cause } = error as { readonly cause?: unknown };
      // Only a Matrix error is an answer to the question; any other refusal means that the question is not understood.
      if (cause instanceof Refused && [400, 403, 404, 501].includes(cause.status)) return false;
      throw error;
    }
  }

  /**
   * The user who has an address, if the server knows one.
   * @throws {MatrixError} M_INVALID_PARAM for what is no server name, M_CONNECTION_FAILED if the server does not answer as it should.
   */
  async lookUp(at: ThirdPartyAddress): Promise<string | undefined> {
    const { algorithms, lookup_pepper: pepper } = await this.#ask(at, 'GET', 'hash_details');
    if (typeof pepper !== 'string' || !Array.isArray(algorithms)) throw notUnderstood(at.idServer);
    const algorithm = ['sha256', 'none'].find((one) => algorithms.includes(one));
    if (algorithm === undefined) throw notUnderstood(at.idServer);
    const plain = `${at.address} ${at.medium}`;
    const asked = algorithm === 'none' ? plain : createHash('sha256').update(`${plain} ${pepper}`).digest('base64url');
    const { mappings } = await this.#ask(at, 'POST', 'lookup', { addresses: [asked], algorithm, pepper });
    const found = isJsonObject(mappings) ? ownValue(mappings, asked) : undefined;
    return typeof found === 'string' && isUserId(found) ? found : undefined;
  }

  /**
   * Leaves an invite for whoever has an address.
   * @param about what the letter to that address says of the room and of who invites.
   * @throws {MatrixError} as {@link lookUp}.
   */
  async storeInvite(
    at: ThirdPartyAddress,
    invite: { readonly roomId: string; readonly sender: string; readonly about: Readonly<Record<string, string>> },
  ): Promise<StoredInvite> {
    const answer = await this.#ask(at, 'POST', 'store-invite', {
      ...invite.about,
      medium: at.medium,
      address: at.address,
      room_id: invite.roomId,
      sender: invite.sender,
    });
    const { token, display_name: displayName, public_keys: keys, public_key: single } = answer;
    const publicKeys = (Array.isArray(keys) ? keys : [])
      .slice(0, MAX_PUBLIC_KEYS)
      .flatMap((key) => (isJsonObject(key) && typeof key.public_key === 'string' ? [publicKeyOf(key)] : []));
    const first = publicKeys[0] ?? (typeof single === 'string' ? { public_key: single } : undefined);
    if (typeof token !== 'string' || first === undefined) throw notUnderstood(at.idServer);
    const validityUrl = `https://${at.idServer}/_matrix/identity/v2/pubkey/isvalid`;
    return {
      token,
      content: {
        display_name: typeof displayName === 'string' ? displayName : '',
        public_key: first.public_key,
        key_validity_url: first.key_validity_url ?? validityUrl,
        public_keys:
          publicKeys.length > 0 ? publicKeys : [{ public_key: first.public_key, key_validity_url: validityUrl }],
      },
    };
  }

  /** Whether whoever gave out a key still says that it is good. Not if nobody says so. */
  async isKeyValid(validityUrl: string, publicKey: string): Promise<boolean> {
    const url = URL.parse(validityUrl);
    if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') return false;
    url.searchParams.set('public_key', publicKey);
    try {
      return (await this.#fetch(url, { method: 'GET' })).valid === true;
    } catch {
      return false;
    }
  }

  /** With the user's token, or signed by this server where there is none. */
  async #ask(
    { idServer, idAccessToken }: { readonly idServer: string; readonly idAccessToken?: string },
    method: 'GET' | 'POST',
    action: string,
    content?: JsonObject,
  ): Promise<JsonObject> {
    if (!isServerName(idServer)) throw invalidParam('id_server is not the name of a server.');
    const uri = `/_matrix/identity/v2/${action}`;
    const body = content === undefined ? undefined : canonicalJson(content);
    const parts = { method, uri, origin: this.#serverName, destination: idServer, content: body };
    const authorization = idAccessToken === undefined ? authorize(parts, this.#signingKey) : `Bearer ${idAccessToken}`;
    try {
      return await this.#fetch(new URL(`https://${idServer}${uri}`), {
        method,
        headers: { authorization, 'content-type': 'application/json' },
        ...(body !== undefined && { body }),
      });
    } catch (error) {
      const told = error instanceof Refused ? error.asTold() : undefined;
      if (told !== undefined) throw told;
      throw new MatrixError('M_CONNECTION_FAILED', `The identity server ${idServer} could not be asked.`, {
        cause: error,
      });
    }
  }

  async #fetch(
    url: URL,
    request: {
      readonly method: 'GET' | 'POST';
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    },
  ): Promise<JsonObject> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const { statusCode, headers, body } = await (await undiciLoaded()).request(url, {
      ...request,
      dispatcher: this.#web.get(),
      signal,
    });
    const length = headers['content-length'];
    const bytes = await readBody(body, Array.isArray(length) ? length[0] : length, MAX_ANSWER_BYTES);
    if (statusCode !== 200) throw new Refused(url.host, statusCode, bytes);
    return parseAnswer(bytes);
  }
}

/** An identity server answered with something else than 200. */
class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  readonly #bytes: Buffer;

  constructor(host: string, status: number, bytes: Buffer) {
    super(`${host} answered ${status}`);
    this.status = status;
    this.#bytes = bytes;
  }

  /** The error as the user is told it; undefined if the server gave none that can be passed on. */
  asTold(): MatrixError | undefined {
    const { errcode, error } = answerOrNothing(this.#bytes);
    if (this.status < 400 || typeof errcode !== 'string' || !ERRCODE.test(errcode)) return undefined;
    const sentence = typeof error === 'string' ? error.slice(0, MAX_SENTENCE_LENGTH) : undefined;
    const isOfSession = SESSION_ERRCODES.has(errcode);
    // It is the session with the identity server that is not good, not the one with us.
    const status = isOfSession || this.status === 401 ? 403 : this.status;
    return new MatrixError(isOfSession ? 'M_UNAUTHORIZED' : (errcode as Errcode), sentence, { status, cause: this });
  }
}

function answerOrNothing(bytes: Buffer): JsonObject {
  try {
    return parseAnswer(bytes);
  } catch {
    return {};
  }
}

function publicKeyOf(key: JsonObject): { readonly public_key: string; readonly key_validity_url?: string } {
  const { public_key: publicKey, key_validity_url: url } = key;
  return { public_key: String(publicKey), ...(typeof url === 'string' && { key_validity_url: url }) };
}

function notUnderstood(idServer: string): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', `The identity server ${idServer} did not answer as it should.`);
}
