import { hash } from 'node:crypto';
import type { AuthVerdict, StateLookup } from '../auth/types.ts';
import { distinctIds } from './by-power.ts';
import { checkAgainst } from './check-against.ts';
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
 * State resolution of room version 1. A key on which the states that have it agree is no conflict. Each conflict is
 * resolved by itself, against what the passes before its own left.
 * Source: rooms/v1, "State resolution".
 */
export function resolveByDepth(difference: StateDifference, context: ResolutionContext): Resolution {
  const resolver = new DepthResolver(difference, context);
  for (const belongs of PASSES) resolver.pass(belongs);
  return { changes: resolver.changes, steps: resolver.steps };
}

/** What is resolved together. The first three can let later ones in. */
const PASSES: readonly ((key: ConflictedKey) => boolean)[] = [
  isPowerLevels,
  isJoinRules,
  isMember,
  (key) => !isChained(key),
];

function isPowerLevels({ type, stateKey }: ConflictedKey): boolean {
  return type === 'm.room.power_levels' && stateKey === '';
}

function isJoinRules({ type }: ConflictedKey): boolean {
  return type === 'm.room.join_rules';
}

function isMember({ type }: ConflictedKey): boolean {
  return type === 'm.room.member';
}

/** Whether each candidate has to be let in by the one before it. */
function isChained(key: ConflictedKey): boolean {
  return isPowerLevels(key) || isJoinRules(key) || isMember(key);
}

class DepthResolver {
  readonly changes: ResolvedKey[] = [];
  readonly steps: ResolutionStep[] = [];
  readonly #context: ResolutionContext;
  readonly #conflicts: readonly { readonly key: ConflictedKey; readonly candidates: readonly ResolutionEvent[] }[];
  /** The state so far, where it is not the shared one. */
  readonly #resolved = new SlotMap<ResolutionEvent>();
  readonly #current: StateLookup;

  constructor(difference: StateDifference, context: ResolutionContext) {
    const { shared } = difference;
    this.#context = context;
    this.#current = (type, stateKey) => {
      const winner = this.#resolved.get(type, stateKey);
      if (winner !== undefined) return winner;
      const sharedId = shared.get(type, stateKey);
      return sharedId === undefined ? undefined : context.event(sharedId);
    };
    this.#conflicts = difference.conflicts.flatMap((key) => {
      const candidates = this.#candidatesOf(key);
      if (candidates.length > 1) return [{ key, candidates }];
      this.#settle(key, candidates[0], candidates.length === 1 ? ONLY_ONE : NONE_KNOWN);
      return [];
    });
  }

  /** Resolves some of the keys, then takes what came of them into the state. */
  pass(belongs: (key: ConflictedKey) => boolean): void {
    const settled = this.#conflicts
      .filter(({ key }) => belongs(key))
      .map(({ key, candidates }) => ({
        key,
        ...(isChained(key) ? this.#lastInChain(key, candidates) : this.#deepestAllowed(candidates)),
      }));
    for (const { key, winner, reason } of settled) this.#settle(key, winner, reason);
  }

  #settle(key: ConflictedKey, winner: ResolutionEvent | undefined, reason: string): void {
    const { type, stateKey, eventIds } = key;
    if (winner !== undefined) this.#resolved.set(type, stateKey, winner);
    this.changes.push({ type, stateKey, eventId: winner?.eventId, candidates: distinctIds(eventIds), reason });
  }

  /** Deepest first, then by ascending SHA-1 of the id. */
  #candidatesOf({ eventIds }: ConflictedKey): ResolutionEvent[] {
    return distinctIds(eventIds)
      .flatMap((eventId) => this.#context.event(eventId) ?? [])
      .map((event) => ({ event, digest: hash('sha1', event.eventId, 'hex') }))
      .sort((a, b) => b.event.depth - a.event.depth || (a.digest < b.digest ? -1 : 1))
      .map(({ event }) => event);
  }

  #lastInChain(key: ConflictedKey, candidates: readonly ResolutionEvent[]): Settled {
    const [first, ...later] = candidates.toReversed() as [ResolutionEvent, ...ResolutionEvent[]];
    let winner = first;
    const state: StateLookup = (type, stateKey) =>
      type === key.type && stateKey === key.stateKey ? winner : this.#current(type, stateKey);
    for (const event of later) {
      if (!this.#check(event, state).allowed) return { winner, reason: LAST_BEFORE_REFUSED };
      winner = event;
    }
    return { winner, reason: DEEPEST_IN_CHAIN };
  }

  #deepestAllowed(candidates: readonly ResolutionEvent[]): Settled {
    const winner = candidates.find((event) => this.#check(event, this.#current).allowed);
    return winner === undefined
      ? { winner: candidates.at(-1) as ResolutionEvent, reason: NONE_ALLOWED }
      : { winner, reason: DEEPEST_ALLOWED };
  }

  #check(event: ResolutionEvent, state: StateLookup): AuthVerdict {
    const verdict = checkAgainst(event, state, this.#context.rules);
    if (this.#context.trace === true) {
      const { eventId, type, stateKey } = event;
      this.steps.push({ eventId, type, stateKey, pass: 'depth', verdict });
    }
    return verdict;
  }
}

interface Settled {
  readonly winner: ResolutionEvent;
  readonly reason: string;
}

const ONLY_ONE = 'It is the only known event that any of the states has under this key.';
const NONE_KNOWN = 'None of the events for this key is known.';
const LAST_BEFORE_REFUSED = 'It is the last by rising depth before an event that the rules do not let follow it.';
const DEEPEST_IN_CHAIN = 'It is the deepest, and the rules let each event by rising depth follow the one before.';
const DEEPEST_ALLOWED = 'It is the deepest event for this key that the rules let into the state.';
const NONE_ALLOWED = 'The rules let none of the events for this key into the state; this is the least deep.';
