import { keyCountsFor } from '#protocol/key-validity.ts';
import { requiredSigners, signingKeyIdsOf, verifyEventSignature } from '#protocol/signing.ts';
import type { KeyRequest, Receipt, StepContext, Verdict, VerifyKey } from './types.ts';

/**
 * Step 2: every server that must have signed the event has. One that gives no key is a reason to come again, since it may be
 * down; a signature that is wrong is the end.
 * Source: server-server API, "Validating hashes and signatures on received events".
 */
export async function checkSignatures(receipt: Receipt, context: StepContext): Promise<Verdict | undefined> {
  const requests = keyRequestsOf(receipt);
  const unsigned = requests.find(({ keyIds }) => keyIds.length === 0);
  if (unsigned !== undefined) return drop(`The event has no signature of ${unsigned.serverName}.`);
  const keys = await context.keys.keysFor(requests);
  for (const { serverName, keyIds } of requests) {
    const found = keyIds.flatMap((keyId): [string, VerifyKey][] => {
      const key = keys.get(serverName)?.get(keyId);
      return key === undefined ? [] : [[keyId, key]];
    });
    if (found.length === 0) {
      const reason = `None of the keys ${keyIds.join(', ')} of ${serverName} could be had.`;
      return { kind: 'retry', step: 'signatures', reason };
    }
    if (!found.some(([keyId, key]) => isSignedWith(receipt, context, serverName, keyId, key))) {
      return drop(`The signature of ${serverName} on the event is not right.`);
    }
  }
  return undefined;
}

/** The keys that it takes to check an event's signatures; many events' can be asked for at once. */
export function keyRequestsOf({ pdu, room }: Receipt): KeyRequest[] {
  return requiredSigners(pdu, room.rules).map((serverName) => ({
    serverName,
    keyIds: signingKeyIdsOf(pdu, serverName),
    validAtMs: room.rules.enforceKeyValidity ? pdu.origin_server_ts : 0,
  }));
}

function isSignedWith(
  { pdu, room, texts }: Receipt,
  { clock }: StepContext,
  serverName: string,
  keyId: string,
  { publicKey, validity }: VerifyKey,
): boolean {
  return (
    keyCountsFor(validity, pdu.origin_server_ts, clock(), room.rules) &&
    verifyEventSignature(pdu, room.rules, serverName, keyId, publicKey, texts)
  );
}

function drop(reason: string): Verdict {
  return { kind: 'drop', step: 'signatures', reason };
}
