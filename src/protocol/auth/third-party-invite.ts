import { decodeAnyBase64, decodeBase64 } from '../base64.ts';
import { isJsonObject } from '../json-object.ts';
import type { JsonObject, JsonValue } from '../pdu.ts';
import { signedBytesIfCanonical, verifySignature } from '../signing.ts';
import type { RoomState } from './room-state.ts';
import { quoted, type RuleOutcome, reject } from './types.ts';

/**
 * Most pairs of signature and key that are tried for one invite. An identity server gives one signature and two keys;
 * an event full of either could otherwise hold the process for many seconds.
 */
export const MAX_SIGNATURE_TRIALS = 256;

/** The rules of an invite that redeems one by third-party identifier. v1–v5: 5.3.1, v6, v7: 4.3.1, v8–v11: 4.4.1, v12: 5.4.1. */
export function checkThirdPartyInvite(
  sender: string,
  target: string,
  thirdPartyInvite: JsonValue,
  state: RoomState,
): RuleOutcome {
  // 1.
  if (state.membershipOf(target) === 'ban') {
    return reject('thirdPartyTargetBanned', `${target} cannot be invited: they are banned from the room.`);
  }
  // 2.
  const signed = isJsonObject(thirdPartyInvite) ? thirdPartyInvite.signed : undefined;
  if (!isJsonObject(signed)) {
    return reject('thirdPartyNotSigned', `The invite of ${target} by third-party identifier has no signed part.`);
  }
  // 3.
  const { mxid, token } = signed;
  if (typeof mxid !== 'string' || typeof token !== 'string') {
    return reject(
      'thirdPartySignedIncomplete',
      `The signed part of the invite of ${target} lacks its mxid or its token.`,
    );
  }
  // 4.
  if (mxid !== target) {
    return reject('thirdPartyOtherUser', `The signed part of the invite is for ${quoted(mxid)}, not for ${target}.`);
  }
  // 5.
  const pending = state.thirdPartyInvite(token);
  if (pending === undefined) {
    return reject('thirdPartyUnknownToken', `The room has no pending invite with the token that ${target} shows.`);
  }
  // 6.
  if (pending.sender !== sender) {
    return reject('thirdPartyOtherSender', `The pending invite was sent by ${pending.sender}, not by ${sender}.`);
  }
  // 7. and 8.
  const { done } = signaturesByPublicKey(signed, pending.content).next();
  return done !== true
    ? 'allow'
    : reject('thirdPartySignature', `No key of the pending invite made a signature on the invite of ${target}.`);
}

/**
 * The keys of a pending invite, as it writes them, that made a signature on what was signed for a user.
 * Source: the room version's "Authorisation rules", on `third_party_invite`; client-server API, `m.room.third_party_invite`.
 * @param pending content of the `m.room.third_party_invite` event.
 */
export function* signaturesByPublicKey(signed: JsonObject, pending: JsonObject): Generator<string> {
  // Whether its numbers are allowed is a question of the event's form.
  const bytes = signedBytesIfCanonical(signed, 'loose');
  if (bytes === undefined) return;
  const publicKeys = publicKeysOf(pending);
  let trials = 0;
  for (const signature of signaturesOn(signed)) {
    for (const { text, key } of publicKeys) {
      trials += 1;
      if (trials > MAX_SIGNATURE_TRIALS) return;
      if (verifySignature(bytes, signature, key)) yield text;
    }
  }
}

/** The keys in `public_key` and `public_keys` of a pending invite, decoded; what is no key is passed over. */
function publicKeysOf(pending: JsonObject): { readonly text: string; readonly key: Uint8Array }[] {
  const { public_key: single, public_keys: list } = pending;
  const encoded = [
    single,
    ...(Array.isArray(list) ? list.map((entry) => (isJsonObject(entry) ? entry.public_key : undefined)) : []),
  ];
  return encoded.flatMap((text) => {
    const key = typeof text === 'string' ? decodeAnyBase64(text) : undefined;
    return key === undefined || typeof text !== 'string' ? [] : [{ text, key }];
  });
}

/** Every Ed25519 signature on an object, whoever made it. */
function* signaturesOn(signed: JsonObject): Generator<Uint8Array> {
  const { signatures } = signed;
  if (!isJsonObject(signatures)) return;
  for (const block of Object.values(signatures)) {
    if (!isJsonObject(block)) continue;
    for (const [keyId, text] of Object.entries(block)) {
      const signature = keyId.startsWith('ed25519:') && typeof text === 'string' ? decodeBase64(text) : undefined;
      if (signature !== undefined) yield signature;
    }
  }
}
