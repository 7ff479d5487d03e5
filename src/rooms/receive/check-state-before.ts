import { checkAuth } from '#protocol/auth/check-auth.ts';
import { authInputOf } from '#protocol/event-references.ts';
import { reasonOf } from './check-auth-events.ts';
import type { Receipt, RoomMoment, Verdict } from './types.ts';

/**
 * Step 7: the state before it lets it in.
 * Source: server-server API, "Checks performed on receipt of a PDU", 5.
 */
export function checkStateBefore({ pdu, room }: Receipt, { stateBefore }: RoomMoment): Verdict | undefined {
  const verdict = checkAuth(authInputOf(pdu, room.rules), stateBefore, room.rules);
  return verdict.allowed ? undefined : { kind: 'reject', step: 'state_before', ...reasonOf(verdict) };
}
