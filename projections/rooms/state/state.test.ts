import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Position } from '#streams/event-log.ts';
import { events } from '../tables.ts';
import { countingReader, openTables, type TestTables } from './environment.test-support.ts';
import {
  appendToMainLine,
  differenceBetween,
  extendState,
  isSameRef,
  MAIN_LINE,
  MAX_COMPARED_STATES,
  MAX_LEVELS,
  type StateChange,
  type StateKey,
  type StateRef,
  stateEntriesAt,
  stateEventAt,
  UnknownStateRef,
  WIDE_CHANGES,
} from './index.ts';
import { branches, branchState, twins } from './tables.ts';

const ROOM = 7;
const OTHER_ROOM = 8;
const KEYS: readonly StateKey[] = [
  { type: 'm.room.create', stateKey: '' },
  { type: 'm.room.member', stateKey: '@a:x' },
  { type: 'm.room.member', stateKey: '@ab:x' },
  { type: 'm.room.member', stateKey: '@a\0b:x' },
  { type: 'm.room.membe', stateKey: 'r' },
  { type: 'm.room.topic', stateKey: '' },
  { type: 'x', stateKey: '\uffff' },
  { type: 'x', stateKey: '\u{1f600}' },
];

let tables: TestTables;
beforeEach(async () => {
  tables = await openTables();
});
afterEach(() => tables.close());

/** A state as a plain map, and the reference under which it was stored. */
interface Expected {
  readonly ref: StateRef;
  readonly map: ReadonlyMap<number, Position>;
}

/** A room beside its states as plain maps. */
class TestRoom {
  readonly states: Expected[] = [{ ref: { branch: MAIN_LINE, version: 0 }, map: new Map() }];
  readonly room: number;
  /** Whether events have rows that tell their keys. */
  readonly hasEventRows: boolean;
  #newest: Expected;
  #nextEvent: number;

  constructor(room: number, hasEventRows: boolean) {
    this.room = room;
    this.hasEventRows = hasEventRows;
    this.#newest = this.states[0] as Expected;
    this.#nextEvent = room * 1_000_000;
  }

  /** Changes of keys by number; a negative number removes, and `old` gives an event that it had in some state. */
  extend(
    from: number | 'main',
    keys: readonly { readonly key: number; readonly what: 'new' | 'old' | 'none' }[],
  ): void {
    const parent = from === 'main' ? this.#newest : (this.states[from % this.states.length] as Expected);
    const map = new Map(parent.map);
    const changes = keys.map(({ key, what }): StateChange => {
      const slot = key % KEYS.length;
      const old = what === 'old' ? this.states.findLast((state) => state.map.has(slot))?.map.get(slot) : undefined;
      const event = what === 'none' ? undefined : (old ?? this.#newEvent(slot));
      if (event === undefined) map.delete(slot);
      else map.set(slot, event);
      return { ...(KEYS[slot] as StateKey), event };
    });
    const ref = tables.write((tx) =>
      from === 'main'
        ? { branch: MAIN_LINE, version: appendToMainLine(tx, this.room, parent.ref.version, changes) }
        : extendState(tx, this.room, parent.ref, changes),
    );
    const state = { ref, map };
    this.states.push(state);
    if (from === 'main') this.#newest = state;
  }

  #newEvent(slot: number): Position {
    this.#nextEvent += 1;
    const event = this.#nextEvent;
    if (this.hasEventRows) writeEventRow(this.room, event, KEYS[slot] as StateKey);
    return event;
  }

  check(): void {
    for (const { ref, map } of this.states) {
      for (const [slot, { type, stateKey }] of KEYS.entries())
        expect(stateEventAt(tables.reader, this.room, ref, type, stateKey)).toBe(map.get(slot));
      const inOrder = [...map].map(([slot, event]) => ({ ...(KEYS[slot] as StateKey), event })).sort(byBytes);
      expect([...stateEntriesAt(tables.reader, this.room, ref)]).toEqual(inOrder);
      const members = inOrder.filter(({ type }) => type === 'm.room.member');
      expect([...stateEntriesAt(tables.reader, this.room, ref, { type: 'm.room.member' })]).toEqual(members);
    }
  }

  checkDifference(indexes: readonly number[]): void {
    const states = indexes.map((index) => this.states[index % this.states.length] as Expected);
    const expected = KEYS.map((key, slot) => ({ ...key, events: states.map(({ map }) => map.get(slot)) }))
      .filter(({ events: [first, ...others] }) => others.some((event) => event !== first))
      .sort(byBytes);
    const refs = states.map(({ ref }) => ref);
    expect(differenceBetween(tables.reader, this.room, refs)).toEqual(expected);
  }
}

function writeEventRow(room: number, event: Position, { type, stateKey }: StateKey): void {
  tables.write((tx) =>
    tx.put(events, [event], {
      room,
      eventId: `$${event}`,
      type,
      stateKey,
      sender: '@a:x',
      originServerTs: 0,
      depth: 1,
      contentJson: '{}',
      stateVersion: 0,
      hasUrl: false,
    }),
  );
}

function byBytes(a: StateKey, b: StateKey): number {
  return Buffer.compare(Buffer.from(`${a.type}\0${a.stateKey}`), Buffer.from(`${b.type}\0${b.stateKey}`));
}

interface KeyStep {
  readonly key: number;
  readonly what: 'new' | 'old' | 'none';
}

/** One more state: on the main line, at any earlier state, or at one of the last, so that branches get deep. */
interface Step {
  readonly from: 'main' | { readonly at: number } | { readonly back: number };
  readonly keys: readonly KeyStep[];
}

const anyKey = fc.record<KeyStep>({
  key: fc.nat(KEYS.length - 1),
  what: fc.constantFrom('new', 'new', 'old', 'none'),
});
const anyKeys = fc.array(anyKey, { maxLength: 4 });
const anyParent = fc.oneof(fc.constant<'main'>('main'), fc.record({ at: fc.nat() }), fc.record({ back: fc.nat(3) }));
const anySteps = fc.array(fc.record<Step>({ from: anyParent, keys: anyKeys }), { minLength: 1, maxLength: 60 });

let nextRoom = ROOM;
/** A room of its own for each run: opening tables takes longer than filling them. */
function grownRoom(steps: readonly Step[], hasEventRows: boolean): TestRoom {
  nextRoom += 1;
  const room = new TestRoom(nextRoom, hasEventRows);
  for (const { from, keys } of steps) {
    if (from === 'main') room.extend(from, keys);
    else room.extend('at' in from ? from.at : Math.max(0, room.states.length - 1 - from.back), keys);
  }
  return room;
}

/** Changes of one key each, the n-th with an event of its own. */
function changes(count: number, first = 0): StateChange[] {
  return Array.from({ length: count }, (_, index) => ({
    type: 'm.room.member',
    stateKey: `@${first + index}:x`,
    event: 1000 + first + index,
  }));
}

/** How many levels each branch of a room lies on. */
function pathLengths(room: number): number[] {
  return Array.from(tables.reader.range(branches, { prefix: [room] }), ({ value }) => value.levels.length);
}

function entriesOf(ref: StateRef): StateChange[] {
  return [...stateEntriesAt(tables.reader, ROOM, ref)];
}

describe('states', () => {
  it('are what a map for each of them would be', () => {
    fc.assert(
      fc.property(anySteps, fc.boolean(), (steps, hasEventRows) => {
        grownRoom(steps, hasEventRows).check();
      }),
      { numRuns: 150 },
    );
  });

  it('differ exactly where the maps do', () => {
    const anyIndexes = fc.array(fc.nat(), { maxLength: 6 });
    fc.assert(
      fc.property(
        anySteps,
        fc.array(anyIndexes, { minLength: 10, maxLength: 10 }),
        fc.boolean(),
        (steps, asked, rows) => {
          const room = grownRoom(steps, rows);
          for (const indexes of asked) room.checkDifference(indexes);
          // Neighbours are likely to be of one branch, or of branches that lie on one.
          for (const at of room.states.keys()) {
            room.checkDifference([at, at + 1]);
            room.checkDifference([at, at + 2, at + 3]);
          }
          room.checkDifference(room.states.keys().toArray());
        },
      ),
      { numRuns: 150 },
    );
  });

  it('stay what they are when branch grows from branch without end', () => {
    const bulk = fc.array(anyKey, { minLength: 1, maxLength: 80 });
    const anyTurn = fc.record({ keys: fc.oneof(anyKeys, anyKeys, bulk), aside: anyKeys, onMain: fc.boolean() });
    fc.assert(
      fc.property(fc.array(anyTurn, { minLength: 20, maxLength: 60 }), (turns) => {
        const steps = turns.flatMap(({ keys, aside, onMain }): Step[] => [
          // The first follows a state, so that the next must branch off it.
          { from: { back: 0 }, keys: [{ key: 0, what: 'new' }, ...aside] },
          ...(onMain ? [{ from: 'main' as const, keys: aside }] : []),
          { from: { back: onMain ? 2 : 1 }, keys },
        ]);
        const room = grownRoom(steps, false);
        room.check();
        room.checkDifference(room.states.keys().toArray());
        expect(Math.max(...pathLengths(room.room))).toBeLessThan(MAX_LEVELS);
        expect(tables.reader.count(twins, { prefix: [room.room] })).toBeGreaterThan(0);
      }),
      { numRuns: 30 },
    );
  });
});

describe('the main line', () => {
  it('costs two rows a change, and a third for one that leaves no event', () => {
    const before = tables.rowCount();
    const version = tables.write((tx) => appendToMainLine(tx, ROOM, 0, changes(10)));
    expect(version).toBe(10);
    expect(tables.rowCount() - before).toBe(20);
    tables.write((tx) =>
      appendToMainLine(tx, ROOM, 10, [{ type: 'm.room.member', stateKey: '@3:x', event: undefined }]),
    );
    expect(tables.rowCount() - before).toBe(23);
    expect(entriesOf({ branch: MAIN_LINE, version: 10 })).toHaveLength(10);
    expect(entriesOf({ branch: MAIN_LINE, version: 11 })).toHaveLength(9);
  });

  it('does not grow when a state of it is extended', () => {
    tables.write((tx) => appendToMainLine(tx, ROOM, 0, changes(2)));
    const ref = tables.write((tx) => extendState(tx, ROOM, { branch: MAIN_LINE, version: 2 }, changes(1, 2)));
    expect(ref.branch).not.toBe(MAIN_LINE);
    expect(entriesOf({ branch: MAIN_LINE, version: 3 })).toEqual(changes(2));
    expect(entriesOf(ref)).toEqual(changes(3));
  });

  it('is read without going through the past of a key that changes all the time', () => {
    const topics = Array.from({ length: 3000 }, (_, index) => ({
      type: 'm.room.topic',
      stateKey: '',
      event: index + 1,
    }));
    tables.write((tx) => appendToMainLine(tx, ROOM, 0, [...changes(2), ...topics, ...changes(1, 2)]));
    const at = (version: number) => entriesOf({ branch: MAIN_LINE, version }).map(({ event }) => event);
    expect(at(3003)).toEqual([1000, 1001, 1002, 3000]);
    expect(at(1002)).toEqual([1000, 1001, 1000]);
    expect(at(2)).toEqual([1000, 1001]);
    const refs = [2, 1000, 3002].map((version) => ({ branch: MAIN_LINE, version }));
    expect(differenceBetween(tables.reader, ROOM, refs)).toEqual([
      { type: 'm.room.topic', stateKey: '', events: [undefined, 998, 3000] },
    ]);
  });
});

describe('states of the main line are compared without reading', () => {
  const differenceOf = (from: number, to: number): { readonly keys: number; readonly count: number } => {
    const counting = countingReader(tables.reader);
    const refs = [from, to].map((version) => ({ branch: MAIN_LINE, version }));
    const { length: keys } = differenceBetween(counting.reader, ROOM, refs);
    return { keys, count: counting.count };
  };

  it('the room, where few changes lie between them', () => {
    const last = { type: 'm.room.topic', stateKey: '', event: 77 };
    tables.write((tx) => appendToMainLine(tx, ROOM, 0, [...changes(3000), last]));
    writeEventRow(ROOM, 77, last);
    const { keys, count } = differenceOf(3000, 3001);
    expect(keys).toBe(1);
    expect(count).toBeLessThan(20);
  });

  it('all the changes, where many of few keys lie between them', () => {
    const topic = { type: 'm.room.topic', stateKey: '' };
    writeEventRow(ROOM, 77, topic);
    writeEventRow(ROOM, 78, topic);
    const many = Array.from({ length: 5000 }, (_, index) => ({ ...topic, event: 77 + (index % 2) }));
    tables.write((tx) => appendToMainLine(tx, ROOM, 0, [...changes(20), ...many]));
    const { keys, count } = differenceOf(21, 20 + many.length);
    expect(keys).toBe(1);
    expect(count).toBeLessThan(300);
  });
});

describe('branches', () => {
  const parent = { branch: MAIN_LINE, version: 3 };
  beforeEach(() => {
    tables.write((tx) => appendToMainLine(tx, ROOM, 0, changes(5)));
  });

  it('are not opened for no changes', () => {
    const before = tables.rowCount();
    expect(tables.write((tx) => extendState(tx, ROOM, parent, []))).toEqual(parent);
    expect(tables.rowCount()).toBe(before);
  });

  it('grow at their end and fork elsewhere', () => {
    const first = tables.write((tx) => extendState(tx, ROOM, parent, changes(1, 100)));
    const second = tables.write((tx) => extendState(tx, ROOM, first, changes(1, 101)));
    const aside = tables.write((tx) => extendState(tx, ROOM, first, changes(1, 102)));
    expect(second).toEqual({ branch: first.branch, version: 2 });
    expect(aside.branch).not.toBe(first.branch);
    expect(isSameRef(first, second)).toBe(false);
    expect(entriesOf(second)).toEqual([...changes(3), ...changes(2, 100)].sort(byBytes));
    expect(entriesOf(aside)).toEqual([...changes(3), ...changes(1, 100), ...changes(1, 102)].sort(byBytes));
  });

  it('are written again once they are wide and the main line has what they hold', () => {
    const wide = changes(WIDE_CHANGES, 100);
    const ref = tables.write((tx) => extendState(tx, ROOM, parent, wide.slice(0, -1)));
    tables.write((tx) => appendToMainLine(tx, ROOM, 5, wide.slice(0, -1)));
    const after = tables.write((tx) => extendState(tx, ROOM, ref, wide.slice(-1)));
    expect(after.branch).not.toBe(ref.branch);
    expect(tables.reader.count(branchState, { prefix: [ROOM, after.branch] })).toBeLessThan(10);
    expect(entriesOf(after)).toEqual([...changes(3), ...wide].sort(byBytes));
    expect(entriesOf(ref)).toEqual([...changes(3), ...wide.slice(0, -1)].sort(byBytes));
  });

  it('stay as they are if that would not make them narrower, which is found out once', () => {
    const wide = changes(WIDE_CHANGES, 100);
    const ref = tables.write((tx) => extendState(tx, ROOM, parent, wide.slice(0, -1)));
    tables.write((tx) => appendToMainLine(tx, ROOM, 5, changes(WIDE_CHANGES, 5000)));
    const after = tables.write((tx) => extendState(tx, ROOM, ref, wide.slice(-1)));
    expect(after).toEqual({ branch: ref.branch, version: WIDE_CHANGES });
    const counts = [1, 2].map(() => {
      const before = tables.rowCount();
      const other = tables.write((tx) => extendState(tx, ROOM, ref, changes(1, 9000)));
      expect(entriesOf(other)).toEqual([...changes(3), ...wide.slice(0, -1), ...changes(1, 9000)].sort(byBytes));
      return tables.rowCount() - before;
    });
    expect(counts).toEqual([3, 3]);
    expect(tables.reader.count(twins, { prefix: [ROOM] })).toBe(1);
  });

  it('that are wide and deep as well are written again all the same', () => {
    const wide = changes(WIDE_CHANGES, 100);
    let ref = tables.write((tx) => extendState(tx, ROOM, parent, wide.slice(0, -1)));
    tables.write((tx) => appendToMainLine(tx, ROOM, 5, changes(WIDE_CHANGES, 5000)));
    for (let depth = 0; depth < 3 * MAX_LEVELS; depth += 1) {
      const at = ref;
      tables.write((tx) => extendState(tx, ROOM, at, changes(1, 8000)));
      ref = tables.write((tx) => extendState(tx, ROOM, at, changes(1, 9000 + depth)));
    }
    const all = [...changes(3), ...wide.slice(0, -1), ...changes(3 * MAX_LEVELS, 9000)];
    expect(entriesOf(ref)).toEqual(all.sort(byBytes));
    expect(Math.max(...pathLengths(ROOM))).toBeLessThan(MAX_LEVELS);
    // But what is wide is not copied for that.
    const forks = 2 * 3 * MAX_LEVELS;
    expect(tables.reader.count(branchState, { prefix: [ROOM] })).toBeLessThan(WIDE_CHANGES + 6 * forks);
  });

  it('that grow from one deep state by the thousand share what is written again', () => {
    let deep: StateRef = parent;
    for (let depth = 0; depth < MAX_LEVELS; depth += 1) {
      const at = deep;
      tables.write((tx) => extendState(tx, ROOM, at, changes(1, 5000)));
      deep = tables.write((tx) => extendState(tx, ROOM, at, changes(50, depth * 100)));
      if (depth === 0) continue;
      expect(deep.branch).not.toBe(at.branch);
    }
    const before = tables.rowCount();
    const forks = tables.write((tx) =>
      Array.from({ length: 1000 }, (_, index) => extendState(tx, ROOM, deep, changes(1, 10_000 + index))),
    );
    expect(tables.rowCount() - before).toBeLessThan(3000 + 2 * 50 * MAX_LEVELS + 10);
    expect(entriesOf(forks[999] as StateRef)).toHaveLength(5 + 50 * MAX_LEVELS - 5 + 1);
    const difference = differenceBetween(tables.reader, ROOM, forks);
    expect(difference).toHaveLength(1000);
    expect(difference[0]?.events.filter((event) => event !== undefined)).toHaveLength(1);
  });

  it('are written once for the same changes to the same state, if they are many', () => {
    const many = changes(100, 100);
    const extend = (list: readonly StateChange[]) => tables.write((tx) => extendState(tx, ROOM, parent, list));
    const ref = extend(many);
    const before = tables.rowCount();
    expect(extend(many)).toEqual(ref);
    expect(extend(many.toReversed())).toEqual(ref);
    expect(tables.rowCount()).toBe(before);
    const other = extend(many.with(0, { type: 'm.room.member', stateKey: '@100:x', event: undefined }));
    expect(entriesOf(other)).toEqual([...changes(3), ...many.slice(1)].sort(byBytes));
    expect(entriesOf(ref)).toEqual([...changes(3), ...many].sort(byBytes));
  });

  /** A branch on each of the branches before, with some changes each. */
  function pile(from: StateRef, levels: readonly (readonly StateChange[])[]): StateRef {
    let ref = from;
    for (const level of levels) {
      const at = ref;
      tables.write((tx) => extendState(tx, ROOM, at, changes(1, 8000)));
      ref = tables.write((tx) => extendState(tx, ROOM, at, level));
      expect(ref.branch).not.toBe(at.branch);
    }
    return ref;
  }

  it('that come to nothing over a wide one are left out when they are written again', () => {
    const wide = changes(100, 100);
    const on = changes(1, 7000);
    const off = on.map((change) => ({ ...change, event: undefined }));
    const singles = changes(4, 9000).map((change) => [change]);
    const ref = pile(parent, [wide, on, off, on, off, ...singles]);
    expect(entriesOf(ref)).toEqual([...changes(3), ...wide, ...singles.flat()].sort(byBytes));
    expect(pathLengths(ROOM).at(-1)).toBe(4);
  });

  it('that lie on two wide ones stay over both', () => {
    const levels = [changes(1000, 100), changes(100, 2000), ...changes(8, 9000).map((change) => [change])];
    const ref = pile(parent, levels);
    expect(entriesOf(ref)).toEqual([...changes(3), ...levels.flat()].sort(byBytes));
    const rows = tables.reader.count(branchState, { prefix: [ROOM] });
    expect(rows).toBeLessThan(1200);
  });

  it('are written again also where a state is its own twin', () => {
    const below = changes(4, 100).map((change) => [change]);
    const wide = changes(WIDE_CHANGES - 5, 2000);
    tables.write((tx) => appendToMainLine(tx, ROOM, 5, changes(WIDE_CHANGES, 4000)));
    const levels = [...below, wide, ...changes(4, 9000).map((change) => [change])];
    const ref = pile(parent, levels);
    expect(entriesOf(ref)).toEqual([...changes(3), ...levels.flat()].sort(byBytes));
    const found = Array.from(
      tables.reader.range(twins, { prefix: [ROOM] }),
      ({ key, value }) => key[1] === value.branch,
    );
    expect(found).toHaveLength(1);
    expect(Math.max(...pathLengths(ROOM))).toBeLessThan(MAX_LEVELS);
  });

  it('of another room are not known', () => {
    const ref = tables.write((tx) => extendState(tx, ROOM, parent, changes(1, 9)));
    expect(() => stateEventAt(tables.reader, OTHER_ROOM, ref, 'm.room.member', '@9:x')).toThrow(UnknownStateRef);
    expect(() => entriesOf({ branch: 99, version: 1 })).toThrow(UnknownStateRef);
  });

  it('are compared by the thousand at most', () => {
    const refs = Array.from({ length: MAX_COMPARED_STATES + 1 }, () => parent);
    expect(() => differenceBetween(tables.reader, ROOM, refs)).toThrow(RangeError);
    expect(differenceBetween(tables.reader, ROOM, refs.slice(1))).toEqual([]);
  });
});
