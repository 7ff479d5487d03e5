import { Buffer } from 'node:buffer';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { canonicalJson, type NumberStrictness } from './canonical-json.ts';
import { type SigningKey, verifySignature } from './ed25519.ts';
import type { EventTexts } from './event-texts.ts';
import { carriedEventId, numberStrictness } from './hashing.ts';
import { serverNameOf } from './identifiers.ts';
import { isJsonObject, ownValue } from './json-object.ts';
import type { JsonObject, Pdu } from './pdu.ts';
import { redact } from './redaction.ts';
import type { RoomVersionRules } from './room-version.ts';

export {
  ED25519_KEY_BYTES,
  type SigningKey,
  signingKeyFromSeed,
  verifySignature,
} from './ed25519.ts';
export {
  formatSigningKeyFile,
  parseSigningKeyFile,
  SigningKeyFileError,
} from './signing-key-file.ts';

/** A JSON object with signatures on it. */
export interface SignedJson extends JsonObject {
  readonly signatures: { readonly [entity: string]: { readonly [keyId: string]: string } };
}

/**
 * The UTF-8 bytes that a signature on a JSON object covers: its canonical encoding without `signatures` and `unsigned`.
 * Source: appendices, "Signing Details".
 *
 * @throws {CanonicalJsonError} if the object has no canonical encoding.
 */
export function signedBytes(object: JsonObject, strictness: NumberStrictness = 'strict'): Uint8Array {
  const { signatures: _signatures, unsigned: _unsigned, ...signed } = object;
  return Buffer.from(canonicalJson(signed, strictness));
}

/**
 * A copy of a JSON object with our signature added to those it has. Source: appendices, "Signing Details".
 *
 * @throws {CanonicalJsonError} if the object has no canonical encoding.
 */
export function signJson<T extends JsonObject>(
  object: T,
  serverName: string,
  key: SigningKey,
  strictness: NumberStrictness = 'strict',
): T & SignedJson {
  const signature = encodeBase64(key.sign(signedBytes(object, strictness)));
  return { ...object, signatures: withSignature(object.signatures, serverName, key.keyId, signature) };
}

/**
 * The signatures of a PDU or other object with one more. What is there and is no signature block is replaced.
 * Source: appendices, "Signing Details".
 */
export function withSignature(
  signatures: unknown,
  serverName: string,
  keyId: string,
  signature: string,
): SignedJson['signatures'] {
  const present = isJsonObject(signatures) ? signatures : {};
  const ours = ownValue(present, serverName);
  return {
    ...present,
    [serverName]: { ...(isJsonObject(ours) ? ours : {}), [keyId]: signature },
  } as SignedJson['signatures'];
}

/**
 * The signature that an entity put on an object with a key, decoded; `undefined` if there is none or it is garbled.
 * Source: appendices, "Checking for a Signature".
 */
export function signatureOn(object: JsonObject, serverName: string, keyId: string): Uint8Array | undefined {
  const signatures = object.signatures;
  if (!isJsonObject(signatures)) return undefined;
  const block = ownValue(signatures, serverName);
  if (!isJsonObject(block)) return undefined;
  const text = ownValue(block, keyId);
  return typeof text === 'string' ? decodeBase64(text) : undefined;
}

/**
 * The ids of the Ed25519 keys with which an entity claims to have signed an object.
 * Source: appendices, "Checking for a Signature".
 */
export function signingKeyIdsOf(object: JsonObject, serverName: string): string[] {
  const signatures = object.signatures;
  const block = isJsonObject(signatures) ? ownValue(signatures, serverName) : undefined;
  return isJsonObject(block) ? Object.keys(block).filter((keyId) => keyId.startsWith('ed25519:')) : [];
}

/**
 * Whether an entity signed a JSON object with a key. `false` if there is no such signature, or the object has no
 * canonical encoding. Source: appendices, "Checking for a Signature".
 */
export function verifySignedJson(
  object: JsonObject,
  serverName: string,
  keyId: string,
  publicKey: Uint8Array,
  strictness: NumberStrictness = 'strict',
): boolean {
  const signature = signatureOn(object, serverName, keyId);
  if (signature === undefined) return false;
  const bytes = signedBytesIfCanonical(object, strictness);
  return bytes !== undefined && verifySignature(bytes, signature, publicKey);
}

/**
 * Whether a server signed an event with a key. Signatures on events cover what redaction keeps.
 * Source: server-server API, "Signing Events".
 *
 * @param texts of the event, where they are known.
 */
export function verifyEventSignature(
  pdu: Pdu,
  rules: RoomVersionRules,
  serverName: string,
  keyId: string,
  publicKey: Uint8Array,
  texts?: EventTexts,
): boolean {
  if (texts === undefined) {
    return verifySignedJson(redact(pdu, rules), serverName, keyId, publicKey, numberStrictness(rules));
  }
  const signature = signatureOn(pdu, serverName, keyId);
  return signature !== undefined && verifySignature(Buffer.from(texts.signedJson), signature, publicKey);
}

/**
 * The servers that must have signed an event: that of its sender, except for an invite by third-party identifier, which
 * any server of the room may send; that in its id, where servers choose ids (1 and 2); and for a restricted join (of other
 * memberships the network does not ask it) that of the user who vouches for it.
 * Source: server-server API, "Validating hashes and signatures on received events"; rooms/v8, rule 4.2.
 */
export function requiredSigners(pdu: Pdu, rules: RoomVersionRules): string[] {
  const signers = new Set<string>();
  const senderServer = serverNameOf(pdu.sender);
  if (senderServer !== undefined && !isThirdPartyInvite(pdu)) signers.add(senderServer);
  const idServer = rules.eventIdFormat === 'opaque_with_domain' ? serverNameOf(carriedEventId(pdu)) : undefined;
  if (idServer !== undefined) signers.add(idServer);
  const voucher = authorisingUserOf(pdu, rules);
  const voucherServer = voucher === undefined ? undefined : serverNameOf(voucher);
  if (voucherServer !== undefined) signers.add(voucherServer);
  return [...signers];
}

function isThirdPartyInvite(pdu: Pdu): boolean {
  const { content } = pdu;
  return pdu.type === 'm.room.member' && content.membership === 'invite' && isJsonObject(content.third_party_invite);
}

function authorisingUserOf(pdu: Pdu, rules: RoomVersionRules): string | undefined {
  if (pdu.type !== 'm.room.member' || pdu.content.membership !== 'join') return undefined;
  if (!rules.authorization.restrictedJoins) return undefined;
  const voucher = pdu.content.join_authorised_via_users_server;
  return typeof voucher === 'string' ? voucher : undefined;
}

/** As {@link signedBytes}, but `undefined` for an object that has no canonical encoding. */
export function signedBytesIfCanonical(
  object: JsonObject,
  strictness: NumberStrictness = 'strict',
): Uint8Array | undefined {
  try {
    return signedBytes(object, strictness);
  } catch {
    return undefined;
  }
}
