/** Writing states: the main line, branches, and states that are written again nearer to the main line. */
import { createHash } from 'node:crypto';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { differenceBetween } from './difference.ts';
import { newestVersion, putChange } from './lines.ts';
import { compareStateKeys, eventOnPath, overlayOf, pathOf } from './look-up.ts';
import { isSameRef, MAIN_LINE, NO_EVENT, type StateChange, type StateRef } from './state-ref.ts';
import { branches, CHANGES_HASH_BYTES, extensions, type StatePath, twins } from './tables.ts';

/** Most branches between a state and the main line. A look-up takes at most one seek for each, and one more. */
export const MAX_LEVELS = 8;
/** When a path has all of them, what lies below this many of the nearest is written again as fewer. */
const NEAR_LEVELS = 3;
/** Of that, the lowest branches stay as they are that have so many times as many changes as all above them, */
const WIDE_RATIO = 8;
/** but so many at most. */
const MAX_WIDE_LEVELS = 2;
/** Changes over the main line from which on, at every doubling, it is tried whether a newer version of it is nearer. */
export const WIDE_CHANGES = 1024;
/** From so many changes on it is remembered what they made of a state. */
const REMEMBERED_CHANGES = 16;
/** How much narrower a state must become to be written again for that. */
const WORTHWHILE_SHARE = 0.5;
/** A newer version of the main line is looked at if it is at most so many times as far off as the state is wide. */
const MAX_REACH = 4;

/**
 * Adds changes to the main line, one version each, in their order.
 *
 * @param currentVersion the newest version of the main line.
 * @returns the new one: `currentVersion` and the number of changes.
 */
export function appendToMainLine(
  tx: Writer,
  room: Position,
  currentVersion: number,
  changes: readonly StateChange[],
): number {
  return appendTo(tx, room, { branch: MAIN_LINE, version: currentVersion }, changes).version;
}

/**
 * A reference to the state `parent` with changes. Without changes it is `parent`. A branch that ends with `parent` grows;
 * else a new one begins there. The main line never grows by this.
 *
 * Many changes that were made to the same state before give the reference of then.
 *
 * Costs two rows a change and one for a new branch. Now and then a state below is written again on a shorter path: once for
 * any state, and only when {@link NEAR_LEVELS} new branches, or twice as many changes as before, have come to lie above it.
 */
export function extendState(tx: Writer, room: Position, parent: StateRef, changes: readonly StateChange[]): StateRef {
  if (changes.length < REMEMBERED_CHANGES) return changes.length === 0 ? parent : extend(tx, room, parent, changes);
  const key = [room, parent.branch, parent.version, hashOf(changes)] as const;
  const known = tx.get(extensions, key);
  if (known !== undefined) return known;
  const ref = extend(tx, room, parent, changes);
  tx.put(extensions, key, ref);
  return ref;
}

function extend(tx: Writer, room: Position, parent: StateRef, changes: readonly StateChange[]): StateRef {
  const at = tx.get(twins, [room, parent.branch, parent.version]) ?? withinWidth(tx, room, parent, changes.length);
  if (at.branch !== MAIN_LINE && newestVersion(tx, room, at.branch) === at.version) {
    return appendTo(tx, room, at, changes);
  }
  const branch = openBranch(tx, room, withinDepth(tx, room, pathOf(tx, room, at)));
  return appendTo(tx, room, { branch, version: 0 }, changes);
}

/** Of the changes as a set: in whatever order they are given. */
function hashOf(changes: readonly StateChange[]): Uint8Array {
  const sha256 = createHash('sha256');
  // The lengths keep type and state key apart, whatever characters they have.
  for (const { type, stateKey, event = NO_EVENT } of changes.toSorted(compareStateKeys))
    sha256.update(`${type.length}:${type}${stateKey.length}:${stateKey}${event};`);
  return sha256.digest().subarray(0, CHANGES_HASH_BYTES);
}

function appendTo(
  tx: Writer,
  room: Position,
  { branch, version }: StateRef,
  changes: readonly StateChange[],
): StateRef {
  let at = version;
  for (const change of changes) {
    at += 1;
    putChange(tx, room, branch, at, change);
  }
  return { branch, version: at };
}

function openBranch(tx: Writer, room: Position, path: StatePath): number {
  const branch = (tx.seekLast(branches, [room])?.key[1] ?? MAIN_LINE) + 1;
  tx.put(branches, [room, branch], path);
  return branch;
}

/** A path that one more level can be put on. */
function withinDepth(tx: Writer, room: Position, path: StatePath): StatePath {
  if (path.levels.length < MAX_LEVELS) return path;
  const shared = path.levels[NEAR_LEVELS] as StateRef;
  const known = tx.get(twins, [room, shared.branch, shared.version]);
  const twin =
    known === undefined || isSameRef(known, shared)
      ? writeTwin(tx, room, shared, merged(tx, room, { ...path, levels: path.levels.slice(NEAR_LEVELS) }, shared))
      : known;
  const below = pathOf(tx, room, twin);
  return { levels: [...path.levels.slice(0, NEAR_LEVELS), ...below.levels], base: below.base };
}

/**
 * The same state, or its twin on a newer version of the main line if it has become wide and that is narrower. If it is not,
 * the state is its own twin, so that this is found out once.
 */
function withinWidth(tx: Writer, room: Position, ref: StateRef, added: number): StateRef {
  if (ref.branch === MAIN_LINE) return ref;
  const path = pathOf(tx, room, ref);
  const width = widthOf(path);
  if (width + added < WIDE_CHANGES || Math.clz32(width) === Math.clz32(width + added)) return ref;
  const wanted = width * WORTHWHILE_SHARE;
  // What the main line has not changed since it cannot have taken in.
  if (newestVersion(tx, room, MAIN_LINE) - path.base < width - wanted) return ref;
  const narrow = nearest(tx, room, path, ref);
  if (narrow.changes.length <= wanted) return writeTwin(tx, room, ref, narrow);
  tx.put(twins, [room, ref.branch, ref.version], ref);
  return ref;
}

/** A state as changes to what lies below. */
interface MergedLevels {
  readonly below: StatePath;
  readonly changes: readonly StateChange[];
}

/** A state as changes to the wide branches that it lies on, or to the main line. */
function merged(reader: Reader, room: Position, path: StatePath, ref: StateRef): MergedLevels {
  const wide = wideLevelsOf(path);
  if (wide.length === 0) return nearest(reader, room, path, ref);
  const below = { levels: wide, base: path.base };
  return { below, changes: changesOver(reader, room, path.levels.slice(0, -wide.length), below) };
}

/** The lowest branches of a path, as long as each has many more changes than all those above it together. */
function wideLevelsOf(path: StatePath): readonly StateRef[] {
  let above = widthOf(path);
  let first = path.levels.length;
  while (path.levels.length - first < MAX_WIDE_LEVELS) {
    const version = path.levels[first - 1]?.version ?? 0;
    above -= version;
    if (version <= WIDE_RATIO * above) break;
    first -= 1;
  }
  return path.levels.slice(first);
}

/** A state as changes to the version of the main line that it rests on or, if they are fewer, to the newest. */
function nearest(reader: Reader, room: Position, { levels, base }: StatePath, ref: StateRef): MergedLevels {
  const onBase = { levels: [], base };
  const changes = changesOver(reader, room, levels, onBase);
  const newest = newestVersion(reader, room, MAIN_LINE);
  if (newest === base || newest - base > changes.length * MAX_REACH) return { below: onBase, changes };
  const onNewest = differenceBetween(reader, room, [ref, { branch: MAIN_LINE, version: newest }]);
  if (onNewest.length >= changes.length) return { below: onBase, changes };
  return {
    below: { levels: [], base: newest },
    changes: onNewest.map(({ events, ...key }) => ({ ...key, event: events[0] })),
  };
}

/** What some levels change of a state, by key. */
function changesOver(reader: Reader, room: Position, levels: readonly StateRef[], below: StatePath): StateChange[] {
  const changes: StateChange[] = [];
  for (const { type, stateKey, value } of overlayOf(reader, room, levels).entries()) {
    const event = value === NO_EVENT ? undefined : value;
    if (event !== eventOnPath(reader, room, below, { type, stateKey })) changes.push({ type, stateKey, event });
  }
  return changes.sort(compareStateKeys);
}

function writeTwin(tx: Writer, room: Position, ref: StateRef, { below, changes }: MergedLevels): StateRef {
  const twin =
    changes.length === 0
      ? (below.levels[0] ?? { branch: MAIN_LINE, version: below.base })
      : appendTo(tx, room, { branch: openBranch(tx, room, below), version: 0 }, changes);
  tx.put(twins, [room, ref.branch, ref.version], twin);
  return twin;
}

/** How many changes lie over the main line, at most. */
function widthOf({ levels }: StatePath): number {
  return levels.reduce((sum, { version }) => sum + version, 0);
}
