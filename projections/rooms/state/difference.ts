/**
 * Where states differ.
 *
 * States grow from each other like branches of a tree. What lies below the place where all of those asked about part is
 * not read. Above it every change is a candidate: the versions of the main line between the lowest and the highest, the
 * versions of a branch between two cuts of it, and whole branches. The candidates' values are then put together in memory,
 * so a thousand states cost no more reading than two.
 */
import type { Reader } from '#projections/engine/reader.ts';
import { SlotMap } from '#protocol/state-resolution/slot-map.ts';
import type { Position } from '#streams/event-log.ts';
import { changesByKey, changesByVersion, keyOfChange, type LineChange } from './lines.ts';
import { compareStateKeys, eventOnPath, pathOf } from './look-up.ts';
import { MAIN_LINE, NO_EVENT, type StateKey, type StateRef } from './state-ref.ts';
import type { StatePath } from './tables.ts';

/** A key on which states differ. */
export interface StateKeyDifference extends StateKey {
  /** The event that each state has there, in the order of the states; `undefined` where it has none. */
  readonly events: readonly (Position | undefined)[];
}

/** Most states that are compared at once: more forks than this are never resolved together. */
export const MAX_COMPARED_STATES = 1_000;

/**
 * Exactly the keys on which states are not all equal, ordered by type, then state key.
 *
 * Time and memory grow with the changes between the states and where they part, times their number.
 *
 * @throws {RangeError} for more than {@link MAX_COMPARED_STATES} references.
 */
export function differenceBetween(reader: Reader, room: Position, refs: readonly StateRef[]): StateKeyDifference[] {
  if (refs.length > MAX_COMPARED_STATES) throw new RangeError(`${refs.length} states; ${MAX_COMPARED_STATES} at most`);
  const paths: StatePath[] = [];
  const indexOf = new Map<string, number>();
  const pathOfRef = refs.map((ref) => {
    const name = `${ref.branch}.${ref.version}`;
    const known = indexOf.get(name);
    if (known !== undefined) return known;
    paths.push(pathOf(reader, room, ref));
    indexOf.set(name, paths.length - 1);
    return paths.length - 1;
  });
  if (paths.length < 2) return [];

  const candidates = new Candidates(reader, room, paths);
  const differences: StateKeyDifference[] = [];
  for (const { key, slot } of candidates.keys()) {
    const values = candidates.valuesAt(key, slot);
    if (values.every((value) => value === values[0])) continue;
    const isOneEach = paths.length === refs.length;
    differences.push({ ...key, events: isOneEach ? values : pathOfRef.map((index) => values[index]) });
  }
  return differences.sort(compareStateKeys);
}

/** Every key that may differ, and what is needed to know its event in each state. */
class Candidates {
  readonly #reader: Reader;
  readonly #room: Position;
  readonly #paths: readonly StatePath[];
  readonly #slots = new SlotMap<number>();
  readonly #keys: StateKey[] = [];
  /** Line → slot → its changes that were read, by version. */
  readonly #lines = new Map<number, ReadonlyMap<number, readonly LineChange[]>>();
  /** Slot → the branches that were read and change it. */
  readonly #branchesBySlot: number[][] = [];
  /** Branch → the paths that it is on, of the levels that were read. */
  readonly #pathsOver = new Map<number, number[]>();
  /** What all the states have in common below what was read. */
  readonly #floor: StatePath;
  /** How many of the last levels of every path belong to the floor. */
  readonly #shared: number;

  constructor(reader: Reader, room: Position, paths: readonly StatePath[]) {
    this.#reader = reader;
    this.#room = room;
    this.#paths = paths;
    const { shared, floor, cut } = partingOf(paths);
    this.#shared = shared;
    this.#floor = floor;
    const isAboveCut = cut !== undefined && cut.branch !== MAIN_LINE;
    if (cut !== undefined) this.#read(cut.branch, cut.after, cut.versions);
    this.#readAbove(isAboveCut ? shared + 1 : shared);
    for (const [branch, line] of this.#lines) {
      if (branch === MAIN_LINE) continue;
      for (const slot of line.keys()) {
        const branches = this.#branchesBySlot[slot];
        if (branches === undefined) this.#branchesBySlot[slot] = [branch];
        else branches.push(branch);
      }
    }
    for (const [index, { levels }] of paths.entries()) {
      for (const { branch } of levels.slice(0, levels.length - shared)) {
        const over = this.#pathsOver.get(branch);
        if (over === undefined) this.#pathsOver.set(branch, [index]);
        else over.push(index);
      }
    }
  }

  *keys(): Generator<{ readonly key: StateKey; readonly slot: number }> {
    for (const [slot, key] of this.#keys.entries()) yield { key, slot };
  }

  /** The event of a key in each state. */
  valuesAt(key: StateKey, slot: number): (Position | undefined)[] {
    const floor = eventOnPath(this.#reader, this.#room, this.#floor, key);
    const onMain = this.#lines.get(MAIN_LINE)?.get(slot);
    const values =
      onMain === undefined
        ? new Array<Position | undefined>(this.#paths.length).fill(floor)
        : this.#paths.map(({ base }) => eventOf(lastAt(onMain, base), floor));
    for (const branch of this.#branchesBySlot[slot] ?? []) {
      for (const index of this.#pathsOver.get(branch) ?? [])
        values[index] = eventOf(this.#onBranches(this.#paths[index] as StatePath, slot), values[index]);
    }
    return values;
  }

  /** The nearest change of a key on the branches of a path that were read. */
  #onBranches({ levels }: StatePath, slot: number): Position | undefined {
    for (let at = 0; at < levels.length - this.#shared; at += 1) {
      const { branch, version } = levels[at] as StateRef;
      const change = lastAt(this.#lines.get(branch)?.get(slot), version);
      if (change !== undefined) return change;
    }
    return undefined;
  }

  /** Reads, of every path, all levels but the last `shared` ones. */
  #readAbove(shared: number): void {
    const cuts = new Map<number, number[]>();
    for (const { levels } of this.#paths) {
      for (const { branch, version } of levels.slice(0, Math.max(levels.length - shared, 0))) {
        const versions = cuts.get(branch);
        if (versions === undefined) cuts.set(branch, [version]);
        else versions.push(version);
      }
    }
    for (const [branch, versions] of cuts) this.#read(branch, 0, versions);
  }

  /** Reads what the cuts of a line show of its changes after a version, by whichever way is the shorter. */
  #read(branch: number, after: number, versions: readonly number[]): void {
    const cuts = [...new Set(versions)].sort((a, b) => a - b);
    const found = firstDone(this.#byVersion(branch, after, cuts), this.#byKey(branch, after, cuts));
    const line = new Map<number, readonly LineChange[]>();
    for (const { type, stateKey, value } of found.entries()) line.set(this.#slotOf({ type, stateKey }), value);
    this.#lines.set(branch, line);
  }

  /** One step for each change. Fails if one does not tell its key. */
  *#byVersion(branch: number, after: number, cuts: readonly number[]): Search {
    const found = new SlotMap<LineChange[]>();
    for (const change of changesByVersion(this.#reader, this.#room, branch, after, cuts.at(-1) ?? 0)) {
      const key = keyOfChange(this.#reader, this.#room, branch, change);
      if (key === undefined) return undefined;
      const changes = found.get(key.type, key.stateKey);
      if (changes === undefined) found.set(key.type, key.stateKey, [change]);
      else changes.push(change);
      yield;
    }
    return found;
  }

  /** One step for each key of the line. */
  *#byKey(branch: number, after: number, cuts: readonly number[]): Search {
    const found = new SlotMap<readonly LineChange[]>();
    for (const { type, stateKey, changes } of changesByKey(this.#reader, this.#room, branch, { after, cuts })) {
      if (changes.length > 0) found.set(type, stateKey, changes);
      yield;
    }
    return found;
  }

  #slotOf({ type, stateKey }: StateKey): number {
    const known = this.#slots.get(type, stateKey);
    if (known !== undefined) return known;
    this.#keys.push({ type, stateKey });
    this.#slots.set(type, stateKey, this.#keys.length - 1);
    return this.#keys.length - 1;
  }
}

/** Where paths part. */
interface Parting {
  /** How many of the last levels all of them have in common. */
  readonly shared: number;
  /** What all of them hold below where they part. */
  readonly floor: StatePath;
  /** The line that all of them cut, at different versions, at the place where they part; if there is one. */
  readonly cut: { readonly branch: number; readonly after: number; readonly versions: readonly number[] } | undefined;
}

function partingOf(paths: readonly StatePath[]): Parting {
  const versions = paths.map(({ base }) => base);
  const [after, upTo] = extremes(versions);
  if (after < upTo)
    return { shared: 0, floor: { levels: [], base: after }, cut: { branch: MAIN_LINE, after, versions } };
  const below = (shared: number): readonly StateRef[] => {
    const { levels } = paths[0] as StatePath;
    return levels.slice(levels.length - shared);
  };
  for (let shared = 0; ; shared += 1) {
    const cuts = cutsOfOneBranch(paths, shared);
    if (cuts === undefined) return { shared, floor: { levels: below(shared), base: after }, cut: undefined };
    const { branch } = cuts;
    const [lowest, highest] = extremes(cuts.versions);
    if (lowest === highest) continue;
    const floor = { levels: [{ branch, version: lowest }, ...below(shared)], base: after };
    return { shared, floor, cut: { branch, after: lowest, versions: cuts.versions } };
  }
}

/** Works on in steps; gives what it found, or `undefined` if it cannot find it. */
type Search = Generator<undefined, SlotMap<readonly LineChange[]> | undefined>;

/** What is found by the search that needs fewer steps; one of them must find it. */
function firstDone(...searches: readonly Search[]): SlotMap<readonly LineChange[]> {
  const running = new Set(searches);
  for (;;) {
    for (const search of running) {
      const step = search.next();
      if (step.done !== true) continue;
      running.delete(search);
      if (step.value === undefined && running.size > 0) continue;
      for (const other of running) other.return(undefined);
      return step.value ?? new SlotMap();
    }
  }
}

/** If every path has the same branch above the last `shared` levels: that branch, and where each path cuts it. */
function cutsOfOneBranch(
  paths: readonly StatePath[],
  shared: number,
): { readonly branch: number; readonly versions: number[] } | undefined {
  const level = ({ levels }: StatePath): StateRef | undefined => levels[levels.length - 1 - shared];
  const branch = level(paths[0] as StatePath)?.branch;
  if (branch === undefined) return undefined;
  const versions: number[] = [];
  for (const path of paths) {
    const at = level(path);
    if (at?.branch !== branch) return undefined;
    versions.push(at.version);
  }
  return { branch, versions };
}

function extremes(values: readonly number[]): [lowest: number, highest: number] {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  return [lowest, highest];
}

/** The event of the last change at or before a version. */
function lastAt(changes: readonly LineChange[] | undefined, version: number): Position | undefined {
  if (changes === undefined) return undefined;
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((changes[middle] as LineChange).version <= version) low = middle + 1;
    else high = middle;
  }
  return changes[low - 1]?.event;
}

/** The event that a change gives; `otherwise` if there was no change. */
function eventOf(change: Position | undefined, otherwise: Position | undefined): Position | undefined {
  if (change === undefined) return otherwise;
  return change === NO_EVENT ? undefined : change;
}
