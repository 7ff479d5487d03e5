/** What servers say of their signing keys. https://spec.matrix.org/v1.19/server-server-api/#publishing-keys */
import type { KeysSeen, SeenKey } from '#projections/federation/key-records.ts';
import { decodeBase64, encodeBase64 } from '#protocol/base64.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { isKeyId } from '#protocol/identifiers.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { ED25519_KEY_BYTES, signingKeyIdsOf, verifySignedJson } from '#protocol/signing.ts';

/** Largest answer about the keys of one server. */
export const MAX_KEY_ANSWER_BYTES = 64 * 1024;
/** Most keys, old ones included, that are taken from an answer. */
export const MAX_KEYS_PER_ANSWER = 64;

/** Why an answer about keys cannot be used; the message is for logs. */
export class KeyAnswerError extends Error {
  override readonly name = 'KeyAnswerError';
}

/**
 * Reads and verifies what a server said of its keys: it has to be signed with every key in use that it lists, so that nobody
 * can claim somebody else's key. Keys of other algorithms than Ed25519, and old keys that make no sense, are skipped.
 *
 * @param notary the server that passed the answer on; undefined where the server itself answered.
 * @throws {KeyAnswerError}
 */
export function readKeyAnswer(
  answer: JsonObject,
  serverName: string,
  fetchedAtMs: number,
  notary: string | undefined,
): KeysSeen {
  if (answer['server_name'] !== serverName) throw new KeyAnswerError('it is about another server');
  const validUntilTs = answer['valid_until_ts'];
  if (!isTimestamp(validUntilTs)) throw new KeyAnswerError('valid_until_ts is not a time');
  const inUse = keysIn(answer['verify_keys']);
  if (inUse.length === 0) throw new KeyAnswerError('it lists no key in use');
  for (const { keyId, publicKey } of inUse) {
    if (!verifySignedJson(answer, serverName, keyId, publicKey)) throw new KeyAnswerError(`${keyId} did not sign it`);
  }
  const names = new Set(inUse.map(({ keyId }) => keyId));
  const old = keysIn(answer['old_verify_keys']).filter(({ keyId, expiredTs }) => {
    return expiredTs !== undefined && !names.has(keyId);
  });
  const keys = [...inUse.map((key) => ({ ...key, expiredTs: undefined })), ...old];
  if (keys.length > MAX_KEYS_PER_ANSWER) throw new KeyAnswerError(`it lists ${keys.length} keys`);
  const json = textToPassOn(answer, serverName);
  if (Buffer.byteLength(json) > MAX_KEY_ANSWER_BYTES) throw new KeyAnswerError('it is too large');
  return { serverName, fetchedAtMs, validUntilTs, notary, keys, json };
}

/** Whether a notary signed an answer that it passed on, with one of the keys that it is known to have. */
export function isSignedBy(
  answer: JsonObject,
  notary: string,
  publicKeyOf: (keyId: string) => Uint8Array | undefined,
): boolean {
  return signingKeyIdsOf(answer, notary).some((keyId) => {
    const publicKey = publicKeyOf(keyId);
    return publicKey !== undefined && verifySignedJson(answer, notary, keyId, publicKey);
  });
}

function keysIn(list: JsonValue | undefined): SeenKey[] {
  if (!isJsonObject(list)) return [];
  const keys: SeenKey[] = [];
  for (const [keyId, entry] of Object.entries(list)) {
    if (!keyId.startsWith('ed25519:') || !isKeyId(keyId) || !isJsonObject(entry)) continue;
    const text = ownValue(entry, 'key');
    const publicKey = typeof text === 'string' ? decodeBase64(text) : undefined;
    if (publicKey?.length !== ED25519_KEY_BYTES) continue;
    const expired = ownValue(entry, 'expired_ts');
    keys.push({ keyId, publicKey, expiredTs: isTimestamp(expired) ? expired : undefined });
  }
  return keys;
}

function isTimestamp(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** What was signed, with the server's own signatures: those of notaries are theirs to make anew. */
function textToPassOn(answer: JsonObject, serverName: string): string {
  const { signatures, unsigned: _unsigned, ...signed } = answer;
  const own = isJsonObject(signatures) ? ownValue(signatures, serverName) : undefined;
  const texts = Object.entries(isJsonObject(own) ? own : {}).filter(([, text]) => typeof text === 'string');
  try {
    return canonicalJson({ ...signed, signatures: { [serverName]: Object.fromEntries(texts) } });
  } catch (error) {
    // Signatures themselves are not covered by what was verified, so they can hold anything.
    throw new KeyAnswerError(error instanceof Error ? error.message : String(error));
  }
}

/** Keys as an answer lists them. */
export function listKeys(keys: readonly SeenKey[]): { verify_keys: JsonObject; old_verify_keys: JsonObject } {
  const inUse: [string, JsonObject][] = [];
  const old: [string, JsonObject][] = [];
  for (const { keyId, publicKey, expiredTs } of keys) {
    const key = encodeBase64(publicKey);
    if (expiredTs === undefined) inUse.push([keyId, { key }]);
    else old.push([keyId, { key, expired_ts: expiredTs }]);
  }
  return { verify_keys: Object.fromEntries(inUse), old_verify_keys: Object.fromEntries(old) };
}
