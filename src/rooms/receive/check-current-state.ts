import { checkAuth } from '#protocol/auth/check-auth.ts';
import { authInputOf } from '#protocol/event-references.ts';
import { reasonOf } from './check-auth-events.ts';
import type { Receipt, RoomMoment, Verdict } from './types.ts';

/**
 * Step 8: the room as it is now lets it in. If not, it is soft-failed: whoever was banned cannot go on by claiming to follow
 * older events.
 * Source: server-server API, "Checks performed on receipt of a PDU", 6; "Soft failure".
 */
export function checkCurrentState({ pdu, room }: Receipt, moment: RoomMoment): Verdict | undefined {
  const { currentState, stateBefore } = moment;
  // As a rule an event follows all that there is, and was held against this state the step before.
  if (currentState === stateBefore) return undefined;
  const verdict = checkAuth(authInputOf(pdu, room.rules), currentState, room.rules);
  return verdict.allowed ? undefined : { kind: 'soft_fail', step: 'current_state', ...reasonOf(verdict) };
}
