import type { StateEventType } from '../auth/types.ts';
import { resolveByDepth } from './by-depth.ts';
import { resolveByPower } from './by-power.ts';
import { SlotMap } from './slot-map.ts';
import type { ConflictedKey, Resolution, ResolutionContext, StateDifference } from './types.ts';

/** A key of a state map and the event under it. */
export interface StateEntry extends StateEventType {
  readonly eventId: string;
}

/**
 * Resolves states that are given by their difference, by the algorithm of their room version. Neither the order of the
 * states nor that of the conflicts matters. Time grows with the difference, as far as the auth graph's answers do.
 * Source: rooms/v1, rooms/v2 and rooms/v12, "State resolution".
 *
 * @throws {AuthChainCycleError} if events authorise each other in a circle.
 * @throws whatever the auth graph throws; `plainAuthGraph` throws `AuthChainTooLargeError`.
 */
export function resolveDifference(difference: StateDifference, context: ResolutionContext): Resolution {
  const resolve = context.rules.stateResolution.algorithm === 'by_depth' ? resolveByDepth : resolveByPower;
  const { changes, steps } = resolve(difference, context);
  return { changes: changes.toSorted(compareSlots), steps };
}

/**
 * Resolves whole states, for those who have no index of differences.
 * Source: rooms/v1, rooms/v2 and rooms/v12, "State resolution".
 *
 * @param states each key at most once in each.
 * @returns the resolved state, ordered by type, then state key; and what became of each key that they did not share.
 * @throws as {@link resolveDifference}.
 */
export function resolveStates(
  states: readonly Iterable<StateEntry>[],
  context: ResolutionContext,
): Resolution & { readonly state: readonly StateEntry[] } {
  const { shared, ...difference } = differenceOf(states);
  const resolution = resolveDifference({ ...difference, shared }, context);
  const won = resolution.changes.flatMap(({ type, stateKey, eventId }) =>
    eventId === undefined ? [] : [{ type, stateKey, eventId }],
  );
  return { ...resolution, state: [...shared.entries(), ...won].sort(compareSlots) };
}

/**
 * Where states differ, and what they share.
 * Source: rooms/v2, "State resolution", "Unconflicted state map and conflicted state set".
 */
export function differenceOf(
  states: readonly Iterable<StateEntry>[],
): StateDifference & { readonly shared: { entries(): Iterable<StateEntry> } } {
  const slots = new SlotMap<(string | undefined)[]>();
  for (const [index, state] of states.entries()) {
    for (const { type, stateKey, eventId } of state) {
      const eventIds = slots.get(type, stateKey);
      if (eventIds !== undefined) eventIds[index] = eventId;
      else
        slots.set(
          type,
          stateKey,
          Array.from(states, (_, other) => (other === index ? eventId : undefined)),
        );
    }
  }
  const conflicts: ConflictedKey[] = [];
  const entries: StateEntry[] = [];
  const sharedIds = new SlotMap<string>();
  for (const { type, stateKey, value: eventIds } of slots.entries()) {
    const [first] = eventIds;
    if (first === undefined || eventIds.some((eventId) => eventId !== first)) {
      conflicts.push({ type, stateKey, eventIds });
      continue;
    }
    sharedIds.set(type, stateKey, first);
    entries.push({ type, stateKey, eventId: first });
  }
  const shared = {
    get: (type: string, stateKey: string) => sharedIds.get(type, stateKey),
    eventIds: () => entries.map(({ eventId }) => eventId),
    entries: () => entries,
  };
  return { stateCount: states.length, conflicts, shared };
}

function compareSlots(a: StateEventType, b: StateEventType): number {
  if (a.type !== b.type) return a.type < b.type ? -1 : 1;
  return a.stateKey < b.stateKey ? -1 : Number(a.stateKey > b.stateKey);
}
