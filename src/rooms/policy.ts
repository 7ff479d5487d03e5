/** Rooms whose events a policy server has to sign. https://spec.matrix.org/v1.19/server-server-api/#policy-servers */
import { decodeAnyBase64 } from '#protocol/base64.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { verifyEventSignature } from '#protocol/signing.ts';

/** The type of the state event that names the policy server of a room. */
export const POLICY_TYPE = 'm.room.policy';
/** The key with which policy servers sign, always. */
export const POLICY_KEY_ID = 'ed25519:policy_server';

const PUBLIC_KEY_BYTES = 32;

/** Who signs the events of a room. */
export interface PolicyServer {
  readonly serverName: string;
  readonly publicKey: Uint8Array;
}

/** Asks policy servers. */
export interface PolicySigner {
  /**
   * An event with the signature of a policy server beside those it has.
   * @throws {FederationError} with what the policy server has against it, or if it does not answer.
   */
  sign(policyServer: string, pdu: Pdu): Promise<Pdu>;
}

/**
 * The policy server of a room.
 * @param content of the current `m.room.policy` event.
 * @param isServerIn whether a server has joined members in the room now.
 */
export function policyServerOf(
  content: JsonObject | undefined,
  isServerIn: (serverName: string) => boolean,
): PolicyServer | undefined {
  const { via, public_keys: keys } = content ?? {};
  const encoded = isJsonObject(keys) ? keys.ed25519 : undefined;
  if (typeof via !== 'string' || typeof encoded !== 'string' || !isServerIn(via)) return undefined;
  return { serverName: via, publicKey: decodeAnyBase64(encoded) ?? new Uint8Array() };
}

/** Whether an event needs no signature: the one that names the policy server, so that it can be got rid of. */
export function isExempt({ type, state_key: stateKey }: Pick<Pdu, 'type' | 'state_key'>): boolean {
  return type === POLICY_TYPE && stateKey === '';
}

/** Whether the policy server signed an event. */
export function isRecommended(pdu: Pdu, rules: RoomVersionRules, { serverName, publicKey }: PolicyServer): boolean {
  return (
    publicKey.length === PUBLIC_KEY_BYTES && verifyEventSignature(pdu, rules, serverName, POLICY_KEY_ID, publicKey)
  );
}
