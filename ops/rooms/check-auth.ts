import type { RoomVersionRules } from '#protocol/room-version.ts';
import { judgeByAuthEvents } from './judge.ts';
import type { RoomEvent } from './room-event.ts';
import { inTopologicalOrder } from './topological-order.ts';

/** What `stele rooms check-auth` says of one event. */
export interface AuthFinding {
  readonly event_id: string;
  readonly allowed: boolean;
  /** Number of the rule that rejects it in the room version's "Authorisation rules"; null if none does. */
  readonly rule: string | null;
  /** A sentence; null if it is allowed. */
  readonly reason: string | null;
}

/**
 * Judges each event against the state that its own `auth_events` make up, in topological order. An event that cites a
 * rejected one is rejected.
 *
 * @throws {EventCycleError}
 */
export function checkAuthOfAll(events: ReadonlyMap<string, RoomEvent>, rules: RoomVersionRules): AuthFinding[] {
  const rejected = new Set<string>();
  return inTopologicalOrder(events, rules).map((event) => {
    const verdict = judgeByAuthEvents(event, { events, rejected }, rules);
    if (!verdict.allowed) rejected.add(event.eventId);
    return {
      event_id: event.eventId,
      allowed: verdict.allowed,
      rule: verdict.allowed ? null : verdict.rule,
      reason: verdict.allowed ? null : verdict.reason,
    };
  });
}
