/** What the index of auth chains costs, and what it answers in rooms of some size. */

import {
  addToAuthChains,
  authChainDifference,
  authChainOf,
  authChainTables,
  conflictedSubgraph,
  type SharedEvents,
} from '#projections/rooms/auth-chains/index.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { plainAuthGraph, type ResolutionEvent } from '#protocol/state-resolution/index.ts';
import type { BenchResult } from './result.ts';
import { cpuUs, cpuUsPerRun, openRoomTables, type RoomTables, seededRandom } from './room-tables.ts';

const ROOM = 1;
const EVENTS_PER_COMMIT = 100;

interface GraphEvent {
  readonly type: string;
  readonly stateKey: string;
  readonly auth: readonly number[];
}

/** A room as servers make it: members join, some change, moderators send power levels; auth events as they are selected. */
class BenchGraph {
  readonly events: GraphEvent[] = [];
  /** Key → its event. */
  readonly state = new Map<string, number>();
  readonly #random = seededRandom(11);
  readonly #moderators = 10;

  constructor(members: number, events: number) {
    this.add('m.room.create', '');
    this.member(0);
    this.add('m.room.power_levels', '', this.at('m.room.member', '@0'));
    this.add('m.room.join_rules', '', this.at('m.room.power_levels', ''), this.at('m.room.member', '@0'));
    for (let user = 1; user < members; user += 1) this.member(user);
    while (this.events.length < events) {
      const what = this.#random();
      if (what < 0.02) this.levels();
      else if (what < 0.03) this.topic();
      else this.member(Math.floor(this.#random() * members));
    }
  }

  levels(): number {
    const by = this.at('m.room.member', `@${Math.floor(this.#random() * this.#moderators)}`);
    return this.add('m.room.power_levels', '', this.at('m.room.power_levels', ''), by);
  }

  topic(): number {
    return this.add('m.room.topic', '', this.at('m.room.power_levels', ''), this.at('m.room.member', '@0'));
  }

  member(user: number): number {
    const before = this.at('m.room.member', `@${user}`);
    return this.add(
      'm.room.member',
      `@${user}`,
      this.at('m.room.power_levels', ''),
      this.at('m.room.join_rules', ''),
      before,
    );
  }

  at(type: string, stateKey: string): number | undefined {
    return this.state.get(`${type} ${stateKey}`);
  }

  add(type: string, stateKey: string, ...auth: readonly (number | undefined)[]): number {
    const index = this.events.length;
    const cited = new Set([...(index === 0 ? [] : [0]), ...auth.filter((event) => event !== undefined)]);
    this.events.push({ type, stateKey, auth: [...cited] });
    this.state.set(`${type} ${stateKey}`, index);
    return index;
  }
}

export async function runAuthChainsBench(): Promise<readonly BenchResult[]> {
  return [
    await forkResult('auth chain difference, a recent fork among 100,000 state events', 20_000, 100_000),
    await forkResult('auth chain difference, a recent fork in a room of 10,000 members', 10_000, 10_100),
    await longChainResult(),
  ];
}

async function forkResult(name: string, members: number, count: number): Promise<BenchResult> {
  const graph = new BenchGraph(members, count);
  const tables = await openRoomTables();
  try {
    const addUs = indexAll(tables, graph.events) / graph.events.length;
    const bytes = tables.bytesOf(authChainTables) / graph.events.length;
    const indexed = graph.events.length;
    const fork = forkOf(graph);
    indexAll(tables, graph.events, indexed);
    const difference = authChainDifference(tables.reader, ROOM, fork.own, fork.shared);
    const us = cpuUsPerRun(() => authChainDifference(tables.reader, ROOM, fork.own, fork.shared));
    const subgraphUs = cpuUsPerRun(() => conflictedSubgraph(tables.reader, ROOM, new Set(fork.own.flat())));
    const walkUs = cpuUsPerRun(() => walk(graph, fork));
    if (walk(graph, fork).size !== difference.length) throw new Error('the index and the walk do not agree');
    let visited = graph.state.size;
    const chainUs = cpuUs(() => {
      for (const _ of authChainOf(tables.reader, ROOM, graph.state.values())) visited += 1;
    });
    return {
      name,
      figure: us / 1000,
      unit: 'ms',
      ceiling: walkUs / 1000,
      ceilingName: 'a walk over the graph, all in memory',
      ratio: us / walkUs,
      details: {
        'events in the difference': difference.length,
        'conflicted subgraph, ms': subgraphUs / 1000,
        'auth chain of the whole state, ms': chainUs / 1000,
        'events in state and chain': visited,
        'adding an event, µs': addUs,
        'bytes an event': bytes,
      },
    };
  } finally {
    await tables.close();
  }
}

/** Power levels that follow each other a hundred thousand times; two states that part at the last but one. */
async function longChainResult(): Promise<BenchResult> {
  const length = 100_000;
  const graph = new BenchGraph(2, 4);
  while (graph.events.length < length) graph.levels();
  const tables = await openRoomTables();
  try {
    const addUs = indexAll(tables, graph.events) / length;
    const own = [[length - 1], [length - 2]];
    const shared = sharedOf(graph, new Set(['m.room.power_levels ']));
    const us = cpuUsPerRun(() => authChainDifference(tables.reader, ROOM, own, shared));
    const walkUs = cpuUsPerRun(() => walk(graph, { own, shared, events: [...graph.state.values()].slice(0, 2) }));
    return {
      name: 'auth chain difference, 100,000 power levels in a row',
      figure: us / 1000,
      unit: 'ms',
      ceiling: walkUs / 1000,
      ceilingName: 'a walk over the graph, all in memory',
      ratio: us / walkUs,
      details: { 'adding an event, µs': addUs, 'bytes an event': tables.bytesOf(authChainTables) / length },
    };
  } finally {
    await tables.close();
  }
}

interface Fork {
  readonly own: readonly (readonly number[])[];
  readonly shared: SharedEvents;
  /** The events of the shared state. */
  readonly events: readonly number[];
}

/** On one side power levels, then joins and a ban under them; on the other joins and a topic. */
function forkOf(graph: BenchGraph): Fork {
  const before = new Map(graph.state);
  const sides = [
    [graph.levels(), ...Array.from({ length: 10 }, (_, user) => graph.member(user + 20))],
    [],
  ] as number[][];
  for (const [key, event] of before) graph.state.set(key, event);
  sides[1] = [graph.topic(), ...Array.from({ length: 10 }, (_, user) => graph.member(user + 25))];
  const keyOf = (event: number): string => `${graph.events[event]?.type} ${graph.events[event]?.stateKey}`;
  const conflicted = new Set(sides.flat().map(keyOf));
  const own = sides.map((side) => {
    const state = new Map(before);
    for (const event of side) state.set(keyOf(event), event);
    return [...conflicted].map((key) => state.get(key)).filter((event) => event !== undefined);
  });
  for (const key of conflicted) {
    const event = before.get(key);
    if (event !== undefined) graph.state.set(key, event);
  }
  const events = [...before].filter(([key]) => !conflicted.has(key)).map(([, event]) => event);
  return { own, events, shared: sharedOf(graph, conflicted) };
}

function sharedOf(graph: BenchGraph, conflicted: ReadonlySet<string>): SharedEvents {
  const ofSameKey = (event: number): number | undefined => {
    const key = `${graph.events[event]?.type} ${graph.events[event]?.stateKey}`;
    return conflicted.has(key) ? undefined : graph.state.get(key);
  };
  return { ofSameKey, has: (event) => ofSameKey(event) === event };
}

function indexAll(tables: RoomTables, events: readonly GraphEvent[], from = 0): number {
  return cpuUs(() => {
    for (let first = from; first < events.length; first += EVENTS_PER_COMMIT) {
      tables.write((tx) => {
        for (let at = first; at < Math.min(first + EVENTS_PER_COMMIT, events.length); at += 1) {
          const event = events[at] as GraphEvent;
          addToAuthChains(tx, ROOM, at, event, event.auth);
        }
      });
    }
  });
}

/** What the index spares: the same answer by walking. */
function walk(graph: BenchGraph, fork: Fork): Set<string> {
  const rules = roomVersionRules('11');
  if (rules === undefined) throw new Error('room version 11 is unknown');
  const lookup = (eventId: string): ResolutionEvent | undefined => {
    const event = graph.events[Number(eventId)];
    return event && ({ eventId, ...event, authEventIds: event.auth.map(String) } as unknown as ResolutionEvent);
  };
  const shared = { get: () => undefined, eventIds: () => fork.events.map(String) };
  const own = fork.own.map((side) => side.map(String));
  return new Set(plainAuthGraph(lookup, rules).authChainDifference(own, shared));
}
