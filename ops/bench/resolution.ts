/** How long it takes to resolve forks of large rooms, from rows to rows. */
import { defineTable, json, str, tuple, u48 } from '#projections/engine/table.ts';
import { addToAuthChains } from '#projections/rooms/auth-chains/index.ts';
import {
  appendToMainLine,
  differenceBetween,
  extendState,
  MAIN_LINE,
  type StateChange,
  type StateRef,
  stateEntriesAt,
} from '#projections/rooms/state/index.ts';
import { type ResolutionLookups, resolveStatesAt } from '#projections/rooms/state/resolve-states.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import {
  plainAuthGraph,
  type ResolutionEvent,
  resolveDifference,
  resolveStates,
  type StateDifference,
} from '#protocol/state-resolution/index.ts';
import type { BenchResult } from './result.ts';
import { cpuUsPerRun, openRoomTables, type RoomTables, seededRandom } from './room-tables.ts';

const ROOM = 1;
/** The room id of which the first event, `$0`, is the create event, in room version 12 too. */
const ROOM_ID = '!0';
const CREATOR = '@member0:bench.invalid';
const MODERATORS = 10;
const STATE_EVENTS_PER_COMMIT = 100;
const FORKS = 1_000;

const eventRows = defineTable({
  name: 'bench.events',
  key: tuple<[event: number]>(u48),
  value: json<ResolutionEvent>(),
  why: 'Events as resolution reads them, to be parsed like those of the server.',
});
const eventIds = defineTable({
  name: 'bench.event-ids',
  key: tuple<[eventId: string]>(str),
  value: u48,
  why: 'Resolution names events by id.',
});

export async function runResolutionBench(): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const version of ['11', '12']) results.push(await recentFork(version), await manyForks(version));
  return results;
}

/** Both sides of a partition of some minutes: bans and power levels on one, joins, changes and a topic on both. */
async function recentFork(version: string): Promise<BenchResult> {
  const tables = await openRoomTables([eventRows, eventIds]);
  try {
    const room = new BenchRoom(tables, version, 10_000, 30_000);
    const before = room.main;
    const here = room.fork(before, (side) => {
      side.levels(1);
      for (let user = 0; user < 5; user += 1) side.ban(9_000 + user);
      for (let user = 0; user < 20; user += 1) side.member(5_000 + user, 'join');
    });
    const there = room.fork(before, (side) => {
      side.topic(2);
      for (let user = 0; user < 5; user += 1) side.member(9_000 + user, 'leave');
      for (let user = 0; user < 20; user += 1) side.member(5_010 + user, 'join');
    });
    return room.result(`resolution of a recent fork, 30,000 state events, 10,000 members, version ${version}`, [
      here,
      there,
    ]);
  } finally {
    await tables.close();
  }
}

/** A thousand servers each of which says something else about the same moment. */
async function manyForks(version: string): Promise<BenchResult> {
  const tables = await openRoomTables([eventRows, eventIds]);
  try {
    const room = new BenchRoom(tables, version, 5_000, 6_000);
    const before = room.main;
    const forks = Array.from({ length: FORKS }, (_, fork) =>
      room.fork(before, (side) => {
        if (fork % 100 === 0) side.levels(fork % MODERATORS);
        else if (fork % 10 === 0) side.topic(fork % MODERATORS);
        else side.member(1_000 + fork, 'join');
      }),
    );
    return room.result(
      `resolution of ${FORKS.toLocaleString('en')} forks of a 5,000-member room, version ${version}`,
      forks,
    );
  } finally {
    await tables.close();
  }
}

/** What one side of a fork can say. */
interface Side {
  levels(by: number): void;
  topic(by: number): void;
  ban(user: number): void;
  member(user: number, membership: string): void;
}

/** A room with its states and its index. Everything an event cites is in the state that it follows. */
class BenchRoom {
  main: StateRef = { branch: MAIN_LINE, version: 0 };
  readonly #tables: RoomTables;
  readonly #rules: RoomVersionRules;
  readonly #random = seededRandom(17);
  readonly #all = new Map<string, ResolutionEvent>();
  /** Key → event id, of the main line and, while a side is made, of that. */
  #state = new Map<string, string>();
  #pending: { event: ResolutionEvent; change: StateChange }[] = [];
  #next = 0;

  constructor(tables: RoomTables, version: string, members: number, count: number) {
    const rules = roomVersionRules(version);
    if (rules === undefined) throw new Error(`room version ${version} is unknown`);
    this.#tables = tables;
    this.#rules = rules;
    this.#add('m.room.create', '', CREATOR, { creator: CREATOR, room_version: version }, []);
    this.#member(0, 'join');
    this.#levels(0);
    this.#add('m.room.join_rules', '', CREATOR, { join_rule: 'public' }, this.#authOf(CREATOR));
    for (let user = 1; user < members; user += 1) this.#member(user, 'join');
    while (this.#next < count) {
      if (this.#random() < 0.01) this.#levels(Math.floor(this.#random() * MODERATORS));
      else this.#member(Math.floor(this.#random() * members), 'join');
      if (this.#pending.length === STATE_EVENTS_PER_COMMIT) this.#append();
    }
    this.#append();
  }

  get #lookups(): ResolutionLookups {
    const { reader } = this.#tables;
    return {
      eventAt: (position) => reader.get(eventRows, [position]),
      positionOf: (eventId) => reader.get(eventIds, [eventId]),
    };
  }

  fork(parent: StateRef, fill: (side: Side) => void): StateRef {
    const before = new Map(this.#state);
    fill({
      levels: (by) => this.#levels(by),
      topic: (by) => this.#topic(by),
      ban: (user) => this.#ban(user),
      member: (user, membership) => this.#member(user, membership),
    });
    this.#state = before;
    let ref = parent;
    const pending = this.#pending;
    this.#store((tx) => {
      for (const { change } of pending) ref = extendState(tx, ROOM, ref, [change]);
    });
    return ref;
  }

  result(name: string, refs: readonly StateRef[]): BenchResult {
    const { reader } = this.#tables;
    const resolve = () => resolveStatesAt(reader, ROOM, refs, this.#rules, this.#lookups);
    const changes = resolve();
    const us = cpuUsPerRun(resolve);
    const differences = differenceBetween(reader, ROOM, refs);
    const differenceUs = cpuUsPerRun(() => differenceBetween(reader, ROOM, refs));
    const bareUs = cpuUsPerRun(this.#bareResolution(refs));
    return {
      name,
      figure: us / 1000,
      unit: 'ms',
      ceiling: bareUs / 1000,
      ceilingName: 'the algorithm alone, all it asks for in memory',
      ratio: us / bareUs,
      details: {
        'keys that differ': differences.length,
        'changes made': changes.length,
        'finding the difference, ms': differenceUs / 1000,
        'two of the states read whole and resolved by walking, ms':
          cpuUsPerRun(() => this.#resolveWhole(refs.slice(0, 2))) / 1000,
      },
    };
  }

  /** The protocol's part, with the difference and the answers of the graph made beforehand. */
  #bareResolution(refs: readonly StateRef[]): () => void {
    const { reader } = this.#tables;
    const conflicts = differenceBetween(reader, ROOM, refs).map(({ events, ...key }) => ({
      ...key,
      eventIds: events.map((event) => (event === undefined ? undefined : `$${event}`)),
    }));
    const conflicted = new Set(conflicts.map(({ type, stateKey }) => `${type} ${stateKey}`));
    const shared = new Map<string, string>();
    for (const { type, stateKey, event } of stateEntriesAt(reader, ROOM, refs[0] as StateRef))
      if (!conflicted.has(`${type} ${stateKey}`)) shared.set(`${type} ${stateKey}`, `$${event}`);
    const difference: StateDifference = {
      stateCount: refs.length,
      conflicts,
      shared: {
        get: (type, stateKey) => shared.get(`${type} ${stateKey}`),
        eventIds: () => shared.values(),
      },
    };
    const lookup = (id: string) => this.#all.get(id);
    const context = { rules: this.#rules, event: lookup };
    const walks = plainAuthGraph(lookup, this.#rules);
    const answers: string[][] = [];
    const keep = (answer: Iterable<string>): string[] => {
      answers.push([...answer]);
      return answers.at(-1) as string[];
    };
    // Asked once in whatever order the algorithm asks.
    resolveDifference(difference, {
      ...context,
      graph: {
        authChainDifference: (own, all) => keep(walks.authChainDifference(own, all)),
        conflictedSubgraph: (events) => keep(walks.conflictedSubgraph(events)),
      },
    });
    return () => {
      let next = 0;
      const answer = () => answers[next++] as string[];
      resolveDifference(difference, {
        ...context,
        graph: { authChainDifference: answer, conflictedSubgraph: answer },
      });
    };
  }

  #resolveWhole(refs: readonly StateRef[]): void {
    const { reader } = this.#tables;
    const lookup = (id: string) => this.#all.get(id);
    const states = refs.map((ref) =>
      Array.from(stateEntriesAt(reader, ROOM, ref), ({ event, ...key }) => ({ ...key, eventId: `$${event}` })),
    );
    resolveStates(states, { rules: this.#rules, event: lookup, graph: plainAuthGraph(lookup, this.#rules) });
  }

  #append(): void {
    const pending = this.#pending;
    this.#store((tx) => {
      const changes = pending.map(({ change }) => change);
      this.main = { branch: MAIN_LINE, version: appendToMainLine(tx, ROOM, this.main.version, changes) };
    });
  }

  #store(change: Parameters<RoomTables['write']>[0]): void {
    this.#tables.write((tx) => {
      for (const { event, change: at } of this.#pending) {
        const position = at.event ?? 0;
        tx.put(eventRows, [position], event);
        tx.put(eventIds, [event.eventId], position);
        const auth = new Set(event.authEventIds.map((id) => Number(id.slice(1))));
        if (position > 0) auth.add(0);
        addToAuthChains(tx, ROOM, position, at, [...auth]);
      }
      change(tx);
    });
    this.#pending = [];
  }

  #levels(by: number): void {
    // In room version 12 the creator has no level to be named.
    const named = this.#rules.authorization.privilegedCreators ? 1 : 0;
    const users = Object.fromEntries(
      Array.from({ length: MODERATORS }, (_, user) => [userId(user), 100] as const).slice(named),
    );
    this.#add('m.room.power_levels', '', userId(by), { users, state_default: 50 }, this.#authOf(userId(by)));
  }

  #topic(by: number): void {
    this.#add('m.room.topic', '', userId(by), { topic: `${this.#next}` }, this.#authOf(userId(by)));
  }

  #ban(user: number): void {
    const auth = [...this.#authOf(CREATOR), ...this.#at('m.room.member', userId(user))];
    this.#add('m.room.member', userId(user), CREATOR, { membership: 'ban' }, auth);
  }

  #member(user: number, membership: string): void {
    const id = userId(user);
    const auth = [...this.#authOf(id), ...this.#at('m.room.join_rules', '')];
    this.#add('m.room.member', id, id, { membership, displayname: `Member ${user} (${this.#next})` }, auth);
  }

  #authOf(sender: string): string[] {
    const create = this.#rules.eventFormat.createEventInAuthEvents ? this.#at('m.room.create', '') : [];
    return [...create, ...this.#at('m.room.power_levels', ''), ...this.#at('m.room.member', sender)];
  }

  #at(type: string, stateKey: string): string[] {
    const eventId = this.#state.get(`${type} ${stateKey}`);
    return eventId === undefined ? [] : [eventId];
  }

  #add(type: string, stateKey: string, sender: string, content: JsonObject, auth: readonly string[]): void {
    const position = this.#next;
    this.#next += 1;
    const eventId = `$${position}`;
    const event: ResolutionEvent = {
      eventId,
      roomId: ROOM_ID,
      type,
      stateKey,
      sender,
      content,
      authEventIds: auth,
      prevEventIds: position === 0 ? [] : [`$${position - 1}`],
      originServerTs: 1_700_000_000_000 + position,
      depth: position + 1,
      rejected: false,
    };
    this.#all.set(eventId, event);
    this.#state.set(`${type} ${stateKey}`, eventId);
    this.#pending.push({ event, change: { type, stateKey, event: position } });
  }
}

function userId(user: number): string {
  return `@member${user}:bench.invalid`;
}
