/** Identity servers that users name: who has an address, and invites for those who have none yet. https://spec.matrix.org/v1.19/identity-service-api/ */
import { createHash } from 'node:crypto';
import { isUserId } from '#protocol/identifiers.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { isServerName } from '#protocol/server-name.ts';
import { invalidParam, MatrixError } from '#src/http/errors.ts';
import { type LazyAgent, undici } from '#src/net/undici.ts';
import { discard, parseAnswer, readBody } from './answer-body.ts';

const MAX_ANSWER_BYTES = 64 * 1024;
/** Somebody waits. */
const DEADLINE_MS = 10_000;
/** Keys that an identity server may name for one invite. */
const MAX_PUBLIC_KEYS = 16;

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

/** Requests to identity servers. */
export class IdentityServers {
  readonly #web: LazyAgent;

  /** @param web connects only to where requests of users may go. */
  constructor(web: LazyAgent) {
    this.#web = web;
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

  async #ask(
    { idServer, idAccessToken }: ThirdPartyAddress,
    method: 'GET' | 'POST',
    action: string,
    content?: JsonObject,
  ): Promise<JsonObject> {
    if (!isServerName(idServer)) throw invalidParam('id_server is not the name of a server.');
    try {
      return await this.#fetch(new URL(`https://${idServer}/_matrix/identity/v2/${action}`), {
        method,
        headers: { authorization: `Bearer ${idAccessToken}`, 'content-type': 'application/json' },
        ...(content !== undefined && { body: JSON.stringify(content) }),
      });
    } catch (error) {
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
    const { statusCode, headers, body } = await undici().request(url, {
      ...request,
      dispatcher: this.#web.get(),
      signal,
    });
    if (statusCode !== 200) {
      discard(body);
      throw new Error(`${url.host} answered ${statusCode}`);
    }
    const length = headers['content-length'];
    return parseAnswer(await readBody(body, Array.isArray(length) ? length[0] : length, MAX_ANSWER_BYTES));
  }
}

function publicKeyOf(key: JsonObject): { readonly public_key: string; readonly key_validity_url?: string } {
  const { public_key: publicKey, key_validity_url: url } = key;
  return { public_key: String(publicKey), ...(typeof url === 'string' && { key_validity_url: url }) };
}

function notUnderstood(idServer: string): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', `The identity server ${idServer} did not answer as it should.`);
}
