/** The state that several ends of a room's graph make together. */

import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { eventIdKey } from './keys.ts';
import {
  type KnownEvent,
  knownEvent,
  knownEventAt,
  type ResolvingRoom,
  resolutionEventAt,
  stateAfterKnown,
} from './known-events.ts';
import {
  differenceBetween,
  MAIN_LINE,
  type StateChange,
  type StateKey,
  type StateRef,
  stateEntriesAt,
  stateEventAt,
} from './state/index.ts';
import { explainStatesAt, type ResolutionLookups } from './state/resolve-states.ts';
import { eventIds, givenStates } from './tables.ts';

/** A state: one that is stored, and what differs from it. */
export interface MergedState {
  readonly base: StateRef;
  /** Each key once. */
  readonly changes: readonly StateChange[];
}

/** The state of a room before its first event. */
export const EMPTY_STATE: MergedState = { base: { branch: MAIN_LINE, version: 0 }, changes: [] };

/**
 * The state that states come to: the one that all are, or what state resolution makes of them. Time grows with their
 * differences. Source: server-server API, "Room State Resolution".
 */
export function mergeStates(reader: Reader, room: ResolvingRoom, states: readonly StateRef[]): MergedState {
  const different = new Map<string, StateRef>();
  for (const state of states) different.set(`${state.branch}/${state.version}`, state);
  const [first, ...others] = [...different.values()].sort(byAge);
  if (first === undefined) return EMPTY_STATE;
  if (others.length === 0) return { base: first, changes: [] };
  const merged = explainStatesAt(reader, room.id, [first, ...others], room.rules, lookupsIn(reader, room), {
    trace: false,
  });
  return merged === undefined ? { base: first, changes: [] } : { base: merged.nearest, changes: merged.changes };
}

/** How resolution finds the events of a room. */
export function lookupsIn(reader: Reader, room: ResolvingRoom): ResolutionLookups {
  return {
    eventAt: (position) => resolutionEventAt(reader, room, position),
    keyAt: (position) => stateKeyAt(reader, position),
    positionOf: (eventId) => reader.get(eventIds, eventIdKey(eventId)),
  };
}

function stateKeyAt(reader: Reader, position: Position): StateKey | undefined {
  const row = knownEventAt(reader, position)?.row;
  return row?.stateKey === undefined ? undefined : { type: row.type, stateKey: row.stateKey };
}

/** The main line first, where what follows is most likely to end up. */
function byAge(a: StateRef, b: StateRef): number {
  return a.branch - b.branch || b.version - a.version;
}

/** The event of a key in a state. */
export function eventInState(
  reader: Reader,
  room: Position,
  { base, changes }: MergedState,
  type: string,
  stateKey: string,
): Position | undefined {
  const change = changes.find((candidate) => candidate.type === type && candidate.stateKey === stateKey);
  return change === undefined ? stateEventAt(reader, room, base, type, stateKey) : change.event;
}

/** What makes one state out of another: each key in which they differ, with its event in the second. */
export function changesTo(
  reader: Reader,
  room: Position,
  from: StateRef,
  { base, changes }: MergedState,
): StateChange[] {
  const target = new Map<string, StateChange>();
  const isSame = from.branch === base.branch && from.version === base.version;
  for (const { type, stateKey, events } of isSame ? [] : differenceBetween(reader, room, [from, base])) {
    target.set(keyOf(type, stateKey), { type, stateKey, event: events[1] });
  }
  for (const change of changes) {
    const key = keyOf(change.type, change.stateKey);
    if (stateEventAt(reader, room, from, change.type, change.stateKey) === change.event) target.delete(key);
    else target.set(key, change);
  }
  return [...target.values()];
}

/** What the graph says of the state before an event. */
export interface StateBefore {
  readonly state: MergedState;
  /** The events it follows that are not known, or have no place in the graph. */
  readonly missing: readonly string[];
}

/** The state before an event that follows others, as far as they are known. */
export function stateBeforeEvent(reader: Reader, room: ResolvingRoom, prevEventIds: readonly string[]): StateBefore {
  const states: StateRef[] = [];
  const missing: string[] = [];
  for (const eventId of prevEventIds) {
    const event: KnownEvent | undefined = knownEvent(reader, eventId);
    const state = event === undefined || event.row.room !== room.id ? undefined : stateAfterKnown(event);
    if (state === undefined) missing.push(eventId);
    else states.push(state);
  }
  return { state: mergeStates(reader, room, states), missing };
}

/** The state before an event that the records `room.state_given` told, as a difference from a stored state. */
export function givenStateOf(reader: Reader, room: Position, eventId: string, base: StateRef): MergedState {
  const given = new Map<string, StateChange>();
  for (const { value } of reader.range(givenStates, { prefix: [room, eventId] })) {
    for (const position of value) {
      const change = stateChangeOf(reader, room, position);
      if (change !== undefined) given.set(keyOf(change.type, change.stateKey), change);
    }
  }
  const changes: StateChange[] = [];
  for (const { type, stateKey, event } of stateEntriesAt(reader, room, base)) {
    const key = keyOf(type, stateKey);
    const there = given.get(key);
    if (there === undefined) changes.push({ type, stateKey, event: undefined });
    else if (there.event === event) given.delete(key);
  }
  return { base, changes: [...changes, ...given.values()] };
}

function stateChangeOf(reader: Reader, room: Position, position: Position): StateChange | undefined {
  const row = knownEventAt(reader, position)?.row;
  if (row?.stateKey === undefined || row.room !== room) return undefined;
  return { type: row.type, stateKey: row.stateKey, event: position };
}

/** A map key for a pair of event type and state key; the length keeps pairs apart whatever characters they hold. */
function keyOf(type: string, stateKey: string): string {
  return `${type.length}:${type}${stateKey}`;
}
