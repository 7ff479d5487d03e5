import { checkAuth } from '#protocol/auth/check-auth.ts';
import { authInputOf } from '#protocol/event-references.ts';
import { reasonOf } from './check-auth-events.ts';
import type { Receipt, RoomMoment, Verdict } from './types.ts';

/**
 * Step 8: the room as it is now lets it in. If not, it is soft-failed: whoever was banned cannot go on by claiming to follow
 * older events.
 * Source: server-server API, "Checks performed on receipt of a PDU", 6; "Soft failure".
 */
export function checkCurrentState({ pdu, room }: Receipt, { currentState }: RoomMoment): Verdict | undefined {
  const verdict = checkAuth(authInputOf(pdu, room.rules), currentState, room.rules);
  return verdict.allowed ? undefined : { kind: 'soft_fail', step: 'current_state', ...reasonOf(verdict) };
}
