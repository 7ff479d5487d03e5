/**
 * The checks on receipt of a PDU, in their order. Each is a file; the first to have an opinion ends them, but for a `reject` by
 * form, which waits until the event has its place in the graph.
 * Source: server-server API, "Checks performed on receipt of a PDU".
 *
 * | step | file | looks at | may end in |
 * |---|---|---|---|
 * | form | check-form.ts | the event alone | drop, reject |
 * | signatures | check-signatures.ts | the keys of its servers | drop, retry |
 * | content_hash | check-content-hash.ts | the event alone | (redacts it) |
 * | auth_events_known | fetch-auth-events.ts | the room; asks peers | retry |
 * | prev_events_known | fetch-prev-events.ts | the room; asks peers | retry |
 * | auth_events | check-auth-events.ts | what it names to authorise it | reject |
 * | state_before | check-state-before.ts | the state where it stands | reject |
 * | current_state | check-current-state.ts | the state of the room now | soft_fail |
 * | policy | check-policy.ts | the policy server of the room; asks it | soft_fail |
 * | extremities | check-extremities.ts | the ends of the room | soft_fail |
 */

import { checkAuthEvents } from './check-auth-events.ts';
import { checkCurrentState } from './check-current-state.ts';
import { checkExtremities } from './check-extremities.ts';
import { checkPolicy } from './check-policy.ts';
import { checkStateBefore } from './check-state-before.ts';
import type { Receipt, RoomMoment, Verdict } from './types.ts';

/** A check that needs the room at one moment, and nothing that takes time. */
export type JudgingStep = (receipt: Receipt, moment: RoomMoment) => Verdict | undefined;

/** The checks of an event that comes as something new. */
export const STEPS_OF_NEW_EVENT: readonly JudgingStep[] = [
  (receipt) => receipt.rejection,
  checkAuthEvents,
  checkStateBefore,
  checkCurrentState,
  checkPolicy,
  checkExtremities,
];

/** The checks of an event of the past: what the room is now has no say in it. */
export const STEPS_OF_HISTORY: readonly JudgingStep[] = [
  (receipt) => receipt.rejection,
  checkAuthEvents,
  checkStateBefore,
];

/**
 * The checks of an event around which nothing but a told state is known. That state may name events which the rules refuse, and
 * then lacks them; what the event brings is judged when it meets what is known, by state resolution.
 */
export const STEPS_OF_TOLD_EVENT: readonly JudgingStep[] = [(receipt) => receipt.rejection, checkAuthEvents];

/** Goes through the checks. */
export function judge(receipt: Receipt, moment: RoomMoment, steps: readonly JudgingStep[]): Verdict {
  for (const step of steps) {
    const verdict = step(receipt, moment);
    if (verdict !== undefined) return verdict;
  }
  return { kind: 'accept' };
}
