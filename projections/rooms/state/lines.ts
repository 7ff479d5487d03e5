/**
 * A line is a list of changes: the main line of a room or one of its branches. Both are stored alike, by key and by
 * version; here is what reads and writes either.
 */
import type { Reader, Writer } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { events, state, stateVersions } from '../tables.ts';
import { MAIN_LINE, NO_EVENT, type StateChange, type StateKey } from './state-ref.ts';
import { branchState, branchVersions, removals } from './tables.ts';

/** A change of a line as it is stored: `event` is NO_EVENT where it takes one away. */
export interface LineChange {
  readonly version: number;
  readonly event: Position;
}

/** The last change of a key at or before a version: an event, NO_EVENT, or `undefined` if the line has none. */
export function seekChange(
  reader: Reader,
  room: Position,
  branch: number,
  { type, stateKey }: StateKey,
  version: number,
): Position | undefined {
  const row =
    branch === MAIN_LINE
      ? reader.seekLast(state, [room, type, stateKey], [room, type, stateKey, version])
      : reader.seekLast(branchState, [room, branch, type, stateKey], [room, branch, type, stateKey, version]);
  return row?.value;
}

/** The newest version of a line; 0 for one without changes. */
export function newestVersion(reader: Reader, room: Position, branch: number): number {
  if (branch === MAIN_LINE) return reader.seekLast(stateVersions, [room])?.key[1] ?? 0;
  return reader.seekLast(branchVersions, [room, branch])?.key[2] ?? 0;
}

/** Writes one change of a line: two rows, three if it takes an event away. */
export function putChange(tx: Writer, room: Position, branch: number, version: number, change: StateChange): void {
  const { type, stateKey, event = NO_EVENT } = change;
  if (branch === MAIN_LINE) {
    tx.put(state, [room, type, stateKey, version], event);
    tx.put(stateVersions, [room, version], event);
  } else {
    tx.put(branchState, [room, branch, type, stateKey, version], event);
    tx.put(branchVersions, [room, branch, version], event);
  }
  if (event === NO_EVENT) tx.put(removals, [room, branch, version], [type, stateKey]);
}

/** Changes of a line by version: those after one version, up to another. */
export function* changesByVersion(
  reader: Reader,
  room: Position,
  branch: number,
  after: number,
  upTo: number,
): Generator<LineChange> {
  if (branch === MAIN_LINE) {
    const rows = reader.range(stateVersions, { prefix: [room], gt: [room, after], lte: [room, upTo] });
    for (const { key, value } of rows) yield { version: key[1], event: value };
  } else {
    const range = { prefix: [room, branch], gt: [room, branch, after], lte: [room, branch, upTo] } as const;
    for (const { key, value } of reader.range(branchVersions, range)) yield { version: key[2], event: value };
  }
}

/** The key that a change of a line is of; `undefined` if its event has no row that tells. */
export function keyOfChange(
  reader: Reader,
  room: Position,
  branch: number,
  { version, event }: LineChange,
): StateKey | undefined {
  if (event === NO_EVENT) {
    const removed = reader.get(removals, [room, branch, version]);
    return removed && { type: removed[0], stateKey: removed[1] };
  }
  const row = reader.get(events, [event]);
  return row?.stateKey === undefined ? undefined : { type: row.type, stateKey: row.stateKey };
}

/** All changes of one key of a line, by version. */
export interface KeyChanges extends StateKey {
  readonly changes: readonly LineChange[];
}

/** After so many changes of one key that are not asked for, the rest are jumped over. */
const MAX_UNWANTED_ROWS = 32;

/**
 * The keys of a line in order, each with its changes after one version and up to another; keys without any are left out.
 * With `isLastOnly` the changes of a key are but the last of them. Costs little more than the rows it gives, save that each
 * key costs at least a few rows.
 */
export function* changesByKey(
  reader: Reader,
  room: Position,
  branch: number,
  options: { readonly after: number; readonly upTo: number; readonly type?: string; readonly isLastOnly?: boolean },
): Generator<KeyChanges> {
  const { after, upTo, type, isLastOnly = false } = options;
  let from: StateKey | undefined;
  for (;;) {
    let at: StateKey | undefined;
    let changes: LineChange[] = [];
    let unwanted = 0;
    let isCut = false;
    for (const row of lineRows(reader, room, branch, type, from)) {
      if (at === undefined || row.stateKey !== at.stateKey || row.type !== at.type) {
        if (at !== undefined && changes.length > 0) yield { ...at, changes };
        at = { type: row.type, stateKey: row.stateKey };
        changes = [];
        unwanted = 0;
      }
      if (row.version > after && row.version <= upTo) {
        if (!isLastOnly) changes.push({ version: row.version, event: row.event() });
        else {
          unwanted += changes.length;
          changes = [{ version: row.version, event: row.event() }];
        }
      } else unwanted += 1;
      if (unwanted <= MAX_UNWANTED_ROWS) continue;
      isCut = true;
      break;
    }
    if (at !== undefined && isCut) changes = seekChanges(reader, room, branch, at, options);
    if (at !== undefined && changes.length > 0) yield { ...at, changes };
    if (!isCut) return;
    from = at;
  }
}

/** The changes of one key by seeking them. */
function seekChanges(
  reader: Reader,
  room: Position,
  branch: number,
  { type, stateKey }: StateKey,
  { after, upTo, isLastOnly }: { readonly after: number; readonly upTo: number; readonly isLastOnly?: boolean },
): LineChange[] {
  const limit = isLastOnly === true ? { reverse: true, limit: 1 } : {};
  if (branch === MAIN_LINE) {
    const key = [room, type, stateKey] as const;
    const rows = reader.range(state, { prefix: key, gt: [...key, after], lte: [...key, upTo], ...limit });
    return Array.from(rows, (row) => ({ version: row.key[3], event: row.value }));
  }
  const key = [room, branch, type, stateKey] as const;
  const rows = reader.range(branchState, { prefix: key, gt: [...key, after], lte: [...key, upTo], ...limit });
  return Array.from(rows, (row) => ({ version: row.key[4], event: row.value }));
}

interface LineRow extends StateKey {
  readonly version: number;
  event(): Position;
}

/** The rows of a line in key order, after all those of a key. */
function* lineRows(
  reader: Reader,
  room: Position,
  branch: number,
  type: string | undefined,
  from: StateKey | undefined,
): Generator<LineRow> {
  if (branch === MAIN_LINE) {
    const prefix = type === undefined ? ([room] as const) : ([room, type] as const);
    const gt = from === undefined ? {} : { gt: [room, from.type, from.stateKey] as const };
    for (const row of reader.range(state, { prefix, ...gt }))
      yield { type: row.key[1], stateKey: row.key[2], version: row.key[3], event: () => row.value };
    return;
  }
  const prefix = type === undefined ? ([room, branch] as const) : ([room, branch, type] as const);
  const gt = from === undefined ? {} : { gt: [room, branch, from.type, from.stateKey] as const };
  for (const row of reader.range(branchState, { prefix, ...gt }))
    yield { type: row.key[2], stateKey: row.key[3], version: row.key[4], event: () => row.value };
}
