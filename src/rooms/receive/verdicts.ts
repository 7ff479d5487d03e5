/** What is said of events: as it is recorded, and as it was recorded. */
import type { KnownEvent } from '#projections/rooms/known-events.ts';
import type { Disposition } from '#projections/rooms/pdu-record.ts';
import type { StepName, Verdict } from './types.ts';

/** It goes onto the timeline. */
export const ACCEPTED: Verdict = { kind: 'accept' };

/** What is recorded of an event of which this was said; `isNew` for one that was sent, and is not of the past. */
export function dispositionOf(verdict: Verdict, isNew: boolean): Disposition {
  switch (verdict.kind) {
    case 'accept':
      return isNew ? 'accepted' : 'backfilled';
    case 'soft_fail':
      return 'soft_failed';
    default:
      return 'rejected';
  }
}

/** What was recorded of an event, as a verdict. */
export function verdictOn({ disposition, reason = '' }: KnownEvent): Verdict {
  switch (disposition) {
    case 'soft_failed':
      return { kind: 'soft_fail', step: 'current_state', reason };
    case 'rejected':
      return { kind: 'reject', step: 'state_before', reason };
    default:
      return { kind: 'accept' };
  }
}

/** Step, rule and sentence in one line, as it is recorded and shown to operators. */
export function reasonText(verdict: Exclude<Verdict, { readonly kind: 'accept' }>): string {
  const { step, rule, reason } = verdict;
  return rule === undefined ? `${step}: ${reason}` : `${step}, rule ${rule}: ${reason}`;
}

/** It cannot be judged now. */
export function retry(step: StepName, reason: string): Verdict {
  return { kind: 'retry', step, reason };
}
