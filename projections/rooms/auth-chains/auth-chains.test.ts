import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { plainAuthGraph, type ResolutionEvent } from '#protocol/state-resolution/index.ts';
import type { Position } from '#streams/event-log.ts';
import { countingReader, openTables, type TestTables } from '../state/environment.test-support.ts';
import { ChainGraph } from './chain-graph.ts';
import {
  addToAuthChains,
  authChainDifference,
  authChainOf,
  authEventsOf,
  conflictedSubgraph,
  isIndexed,
  type SharedEvents,
} from './index.ts';
import { MAX_CITATIONS, SharedFloor } from './shared-floor.ts';
import { authChains, authCitations, authLinks } from './tables.ts';

/** Rules by which events name the create event themselves: the graph is what they name. */
const RULES = roomVersionRules('11') as RoomVersionRules;

let tables: TestTables;
beforeEach(async () => {
  tables = await openTables();
});
afterEach(() => tables.close());

interface Key {
  readonly type: string;
  readonly stateKey: string;
}

interface TestEvent extends Key {
  readonly position: Position;
  readonly auth: readonly Position[];
}

let nextRoom = 1;

/** A room's state events, in the index and as a plain graph. */
class TestRoom {
  readonly room: number;
  readonly events: TestEvent[] = [];
  readonly #byPosition = new Map<Position, TestEvent>();

  constructor() {
    this.room = nextRoom;
    nextRoom += 1;
  }

  /** Adds events in one transaction; auth events are named by the order in which events were added. */
  add(specs: Iterable<Key & { readonly auth: readonly number[] }>): void {
    tables.write((tx) => {
      for (const { type, stateKey, auth } of specs) {
        const index = this.events.length;
        // Positions in no order: an event may be taken into the index long after it came.
        const position = this.room * 1_000_000 + ((index * 7919) % 1_000_003);
        const event = { type, stateKey, position, auth: auth.map((at) => this.at(at)) };
        this.events.push(event);
        this.#byPosition.set(position, event);
        addToAuthChains(tx, this.room, position, event, event.auth);
      }
    });
  }

  at(index: number): Position {
    return (this.events[index] as TestEvent).position;
  }

  /** The walk that the index is to agree with. */
  plain() {
    const lookup = (eventId: string): ResolutionEvent | undefined => {
      const event = this.#byPosition.get(Number(eventId));
      return (
        event && {
          eventId,
          roomId: '!room',
          type: event.type,
          stateKey: event.stateKey,
          sender: '',
          content: {},
          authEventIds: event.auth.map(String),
          prevEventIds: [],
          originServerTs: 0,
          depth: 0,
          rejected: false,
        }
      );
    };
    return plainAuthGraph(lookup, RULES);
  }

  shared(events: readonly Position[], withKeys: boolean): SharedEvents {
    const set = new Set(events);
    const ofSameKey = (event: Position): Position | undefined => {
      const key = this.#byPosition.get(event);
      return events.find((other) => isSameKey(this.#byPosition.get(other), key));
    };
    return { has: (event) => set.has(event), ...(withKeys && { ofSameKey, events: () => events }) };
  }

  expectDifference(own: readonly (readonly Position[])[], shared: readonly Position[]): void {
    const plain = this.plain().authChainDifference(
      own.map((events) => events.map(String)),
      { get: () => undefined, eventIds: () => shared.map(String) },
    );
    const expected = sorted(Array.from(plain, Number));
    for (const withKeys of [true, false])
      expect(authChainDifference(tables.reader, this.room, own, this.shared(shared, withKeys))).toEqual(expected);
  }

  expectSubgraph(conflicted: readonly Position[]): void {
    const expected = this.plain().conflictedSubgraph(new Set(conflicted.map(String)));
    const found = conflictedSubgraph(tables.reader, this.room, new Set(conflicted));
    expect(found).toEqual(sorted(Array.from(expected, Number)));
  }

  expectChain(roots: readonly Position[]): void {
    const chain = new Set<Position>();
    const pending = roots.flatMap((root) => this.#byPosition.get(root)?.auth ?? []);
    for (let event = pending.pop(); event !== undefined; event = pending.pop()) {
      if (chain.has(event)) continue;
      chain.add(event);
      pending.push(...(this.#byPosition.get(event)?.auth ?? []));
    }
    const found = [...authChainOf(tables.reader, this.room, roots)];
    expect(found.length).toBe(chain.size);
    expect(sorted(found)).toEqual(sorted([...chain]));
  }
}

function sorted(positions: readonly Position[]): Position[] {
  return positions.toSorted((a, b) => a - b);
}

function isSameKey(a: Key | undefined, b: Key | undefined): boolean {
  return a !== undefined && a.type === b?.type && a.stateKey === b.stateKey;
}

const CREATE = { type: 'm.room.create', stateKey: '', auth: [] };
const member = (user: number, ...auth: readonly number[]) => ({ type: 'm.room.member', stateKey: `@${user}:x`, auth });
const levels = (...auth: readonly number[]) => ({ type: 'm.room.power_levels', stateKey: '', auth });

const KEYS: readonly Key[] = [
  { type: 'm.room.power_levels', stateKey: '' },
  { type: 'm.room.join_rules', stateKey: '' },
  ...Array.from({ length: 4 }, (_, user) => ({ type: 'm.room.member', stateKey: `@${user}:x` })),
];

interface Spec {
  readonly key: number;
  /** How far back the auth events are: near ones make chains, far ones forks. */
  readonly near: readonly number[];
  readonly far: readonly number[];
  /** Whether it cites the last event of its key, as honest servers do. */
  readonly isHonest: boolean;
}

const anySpec = fc.record<Spec>({
  key: fc.nat(KEYS.length - 1),
  near: fc.array(fc.nat(3), { maxLength: 3 }),
  far: fc.array(fc.nat(), { maxLength: 2 }),
  isHonest: fc.boolean(),
});
const anyGraph = fc.array(anySpec, { minLength: 1, maxLength: 60 });
const anyEvents = fc.array(fc.nat(), { maxLength: 5 });

function roomOf(specs: readonly Spec[]): TestRoom {
  const room = new TestRoom();
  const made: Key[] = [CREATE];
  room.add([
    CREATE,
    ...specs.map(({ key, near, far, isHonest }) => {
      const at = KEYS[key] as Key;
      const before = isHonest ? made.findLastIndex((other) => isSameKey(other, at)) : -1;
      const auth = [
        ...near.map((back) => Math.max(0, made.length - 1 - back)),
        ...far.map((index) => index % made.length),
        ...(before < 0 ? [] : [before]),
      ];
      made.push(at);
      return { ...at, auth: [...new Set(auth)] };
    }),
  ]);
  return room;
}

describe('in any graph', () => {
  it('the auth chain difference is what a walk finds', () => {
    const anyStates = fc.record({ own: fc.array(anyEvents, { maxLength: 5 }), shared: anyEvents });
    fc.assert(
      fc.property(anyGraph, fc.array(anyStates, { minLength: 6, maxLength: 6 }), (specs, asked) => {
        const room = roomOf(specs);
        const events = (indexes: readonly number[]) => indexes.map((index) => room.at(index % room.events.length));
        for (const { own, shared } of asked) room.expectDifference(own.map(events), onePerKey(room, events(shared)));
      }),
      { numRuns: 300 },
    );
  });

  it('what the shared state holds is the same from above and from below', () => {
    fc.assert(
      fc.property(anyGraph, anyEvents, fc.nat(6), (specs, indexes, maxCitations) => {
        const room = roomOf(specs);
        const events = onePerKey(
          room,
          indexes.map((index) => room.at(index % room.events.length)),
        );
        const shared = room.shared(events, true);
        const floorsWith = (most: number | undefined): number[] => {
          const floor = new SharedFloor(new ChainGraph(tables.reader, room.room), shared, most);
          return room.events.map(({ position }) => floor.of(position));
        };
        expect(floorsWith(maxCitations)).toEqual(floorsWith(undefined));
      }),
      { numRuns: 200 },
    );
  });

  it('the conflicted subgraph is what a walk finds', () => {
    fc.assert(
      fc.property(anyGraph, fc.array(anyEvents, { minLength: 6, maxLength: 6 }), (specs, asked) => {
        const room = roomOf(specs);
        for (const indexes of asked) room.expectSubgraph(indexes.map((index) => room.at(index % room.events.length)));
      }),
      { numRuns: 300 },
    );
  });

  it('the conflicted subgraph is so too where less is behind the events than rests on them, and the other way round', () => {
    const large = fc.array(anySpec, { minLength: 250, maxLength: 300 });
    const few = fc.array(fc.nat(10), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(large, few, (specs, indexes) => {
        const room = roomOf(specs);
        room.expectSubgraph(indexes.map((index) => room.at(index)));
        room.expectSubgraph(indexes.map((index) => room.at(room.events.length - 1 - index)));
        room.expectSubgraph(indexes.map((index) => room.at(index * 20)));
      }),
      { numRuns: 20 },
    );
  });

  it('the auth chain is what a walk finds', () => {
    fc.assert(
      fc.property(anyGraph, anyEvents, (specs, indexes) => {
        const room = roomOf(specs);
        room.expectChain(indexes.map((index) => room.at(index % room.events.length)));
        for (const { position, auth } of room.events)
          expect(sorted(authEventsOf(tables.reader, position))).toEqual(sorted(auth));
      }),
      { numRuns: 100 },
    );
  });
});

/** A state has one event for a key. */
function onePerKey(room: TestRoom, events: readonly Position[]): Position[] {
  const specOf = (event: Position) => room.events.find(({ position }) => position === event);
  return events.filter((event, index) =>
    events.slice(0, index).every((other) => !isSameKey(specOf(other), specOf(event))),
  );
}

describe('events', () => {
  it('that are not known are passed over', () => {
    const room = new TestRoom();
    room.add([CREATE, levels(0)]);
    tables.write((tx) => addToAuthChains(tx, room.room, 77, levels(), [78, room.at(1), 77]));
    expect(authEventsOf(tables.reader, 77)).toEqual([room.at(1)]);
    expect(authEventsOf(tables.reader, 78)).toEqual([]);
    expect(isIndexed(tables.reader, 77)).toBe(true);
    expect(isIndexed(tables.reader, 78)).toBe(false);
    expect([...authChainOf(tables.reader, room.room, [78])]).toEqual([]);
    expect(authChainDifference(tables.reader, room.room, [[78], [77]], room.shared([], true))).toEqual([
      77,
      ...sorted([room.at(0), room.at(1)]),
    ]);
    expect(conflictedSubgraph(tables.reader, room.room, new Set([78]))).toEqual([]);
  });

  it('stay as they were first taken in', () => {
    const room = new TestRoom();
    room.add([CREATE, levels(0), levels(1)]);
    const before = tables.rowCount();
    tables.write((tx) => addToAuthChains(tx, room.room, room.at(2), levels(), [room.at(0)]));
    expect(tables.rowCount()).toBe(before);
    expect(authEventsOf(tables.reader, room.at(2))).toEqual([room.at(1)]);
  });

  it('of one key are one chain as long as each cites the last, and links are kept only where they say more', () => {
    const room = new TestRoom();
    room.add([CREATE, member(0, 0), levels(0, 1), levels(0, 1, 2), member(1, 0, 3), member(1, 0, 3, 4)]);
    const prefix = [room.room] as const;
    const chains = new Set(Array.from(tables.reader.keys(authChains, { prefix }), ([, chain]) => chain));
    expect(chains.size).toBe(4);
    expect(tables.reader.count(authLinks, { prefix })).toBe(0);
    // The first member cites the create event, the levels the member, and the second member the levels.
    expect(tables.reader.count(authCitations, { prefix })).toBe(3);
  });
});

describe('what many events rest on', () => {
  /** Power levels that follow each other, and members who cite them. */
  function room(): TestRoom {
    const made = new TestRoom();
    made.add([CREATE, member(0, 0), levels(0, 1), levels(0, 1, 2)]);
    made.add(Array.from({ length: 300 }, (_, user) => member(user + 1, 0, 3)));
    made.add([levels(0, 1, 3), levels(0, 1, 3)]);
    return made;
  }

  it('is in the shared state if any of them is, whichever', () => {
    const made = room();
    const states = [[made.at(304)], [made.at(305)]];
    for (const user of [1, 2, 64, 65, 128, 129, 200, 300])
      made.expectDifference(states, [made.at(0), made.at(user + 3)]);
    made.expectDifference(states, [made.at(0)]);
  });

  it('is so too by way of another that they rest on', () => {
    const made = new TestRoom();
    made.add([CREATE, member(0, 0), levels(0, 1), member(1, 2)]);
    made.add(Array.from({ length: 300 }, (_, user) => member(user + 2, 3)));
    made.add([levels(2), levels(2)]);
    for (const user of [0, 63, 64, 128, 299])
      made.expectDifference([[made.at(304)], [made.at(305)], []], [made.at(4 + user)]);
  });

  it('is no difference if a hundred states have it, shared or not', () => {
    const made = room();
    const states = Array.from({ length: 100 }, (_, user) => [made.at(304), made.at(4 + user)]);
    made.expectDifference(states, []);
    made.expectDifference([...states, [made.at(305)]], [made.at(0)]);
  });
});

describe('a hostile graph', () => {
  it('of a hundred thousand events in a row is no deeper than any other', () => {
    const room = new TestRoom();
    const length = 100_000;
    room.add([CREATE, member(0, 0)]);
    room.add(Array.from({ length }, (_, index) => levels(0, 1, ...(index === 0 ? [] : [index + 1]))));
    const last = room.at(length + 1);
    const before = room.at(length);
    const shared = room.shared([room.at(0), room.at(1)], true);
    expect(authChainDifference(tables.reader, room.room, [[last], [before]], shared)).toEqual([last]);
    expect(conflictedSubgraph(tables.reader, room.room, new Set([last, before]))).toEqual(sorted([last, before]));
    expect([...authChainOf(tables.reader, room.room, [last])]).toHaveLength(length + 1);
  });

  it('of ever so many events that rest on one and are in no state is not read whole', () => {
    const room = new TestRoom();
    const users = 200;
    room.add([
      CREATE,
      member(0, 0),
      levels(0, 1),
      ...Array.from({ length: users }, (_, user) => member(user + 1, 0, 2)),
    ]);
    const ends = room.events.length;
    room.add([member(1, 0, 2, 3), member(1, 0, 2, 3)]);
    // All of them invited, and none in a state that is asked about.
    const dead = 2 * MAX_CITATIONS;
    room.add(Array.from({ length: dead }, (_, user) => member(1000 + user, 0, 2, ends)));
    const states = [[room.at(ends)], [room.at(ends + 1)]];
    const events = [0, 1, 2, ...Array.from({ length: users - 1 }, (_, user) => user + 4)].map((index) =>
      room.at(index),
    );
    room.expectDifference(states, events);
    const counting = countingReader(tables.reader);
    authChainDifference(counting.reader, room.room, states, room.shared(events, true));
    expect(counting.count).toBeLessThan(dead);
  });

  it('above events or below them is not read, if the other is smaller', () => {
    const room = new TestRoom();
    const length = 3000;
    room.add([CREATE, member(0, 0), levels(0, 1)]);
    // Each invited by the one before, with power levels in between.
    room.add(
      Array.from({ length }, (_, user) => (user % 10 === 9 ? levels(0, user + 2) : member(user + 1, 0, user + 2))),
    );
    const readFor = (...events: readonly Position[]): number => {
      const counting = countingReader(tables.reader);
      conflictedSubgraph(counting.reader, room.room, new Set(events));
      return counting.count;
    };
    expect(readFor(room.at(length), room.at(length + 1))).toBeLessThan(1000);
    expect(readFor(room.at(1), room.at(3))).toBeLessThan(1000);
    expect(readFor(room.at(1), room.at(length))).toBeGreaterThan(length);
  });

  it('in which nothing is a chain is answered as well', () => {
    const room = new TestRoom();
    room.add([CREATE, member(0, 0), levels(0, 1)]);
    // A thousand power levels that all follow the same, and members that each cite ten of them.
    room.add(Array.from({ length: 1000 }, () => levels(0, 1, 2)));
    room.add(
      Array.from({ length: 300 }, (_, user) =>
        member(user + 1, 0, ...Array.from({ length: 10 }, (_, at) => 3 + ((user * 37 + at * 101) % 1000))),
      ),
    );
    const at = (...indexes: readonly number[]) => indexes.map((index) => room.at(index));
    room.expectDifference([at(1003, 500), at(1004, 501), at(1005)], at(0, 1, 1006, 1007));
    room.expectDifference(
      Array.from({ length: 1000 }, (_, fork) => at(3 + fork)),
      at(0, 1, 1200),
    );
    room.expectSubgraph(at(2, 500, 1003, 1100));
  });
});
