import { checkAuth, type StateLookup } from '#protocol/auth/index.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import {
  type ConflictedKey,
  type Resolution,
  type ResolutionContext,
  type ResolutionEvent,
  resolveDifference,
  type StateEntry,
} from '#protocol/state-resolution/index.ts';
import { SlotMap } from '#protocol/state-resolution/slot-map.ts';
import { TooManyForksError } from './errors.ts';
import { judgeByAuthEvents } from './judge.ts';
import { mainRoomOf } from './one-room.ts';
import { OrderedAuthGraph } from './ordered-auth-graph.ts';
import { authInputOf, type RoomEvent, resolutionEventOf } from './room-event.ts';
import { StateTree } from './state-tree.ts';
import { inTopologicalOrder } from './topological-order.ts';

/** A resolution on the way. */
export interface ForkResolution {
  /** The event that the forks meet at; `undefined` for the forward extremities. */
  readonly at: string | undefined;
  /** The events after which the states that were resolved are. */
  readonly after: readonly string[];
  readonly resolution: Resolution;
}

/** An event that did not enter the state. */
export interface RejectedEvent {
  readonly eventId: string;
  readonly rule: string;
  readonly reason: string;
  /** What it was held against. */
  readonly against: 'auth_events' | 'state_before';
}

/** What became of a room's events. */
export interface AppliedEvents {
  /** The state after all forward extremities, in no order. */
  readonly state: readonly StateEntry[];
  readonly forwardExtremities: readonly string[];
  readonly rejected: readonly RejectedEvent[];
  /** How many events there are; those of other rooms are not counted. */
  readonly events: number;
  /** How many of them follow others that are not given. */
  readonly gaps: number;
}

export interface ApplyOptions {
  readonly rules: RoomVersionRules;
  /** Told of every resolution, with its steps. */
  readonly onResolution?: (fork: ForkResolution) => void;
}

/**
 * Applies the events of a room in topological order, as a server that has them all does. Of events of several rooms it is
 * the room with the most; the others are there to be named in vain. States are resolved where
 * forks meet; an event that its auth events or the state before it do not allow does not enter the state, nor does it
 * hide the events that it follows from the forward extremities.
 *
 * Where prev events are not given, the state before is that after those that are; where none is, that which the event's
 * own auth events make up.
 *
 * @throws {EventCycleError}
 * @throws {TooManyForksError} where thousands of forks meet that have little in common.
 */
export function applyEvents(events: ReadonlyMap<string, RoomEvent>, options: ApplyOptions): AppliedEvents {
  const roomId = mainRoomOf(events);
  const ordered = inTopologicalOrder(events, options.rules).filter((event) => event.roomId === roomId);
  const room = new OfflineRoom(events, options);
  for (const event of ordered) room.apply(event);
  const forwardExtremities = room.forwardExtremities(ordered);
  const final = room.stateAfter(undefined, forwardExtremities);
  const { rejections: rejected, gaps } = room;
  return { state: room.entriesOf(final), forwardExtremities, rejected, events: ordered.length, gaps };
}

/** Most forks at one place times keys in which they differ: what is held in memory to resolve them, some 8 bytes each. */
const MAX_COMPARED = 50_000_000;

class OfflineRoom {
  readonly rejections: RejectedEvent[] = [];
  gaps = 0;
  readonly #events: ReadonlyMap<string, RoomEvent>;
  readonly #options: ApplyOptions;
  readonly #rejected = new Set<string>();
  readonly #resolutionEvents = new Map<string, ResolutionEvent>();
  readonly #graph: OrderedAuthGraph;
  readonly #context: ResolutionContext;
  readonly #slots = new SlotMap<number>();
  readonly #keys: { readonly type: string; readonly stateKey: string }[] = [];
  readonly #empty: StateTree;
  /** Event → the state after it. */
  readonly #after = new Map<string, StateTree>();

  constructor(events: ReadonlyMap<string, RoomEvent>, options: ApplyOptions) {
    this.#events = events;
    this.#options = options;
    this.#graph = new OrderedAuthGraph(options.rules);
    this.#context = {
      rules: options.rules,
      event: (eventId) => this.#resolutionEvents.get(eventId),
      graph: this.#graph,
      trace: options.onResolution !== undefined,
    };
    for (const { type, stateKey } of events.values()) {
      if (stateKey === undefined || this.#slots.get(type, stateKey) !== undefined) continue;
      this.#slots.set(type, stateKey, this.#keys.length);
      this.#keys.push({ type, stateKey });
    }
    this.#empty = StateTree.empty(this.#keys.length);
  }

  apply(event: RoomEvent): void {
    const before = this.#stateBefore(event);
    const isAllowed = this.#judge(event, before);
    const asState = resolutionEventOf(event, !isAllowed);
    if (asState !== undefined) {
      this.#graph.add(event);
      this.#resolutionEvents.set(event.eventId, asState);
    }
    const slot = asState === undefined ? undefined : this.#slots.get(asState.type, asState.stateKey);
    this.#after.set(event.eventId, isAllowed && slot !== undefined ? before.with(slot, event.eventId) : before);
  }

  /** The accepted events that no accepted event descends from, by however many rejected ones. */
  forwardExtremities(ordered: readonly RoomEvent[]): string[] {
    const hasAcceptedDescendant = new Set<string>();
    for (const { eventId, prevEventIds } of ordered.toReversed()) {
      if (this.#rejected.has(eventId) && !hasAcceptedDescendant.has(eventId)) continue;
      for (const id of prevEventIds) hasAcceptedDescendant.add(id);
    }
    return ordered.flatMap(({ eventId }) =>
      this.#rejected.has(eventId) || hasAcceptedDescendant.has(eventId) ? [] : [eventId],
    );
  }

  /** The state after some events together, resolved where they differ. */
  stateAfter(at: string | undefined, eventIds: readonly string[]): StateTree {
    const states: StateTree[] = [];
    const after: string[] = [];
    const seen = new Set<object>();
    for (const id of eventIds) {
      const state = this.#after.get(id);
      if (state === undefined || seen.has(state.identity)) continue;
      seen.add(state.identity);
      states.push(state);
      after.push(id);
    }
    const [first = this.#empty, ...others] = states;
    return others.length === 0 ? first : this.#resolve(first, others, at, after);
  }

  entriesOf(state: StateTree): StateEntry[] {
    return Array.from(state.entries(), ([slot, eventId]) => ({ ...this.#keyOf(slot), eventId }));
  }

  #stateBefore(event: RoomEvent): StateTree {
    const { eventId, prevEventIds } = event;
    const known = prevEventIds.filter((id) => this.#after.has(id));
    if (known.length < prevEventIds.length) this.gaps += 1;
    return known.length > 0 || prevEventIds.length === 0
      ? this.stateAfter(eventId, known)
      : this.#stateOfAuthEvents(event);
  }

  #stateOfAuthEvents({ authEventIds }: RoomEvent): StateTree {
    let state = this.#empty;
    for (const id of authEventIds) {
      const event = this.#resolutionEvents.get(id);
      const slot = event === undefined || event.rejected ? undefined : this.#slots.get(event.type, event.stateKey);
      if (slot !== undefined) state = state.with(slot, id);
    }
    return state;
  }

  #judge(event: RoomEvent, before: StateTree): boolean {
    const { rules } = this.#options;
    const room = { events: this.#events, rejected: this.#rejected };
    const byAuthEvents = judgeByAuthEvents(event, room, rules);
    const verdict = byAuthEvents.allowed ? checkAuth(authInputOf(event), this.#lookupIn(before), rules) : byAuthEvents;
    if (verdict.allowed) return true;
    this.#rejected.add(event.eventId);
    const { rule, reason } = verdict;
    const against = byAuthEvents.allowed ? 'state_before' : 'auth_events';
    this.rejections.push({ eventId: event.eventId, rule, reason, against });
    return false;
  }

  #lookupIn(state: StateTree): StateLookup {
    return (type, stateKey) => {
      const slot = this.#slots.get(type, stateKey);
      const eventId = slot === undefined ? undefined : state.get(slot);
      return eventId === undefined ? undefined : this.#resolutionEvents.get(eventId);
    };
  }

  #resolve(
    first: StateTree,
    others: readonly StateTree[],
    at: string | undefined,
    after: readonly string[],
  ): StateTree {
    const conflicted = new Set(others.flatMap((other) => first.differenceFrom(other)));
    if (conflicted.size === 0) return first;
    const states = [first, ...others];
    if (states.length * conflicted.size > MAX_COMPARED) throw new TooManyForksError(states.length, at);
    const conflicts = Array.from(conflicted, (slot): ConflictedKey => {
      return { ...this.#keyOf(slot), eventIds: states.map((state) => state.get(slot)) };
    });
    let state = first;
    for (const slot of conflicted) state = state.with(slot, undefined);
    const shared = state;
    const resolution = resolveDifference(
      {
        stateCount: states.length,
        conflicts,
        shared: {
          get: (type, stateKey) => {
            const slot = this.#slots.get(type, stateKey);
            return slot === undefined ? undefined : shared.get(slot);
          },
          eventIds: () => eventIdsOf(shared),
        },
      },
      this.#context,
    );
    for (const { type, stateKey, eventId } of resolution.changes) {
      const slot = this.#slots.get(type, stateKey);
      if (slot !== undefined) state = state.with(slot, eventId);
    }
    this.#options.onResolution?.({ at, after, resolution });
    return state;
  }

  #keyOf(slot: number): { readonly type: string; readonly stateKey: string } {
    const key = this.#keys[slot];
    if (key === undefined) throw new RangeError(`There is no slot ${slot}.`);
    return key;
  }
}

function* eventIdsOf(state: StateTree): Generator<string> {
  for (const [, eventId] of state.entries()) yield eventId;
}
