import { findRoom, isServerIn, stateContent } from '#projections/rooms/queries.ts';
import { FederationError } from '#src/federation/errors.ts';
import { isExempt, isRecommended, POLICY_TYPE, policyServerOf } from '../policy.ts';
import type { Receipt, RoomMoment, StepContext, Verdict } from './types.ts';

/**
 * Before the judgement: where the room has a policy server which has not signed the event, or with a key that it has no more, it
 * is asked to. What it does not sign is soft-failed, see {@link checkPolicy}.
 * Source: server-server API, "Validating Policy Server signatures".
 */
export async function askPolicyServer(receipt: Receipt, { reader, policy }: StepContext): Promise<void> {
  const { roomId, rules } = receipt.room;
  const room = findRoom(reader, roomId);
  if (policy === undefined || room === undefined || isExempt(receipt.pdu)) return;
  const server = policyServerOf(stateContent(reader, room.id, POLICY_TYPE), (name) =>
    isServerIn(reader, room.id, name),
  );
  if (server === undefined || isRecommended(receipt.pdu, rules, server)) return;
  let reason = 'The signature of the policy server is not right.';
  try {
    const signed = await policy.sign(server.serverName, receipt.pdu);
    if (isRecommended(signed, rules, server)) {
      receipt.pdu = signed;
      receipt.texts = undefined;
      return;
    }
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
    reason = error.message;
  }
  receipt.softFailure = { kind: 'soft_fail', step: 'policy', reason };
}

/** Step 8b: the policy server of the room, where it has one, recommends the event. */
export function checkPolicy({ softFailure }: Receipt, _moment: RoomMoment): Verdict | undefined {
  return softFailure;
}
