import type { AuthVerdict, StateLookup } from '../auth/types.ts';
import { authEventsOf } from './auth-chain.ts';
import { checkAgainst } from './check-against.ts';
import { inMainlineOrder } from './mainline-order.ts';
import { inPowerOrder } from './power-order.ts';
import { SlotMap } from './slot-map.ts';
import type {
  ConflictedKey,
  Resolution,
  ResolutionContext,
  ResolutionEvent,
  ResolutionStep,
  ResolvedKey,
  StateDifference,
} from './types.ts';

/**
 * State resolution as of room version 2, with what room version 12 changes in it. Events that were rejected are passed
 * over wherever they turn up, as Synapse does; the letter of the specification would try them again.
 * Source: rooms/v2 and rooms/v12, "State resolution".
 */
export function resolveByPower(difference: StateDifference, context: ResolutionContext): Resolution {
  if (difference.conflicts.length === 0) return { changes: [], steps: [] };
  const fullConflictedSet = fullConflictedSetOf(difference, context);
  const checks = new IterativeChecks(difference, context);

  const powerEvents = inPowerOrder(fullConflictedSet, context);
  for (const event of powerEvents) checks.apply(event, 'power');

  const done = new Set(powerEvents);
  const others = [...fullConflictedSet.values()].filter((event) => !done.has(event));
  for (const event of inMainlineOrder(others, checks.powerLevels(), context)) checks.apply(event, 'mainline');

  return { changes: checks.changes(), steps: checks.steps };
}

/** Conflicted events, auth difference and, from room version 12 on, conflicted state subgraph, as far as they are known. */
function fullConflictedSetOf(
  { conflicts, shared, stateCount }: StateDifference,
  { rules, graph, event: lookup }: ResolutionContext,
): Map<string, ResolutionEvent> {
  const own: string[][] = Array.from({ length: stateCount }, () => []);
  const ids = new Set<string>();
  for (const { eventIds } of conflicts) {
    for (const [state, eventId] of eventIds.entries()) {
      if (eventId === undefined) continue;
      own[state]?.push(eventId);
      ids.add(eventId);
    }
  }
  const subgraph = rules.stateResolution.conflictedSubgraph ? graph.conflictedSubgraph(ids) : [];
  const events = new Map<string, ResolutionEvent>();
  for (const part of [ids, subgraph, graph.authChainDifference(own, shared)]) {
    for (const id of part) {
      const event = lookup(id);
      if (event !== undefined) events.set(id, event);
    }
  }
  return events;
}

/** How the events of one key fared. */
interface Tally {
  winner: ResolutionEvent | undefined;
  pass: 'power' | 'mainline';
  considered: number;
  allowed: number;
}

/** The iterative auth checks algorithm: a state that grows by the events that the rules let into it. */
class IterativeChecks {
  readonly steps: ResolutionStep[] = [];
  readonly #difference: StateDifference;
  readonly #context: ResolutionContext;
  readonly #tallies = new SlotMap<Tally>();

  constructor(difference: StateDifference, context: ResolutionContext) {
    this.#difference = difference;
    this.#context = context;
  }

  apply(event: ResolutionEvent, pass: 'power' | 'mainline'): void {
    const verdict = event.rejected ? WAS_REJECTED : this.#check(event);
    const tally = this.#tallyOf(event);
    tally.considered += 1;
    if (verdict.allowed) {
      tally.allowed += 1;
      tally.winner = event;
      tally.pass = pass;
    }
    if (this.#context.trace !== true) return;
    const { eventId, type, stateKey } = event;
    this.steps.push({ eventId, type, stateKey, pass, verdict });
  }

  /** The power levels of the state so far. */
  powerLevels(): ResolutionEvent | undefined {
    return this.#current('m.room.power_levels', '');
  }

  /** What the state has that not all the states had: what they share stays as it was. */
  changes(): ResolvedKey[] {
    const { conflicts, shared } = this.#difference;
    const conflicted = new SlotMap<ConflictedKey>();
    for (const conflict of conflicts) conflicted.set(conflict.type, conflict.stateKey, conflict);
    const changes = conflicts.map((conflict) =>
      resolvedKey(conflict, this.#tallies.get(conflict.type, conflict.stateKey)),
    );
    for (const { type, stateKey, value: tally } of this.#tallies.entries()) {
      if (tally.winner === undefined || conflicted.get(type, stateKey) !== undefined) continue;
      if (shared.get(type, stateKey) === undefined) changes.push(resolvedKey({ type, stateKey, eventIds: [] }, tally));
    }
    return changes;
  }

  #tallyOf({ type, stateKey }: ResolutionEvent): Tally {
    const known = this.#tallies.get(type, stateKey);
    if (known !== undefined) return known;
    const tally: Tally = { winner: undefined, pass: 'power', considered: 0, allowed: 0 };
    this.#tallies.set(type, stateKey, tally);
    return tally;
  }

  #check(event: ResolutionEvent): AuthVerdict {
    const { rules, event: lookup } = this.#context;
    const own = [...authEventsOf(event, lookup, rules)].filter(({ rejected }) => !rejected);
    const state: StateLookup = (type, stateKey) => {
      const current = this.#current(type, stateKey);
      if (current !== undefined && !current.rejected) return current;
      return own.findLast((candidate) => candidate.type === type && candidate.stateKey === stateKey);
    };
    return checkAgainst(event, state, rules);
  }

  #current(type: string, stateKey: string): ResolutionEvent | undefined {
    const winner = this.#tallies.get(type, stateKey)?.winner;
    if (winner !== undefined || this.#context.rules.stateResolution.startFromEmptyState) return winner;
    const sharedId = this.#difference.shared.get(type, stateKey);
    return sharedId === undefined ? undefined : this.#context.event(sharedId);
  }
}

const WAS_REJECTED: AuthVerdict = {
  allowed: false,
  rule: '',
  reason: 'The event was rejected when it was received.',
};

const WHY: Readonly<Record<Tally['pass'], string>> = {
  power: 'by the order of power',
  mainline: 'by the mainline of power levels',
};

function resolvedKey({ type, stateKey, eventIds }: ConflictedKey, tally: Tally | undefined): ResolvedKey {
  const candidates = distinctIds(eventIds);
  const { winner, pass, considered, allowed } = tally ?? {
    winner: undefined,
    pass: 'power',
    considered: 0,
    allowed: 0,
  };
  const key = { type, stateKey, candidates };
  if (winner === undefined) {
    const reason =
      considered === 0
        ? 'None of the events for this key is known.'
        : `The rules let none of the ${considered} events for this key into the state.`;
    return { ...key, eventId: undefined, reason };
  }
  const reason = `It is the last event for this key ${WHY[pass]} that the rules let into the state (${allowed} of ${considered} were).`;
  return { ...key, eventId: winner.eventId, reason };
}

/** The events that the states have under a key, each once, by id. */
export function distinctIds(eventIds: ConflictedKey['eventIds']): string[] {
  return [...new Set(eventIds.filter((eventId) => eventId !== undefined))].sort();
}
