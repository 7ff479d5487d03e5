import type { Receipt, RoomMoment, Verdict } from './types.ts';

/**
 * Most forward extremities of a room. The current state is what the states after all of them come to, so each costs time with
 * every event. Servers follow the forks they see with their next event, and so does this one; so many open ends at once are no
 * accident.
 */
export const MAX_FORWARD_EXTREMITIES = 100;

/**
 * Step 9: the room does not fall apart into too many ends. The event that would be one too many is soft-failed: it is there
 * for others that follow it, and once some end is followed there is room again.
 */
export function checkExtremities(_receipt: Receipt, { extremitiesWith }: RoomMoment): Verdict | undefined {
  if (extremitiesWith <= MAX_FORWARD_EXTREMITIES) return undefined;
  const reason = `The room has ${MAX_FORWARD_EXTREMITIES} forward extremities already, which nobody has followed yet.`;
  return { kind: 'soft_fail', step: 'extremities', reason };
}
