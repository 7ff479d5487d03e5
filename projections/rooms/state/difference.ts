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
import { changesByKey, changesByVersion, keyOfChange, type LineChange, newestVersion } from './lines.ts';
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
    differences.push({ ...key, events: pathOfRef.map((index) => values[index]) });
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
  readonly #lines = new Map<number, Map<number, LineChange[]>>();
  /** What all the states have in common below what was read. */
  readonly #floor: StatePath;
  /** How many of the last levels of every path belong to the floor. */
  readonly #shared: number;

  constructor(reader: Reader, room: Position, paths: readonly StatePath[]) {
    this.#reader = reader;
    this.#room = room;
    this.#paths = paths;
    const bases = paths.map(({ base }) => base);
    const [lowest, highest] = extremes(bases);
    if (lowest < highest) {
      this.#read(MAIN_LINE, lowest, highest);
      this.#readFrom(0);
      this.#shared = 0;
      this.#floor = { levels: [], base: lowest };
      return;
    }
    let shared = 0;
    for (;;) {
      const cuts = cutsOfOneBranch(paths, shared);
      if (cuts === undefined) break;
      const [lowestCut, highestCut] = extremes(cuts.versions);
      if (lowestCut < highestCut) {
        this.#read(cuts.branch, lowestCut, highestCut);
        this.#readFrom(shared + 1);
        this.#shared = shared;
        const below = levelsBelow(paths[0] as StatePath, shared);
        this.#floor = { levels: [{ branch: cuts.branch, version: lowestCut }, ...below], base: lowest };
        return;
      }
      shared += 1;
    }
    this.#readFrom(shared);
    this.#shared = shared;
    this.#floor = { levels: levelsBelow(paths[0] as StatePath, shared), base: lowest };
  }

  *keys(): Generator<{ readonly key: StateKey; readonly slot: number }> {
    for (const [slot, key] of this.#keys.entries()) yield { key, slot };
  }

  /** The event of a key in each state. */
  valuesAt(key: StateKey, slot: number): (Position | undefined)[] {
    const floor = eventOnPath(this.#reader, this.#room, this.#floor, key);
    return this.#paths.map(({ levels, base }) => {
      for (let at = 0; at < levels.length - this.#shared; at += 1) {
        const { branch, version } = levels[at] as StateRef;
        const change = lastAt(this.#lines.get(branch)?.get(slot), version);
        if (change !== undefined) return change === NO_EVENT ? undefined : change;
      }
      const change = lastAt(this.#lines.get(MAIN_LINE)?.get(slot), base);
      if (change !== undefined) return change === NO_EVENT ? undefined : change;
      return floor;
    });
  }

  /** Reads, of every path, all levels but the last `shared` ones. */
  #readFrom(shared: number): void {
    const highest = new Map<number, number>();
    for (const { levels } of this.#paths) {
      for (const { branch, version } of levels.slice(0, Math.max(levels.length - shared, 0)))
        highest.set(branch, Math.max(version, highest.get(branch) ?? 0));
    }
    for (const [branch, version] of highest) this.#read(branch, 0, version);
  }

  /** Reads the changes of a line after one version, up to another. */
  #read(branch: number, after: number, upTo: number): void {
    const line = new Map<number, LineChange[]>();
    this.#lines.set(branch, line);
    if (isPart(this.#reader, this.#room, branch, after, upTo) && this.#readByVersion(line, branch, after, upTo)) return;
    line.clear();
    for (const { changes, ...key } of changesByKey(this.#reader, this.#room, branch, { after, upTo }))
      line.set(this.#slotOf(key), [...changes]);
  }

  /** False if some change does not tell its key. */
  #readByVersion(line: Map<number, LineChange[]>, branch: number, after: number, upTo: number): boolean {
    for (const change of changesByVersion(this.#reader, this.#room, branch, after, upTo)) {
      const key = keyOfChange(this.#reader, this.#room, branch, change);
      if (key === undefined) return false;
      const slot = this.#slotOf(key);
      const changes = line.get(slot);
      if (changes === undefined) line.set(slot, [change]);
      else changes.push(change);
    }
    return true;
  }

  #slotOf({ type, stateKey }: StateKey): number {
    const known = this.#slots.get(type, stateKey);
    if (known !== undefined) return known;
    this.#keys.push({ type, stateKey });
    this.#slots.set(type, stateKey, this.#keys.length - 1);
    return this.#keys.length - 1;
  }
}

/** A change that is found by its version costs about as much as so many that are read in the order of keys. */
const BY_VERSION_COST = 4;

/** Whether what is asked of a line is so small a part of it that it is better found by version than by key. */
function isPart(reader: Reader, room: Position, branch: number, after: number, upTo: number): boolean {
  return (upTo - after) * BY_VERSION_COST < newestVersion(reader, room, branch);
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

function levelsBelow({ levels }: StatePath, shared: number): readonly StateRef[] {
  return levels.slice(levels.length - shared);
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
