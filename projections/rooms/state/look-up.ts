import type { Reader } from '#projections/engine/reader.ts';
import { compareCodePoints } from '#protocol/canonical-json.ts';
import { SlotMap } from '#protocol/state-resolution/slot-map.ts';
import type { Position } from '#streams/event-log.ts';
import { changesByKey, seekChange } from './lines.ts';
import { MAIN_LINE, NO_EVENT, type StateEntry, type StateKey, type StateRef, UnknownStateRef } from './state-ref.ts';
import { branches, type StatePath } from './tables.ts';

/** The event of a key in a state; `undefined` if it has none. At most one seek for each level of branches and one more. */
export function stateEventAt(
  reader: Reader,
  room: Position,
  ref: StateRef,
  type: string,
  stateKey: string,
): Position | undefined {
  if (ref.branch !== MAIN_LINE) return eventOnPath(reader, room, pathOf(reader, room, ref), { type, stateKey });
  return eventOf(seekChange(reader, room, MAIN_LINE, { type, stateKey }, ref.version));
}

/**
 * What a state holds, ordered by type, then state key; of one type only if asked. Reads while it is iterated; costs the
 * keys that the main line ever had there, and the changes of the branches below the state.
 */
export function* stateEntriesAt(
  reader: Reader,
  room: Position,
  ref: StateRef,
  options: { readonly type?: string } = {},
): Generator<StateEntry> {
  const path = pathOf(reader, room, ref);
  const overlay = overlayOf(reader, room, path.levels, options.type);
  const above = [...overlay.entries()].sort(compareStateKeys);
  let next = 0;
  const below = changesByKey(reader, room, MAIN_LINE, { ...options, after: 0, cuts: [path.base] });
  for (const { type, stateKey, changes } of below) {
    let isReplaced = false;
    for (let entry = above[next]; entry !== undefined; entry = above[next]) {
      const order = compareStateKeys(entry, { type, stateKey });
      if (order > 0) break;
      next += 1;
      isReplaced = order === 0;
      if (entry.value !== NO_EVENT) yield { type: entry.type, stateKey: entry.stateKey, event: entry.value };
    }
    const event = changes.at(-1)?.event;
    if (!isReplaced && event !== undefined && event !== NO_EVENT) yield { type, stateKey, event };
  }
  for (const { type, stateKey, value } of above.slice(next)) {
    if (value !== NO_EVENT) yield { type, stateKey, event: value };
  }
}

/** The way from a state down to the main line. */
export function pathOf(reader: Reader, room: Position, ref: StateRef): StatePath {
  if (ref.branch === MAIN_LINE) return { levels: [], base: ref.version };
  const below = reader.get(branches, [room, ref.branch]);
  if (below === undefined) throw new UnknownStateRef(room, ref);
  return { levels: [ref, ...below.levels], base: below.base };
}

/** The event of a key in the state that a path makes. */
export function eventOnPath(
  reader: Reader,
  room: Position,
  { levels, base }: StatePath,
  key: StateKey,
): Position | undefined {
  for (const { branch, version } of levels) {
    const change = seekChange(reader, room, branch, key, version);
    if (change !== undefined) return eventOf(change);
  }
  return eventOf(seekChange(reader, room, MAIN_LINE, key, base));
}

/** What some levels of branches say together: for each key that they change its event or NO_EVENT. */
export function overlayOf(
  reader: Reader,
  room: Position,
  levels: readonly StateRef[],
  type?: string,
): SlotMap<Position> {
  const overlay = new SlotMap<Position>();
  for (const { branch, version } of levels.toReversed()) {
    const options = { after: 0, cuts: [version], ...(type !== undefined && { type }) };
    for (const { type: at, stateKey, changes } of changesByKey(reader, room, branch, options)) {
      const last = changes.at(-1);
      if (last !== undefined) overlay.set(at, stateKey, last.event);
    }
  }
  return overlay;
}

/** By type, then state key, as rows are ordered. */
export function compareStateKeys(a: StateKey, b: StateKey): number {
  return compareTexts(a.type, b.type) || compareTexts(a.stateKey, b.stateKey);
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (a.isWellFormed() && b.isWellFormed()) return compareCodePoints(a, b);
  // Half a surrogate pair has the place of its number in keys.
  const others = [...b];
  for (const [index, character] of [...a].entries()) {
    const other = others[index];
    if (other === undefined) return 1;
    if (character !== other) return (character.codePointAt(0) ?? 0) - (other.codePointAt(0) ?? 0);
  }
  return -1;
}

function eventOf(change: Position | undefined): Position | undefined {
  return change === NO_EVENT ? undefined : change;
}
