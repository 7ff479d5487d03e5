/**
 * Resolves stored states of a room: their difference and the index of auth chains in, changes out.
 *
 * The protocol's resolution speaks of events by id, the rows by position; here is where one becomes the other. Only events
 * that resolution asks for are looked up, each once.
 */
import type { Reader } from '#projections/engine/reader.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import {
  type AuthGraph,
  type Resolution,
  type ResolutionEvent,
  resolveDifference,
  type SharedState,
} from '#protocol/state-resolution/index.ts';
import { SlotMap } from '#protocol/state-resolution/slot-map.ts';
import type { Position } from '#streams/event-log.ts';
import { authChainDifference, conflictedSubgraph } from '../auth-chains/index.ts';
import { differenceBetween, type StateKeyDifference } from './difference.ts';
import { eventOnPath, pathOf, stateEntriesAt } from './look-up.ts';
import type { StateChange, StateKey, StateRef } from './state-ref.ts';

/** How resolution finds the events of a room. What it asks for more than once is kept for it. */
export interface ResolutionLookups {
  /** The state event at a position; `undefined` if there is none in this room. */
  eventAt(position: Position): ResolutionEvent | undefined;
  /** Where a state event is; `undefined` for one that is not known, or of another room. */
  positionOf(eventId: string): Position | undefined;
  /** Type and state key of the state event at a position, where that is cheaper than {@link eventAt}. */
  readonly keyAt?: (position: Position) => StateKey | undefined;
}

/** What states come to, and how. */
export interface StatesResolution {
  /** The one of the states that the resolved state differs from the least; the first of several. */
  readonly nearest: StateRef;
  /** What makes the resolved state of `nearest`; ordered by type, then state key. */
  readonly changes: readonly StateChange[];
  readonly resolution: Resolution;
}

/**
 * Resolves states by the algorithm of the room's version.
 *
 * Costs what the states differ by, and what `authChainDifference` and `conflictedSubgraph` of the index cost.
 *
 * @param refs at most `MAX_COMPARED_STATES`; their order does not matter, save that the changes are those to the first.
 * @returns what makes the resolved state of the state `refs[0]`; ordered by type, then state key.
 * @throws {AuthChainCycleError} if events authorise each other in a circle.
 */
export function resolveStatesAt(
  reader: Reader,
  room: Position,
  refs: readonly StateRef[],
  rules: RoomVersionRules,
  lookups: ResolutionLookups,
): readonly StateChange[] {
  return resolve(reader, room, refs, rules, lookups, false)?.changesTo(0) ?? [];
}

/**
 * As {@link resolveStatesAt}, with the changes to whichever of the states takes the fewest, and with what was decided; with
 * every step on the way if asked for a trace. `undefined` for no states at all.
 */
export function explainStatesAt(
  reader: Reader,
  room: Position,
  refs: readonly StateRef[],
  rules: RoomVersionRules,
  lookups: ResolutionLookups,
  { trace = true }: { readonly trace?: boolean } = {},
): StatesResolution | undefined {
  const [first] = refs;
  if (first === undefined) return undefined;
  const resolved = resolve(reader, room, refs, rules, lookups, trace);
  if (resolved === undefined) return { nearest: first, changes: [], resolution: { changes: [], steps: [] } };
  const { nearest, states, resolution } = resolved;
  return { nearest: states[nearest] as StateRef, changes: resolved.changesTo(nearest), resolution };
}

interface Resolved {
  /** Those that were resolved, each once. */
  readonly states: readonly StateRef[];
  /** Which of them takes the fewest changes. */
  readonly nearest: number;
  readonly resolution: Resolution;
  /** What makes the resolved state of one of them. */
  changesTo(state: number): StateChange[];
}

/** `undefined` if the states do not differ. */
function resolve(
  reader: Reader,
  room: Position,
  refs: readonly StateRef[],
  rules: RoomVersionRules,
  lookups: ResolutionLookups,
  trace: boolean,
): Resolved | undefined {
  const states = distinct(refs);
  const [first] = states;
  const differences = first === undefined ? [] : differenceBetween(reader, room, states);
  if (first === undefined || differences.length === 0) return undefined;

  const events = new KnownEvents(lookups);
  const shared = new SharedEntries(reader, room, first, differences, events);
  const resolution = resolveDifference(
    {
      stateCount: states.length,
      conflicts: differences.map(({ type, stateKey, events: at }) => ({ type, stateKey, eventIds: events.idsAt(at) })),
      shared,
    },
    {
      rules,
      trace,
      event: (id) => events.byId(id),
      graph: graphOf(reader, room, states.length, differences, shared, events),
    },
  );
  const resolved = resolution.changes.map(({ type, stateKey, eventId }) => ({
    change: { type, stateKey, event: eventId === undefined ? undefined : events.positionOf(eventId) },
    before: shared.conflictAt(type, stateKey)?.events ?? [],
  }));
  return {
    states,
    resolution,
    changesTo: (state) =>
      resolved.filter(({ change, before }) => change.event !== before[state]).map(({ change }) => change),
    get nearest() {
      const counts = states.map(() => 0);
      for (const { change, before } of resolved) {
        for (const state of states.keys()) if (change.event !== before[state]) counts[state] = (counts[state] ?? 0) + 1;
      }
      return counts.indexOf(Math.min(...counts));
    },
  };
}

function graphOf(
  reader: Reader,
  room: Position,
  stateCount: number,
  differences: readonly StateKeyDifference[],
  shared: SharedEntries,
  events: KnownEvents,
): AuthGraph {
  return {
    // What resolution gives as the states' own events is what these have where they differ.
    authChainDifference() {
      const own: Position[][] = Array.from({ length: stateCount }, () => []);
      for (const { events: at } of differences) {
        for (const [state, event] of at.entries()) if (event !== undefined) own[state]?.push(event);
      }
      return authChainDifference(reader, room, own, {
        has: (event) => shared.ofSameKey(event) === event,
        ofSameKey: (event) => shared.ofSameKey(event),
        events: () => shared.events(),
      }).flatMap((event) => events.idAt(event) ?? []);
    },
    conflictedSubgraph(conflicted) {
      const positions = new Set<Position>();
      for (const id of conflicted) {
        const position = events.positionOf(id);
        if (position !== undefined) positions.add(position);
      }
      return conflictedSubgraph(reader, room, positions).flatMap((event) => events.idAt(event) ?? []);
    },
  };
}

/** Events that were looked up, by either name. */
class KnownEvents {
  readonly #lookups: ResolutionLookups;
  readonly #byPosition = new Map<Position, ResolutionEvent | undefined>();
  readonly #positions = new Map<string, Position | undefined>();

  constructor(lookups: ResolutionLookups) {
    this.#lookups = lookups;
  }

  at(position: Position): ResolutionEvent | undefined {
    const known = this.#byPosition.get(position);
    if (known !== undefined || this.#byPosition.has(position)) return known;
    const event = this.#lookups.eventAt(position);
    this.#byPosition.set(position, event);
    if (event !== undefined) this.#positions.set(event.eventId, position);
    return event;
  }

  byId(eventId: string): ResolutionEvent | undefined {
    const position = this.positionOf(eventId);
    return position === undefined ? undefined : this.at(position);
  }

  idAt(position: Position): string | undefined {
    return this.at(position)?.eventId;
  }

  /** Of many positions, most of which are the same as the one before. */
  idsAt(positions: readonly (Position | undefined)[]): (string | undefined)[] {
    let last: Position | undefined;
    let id: string | undefined;
    return positions.map((position) => {
      if (position === last) return id;
      last = position;
      id = position === undefined ? undefined : this.idAt(position);
      return id;
    });
  }

  keyAt(position: Position): StateKey | undefined {
    const { keyAt } = this.#lookups;
    return keyAt === undefined || this.#byPosition.has(position) ? this.at(position) : keyAt(position);
  }

  positionOf(eventId: string): Position | undefined {
    const known = this.#positions.get(eventId);
    if (known !== undefined || this.#positions.has(eventId)) return known;
    const position = this.#lookups.positionOf(eventId);
    this.#positions.set(eventId, position);
    return position;
  }
}

/** What the states have in common: what the first of them has where they do not differ. */
class SharedEntries implements SharedState {
  readonly #reader: Reader;
  readonly #room: Position;
  readonly #first: StateRef;
  readonly #events: KnownEvents;
  readonly #conflicts = new SlotMap<StateKeyDifference>();
  readonly #at: (key: StateKey) => Position | undefined;

  constructor(
    reader: Reader,
    room: Position,
    first: StateRef,
    conflicts: readonly StateKeyDifference[],
    events: KnownEvents,
  ) {
    this.#reader = reader;
    this.#room = room;
    this.#first = first;
    this.#events = events;
    for (const conflict of conflicts) this.#conflicts.set(conflict.type, conflict.stateKey, conflict);
    const path = pathOf(reader, room, first);
    this.#at = (key) => eventOnPath(reader, room, path, key);
  }

  get(type: string, stateKey: string): string | undefined {
    const event = this.#eventAt({ type, stateKey });
    return event === undefined ? undefined : this.#events.idAt(event);
  }

  *eventIds(): Generator<string> {
    for (const event of this.events()) {
      const id = this.#events.idAt(event);
      if (id !== undefined) yield id;
    }
  }

  *events(): Generator<Position> {
    for (const { type, stateKey, event } of stateEntriesAt(this.#reader, this.#room, this.#first))
      if (this.conflictAt(type, stateKey) === undefined) yield event;
  }

  /** The shared event under the type and state key of an event. */
  ofSameKey(event: Position): Position | undefined {
    const key = this.#events.keyAt(event);
    return key && this.#eventAt(key);
  }

  conflictAt(type: string, stateKey: string): StateKeyDifference | undefined {
    return this.#conflicts.get(type, stateKey);
  }

  #eventAt(key: StateKey): Position | undefined {
    return this.conflictAt(key.type, key.stateKey) === undefined ? this.#at(key) : undefined;
  }
}

/** Each reference once, in their order. */
function distinct(refs: readonly StateRef[]): StateRef[] {
  return [...new Map(refs.map((ref) => [`${ref.branch}.${ref.version}`, ref])).values()];
}
