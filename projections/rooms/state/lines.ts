/**
 * A line is a list of changes: the main line of a room or one of its branches. Both are stored alike, by key and by
 * version; here is what reads and writes either.
 */
import type { Reader, Writer } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { events, state, stateVersions, withheld } from '../tables.ts';
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
  const row = reader.get(events, [event]) ?? reader.get(withheld, [event]);
  return row?.stateKey === undefined ? undefined : { type: row.type, stateKey: row.stateKey };
}

/** A key of a line with changes of it, by version. */
export interface KeyChanges extends StateKey {
  readonly changes: readonly LineChange[];
}

/** After so many changes of one key that are not asked for, the rest are jumped over. */
const MAX_UNWANTED_ROWS = 32;
/** With so many cuts or fewer, the changes of a key are sought one by one when the rest are jumped over. */
const MAX_SOUGHT_CUTS = 8;

/** Which changes of a line. */
export interface LineCuts {
  /** Those after this version. */
  readonly after: number;
  /** Ascending versions of the line. Of each key at least the last change at or before each is given, and none after all. */
  readonly cuts: readonly number[];
  readonly type?: string;
}

/**
 * All keys of a line in order, each with the changes that it shows at some cuts; those without any too, so that it goes on
 * in small steps. Costs some rows for each key of the line, and not much more for one that changed all the time.
 */
export function* changesByKey(
  reader: Reader,
  room: Position,
  branch: number,
  options: LineCuts,
): Generator<KeyChanges> {
  let from: StateKey | undefined;
  for (;;) {
    let at: KeyReader | undefined;
    let isLeft = false;
    for (const row of lineRows(reader, room, branch, options.type, from)) {
      if (at === undefined || row.stateKey !== at.stateKey || row.type !== at.type) {
        if (at !== undefined) yield at;
        at = new KeyReader(row, options);
      }
      at.read(row);
      isLeft = at.unwanted > MAX_UNWANTED_ROWS;
      if (isLeft) break;
    }
    if (at !== undefined) {
      const changes = isLeft ? seekChanges(reader, room, branch, at, options) : at.changes;
      yield { type: at.type, stateKey: at.stateKey, changes };
    }
    if (!isLeft) return;
    from = at;
  }
}

/** Takes the rows of one key and keeps those that its cuts show. */
class KeyReader implements KeyChanges {
  readonly type: string;
  readonly stateKey: string;
  readonly changes: LineChange[] = [];
  /** Rows that no cut shows. */
  unwanted = 0;
  readonly #options: LineCuts;
  /** The first cut that shows the last of the changes. */
  #cut = 0;

  constructor({ type, stateKey }: StateKey, options: LineCuts) {
    this.type = type;
    this.stateKey = stateKey;
    this.#options = options;
  }

  read(row: LineRow): void {
    const { after, cuts } = this.#options;
    if (row.version <= after || row.version > (cuts.at(-1) ?? 0)) {
      this.unwanted += 1;
      return;
    }
    const before = this.#cut;
    while ((cuts[this.#cut] as number) < row.version) this.#cut += 1;
    if (this.changes.length > 0 && before === this.#cut) {
      this.changes.pop();
      this.unwanted += 1;
    }
    this.changes.push({ version: row.version, event: row.event() });
  }
}

/** The changes of one key without going through all of them. */
function seekChanges(
  reader: Reader,
  room: Position,
  branch: number,
  { type, stateKey }: StateKey,
  { after, cuts }: LineCuts,
): LineChange[] {
  const between = (options: { readonly upTo: number; readonly reverse?: boolean; readonly limit?: number }) => {
    const { upTo, ...rest } = options;
    if (branch === MAIN_LINE) {
      const key = [room, type, stateKey] as const;
      const rows = reader.range(state, { prefix: key, gt: [...key, after], lte: [...key, upTo], ...rest });
      return Array.from(rows, (row) => ({ version: row.key[3], event: row.value }));
    }
    const key = [room, branch, type, stateKey] as const;
    const rows = reader.range(branchState, { prefix: key, gt: [...key, after], lte: [...key, upTo], ...rest });
    return Array.from(rows, (row) => ({ version: row.key[4], event: row.value }));
  };
  if (cuts.length > MAX_SOUGHT_CUTS) return between({ upTo: cuts.at(-1) ?? 0 });
  const changes: LineChange[] = [];
  for (const upTo of cuts) {
    for (const change of between({ upTo, reverse: true, limit: 1 }))
      if (change.version !== changes.at(-1)?.version) changes.push(change);
  }
  return changes;
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
