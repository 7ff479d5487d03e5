import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { chainLinksOf } from '#protocol/state-resolution/auth-chain.ts';
import { type ResolutionEvent, resolveStates, type StateEntry } from '#protocol/state-resolution/index.ts';
import { ANN, BOB, CREATE_ID, type EventSpec, TestRoom } from '#protocol/state-resolution/room.test-support.ts';
import type { Position } from '#streams/event-log.ts';
import { addToAuthChains } from '../auth-chains/index.ts';
import { openTables, type TestTables } from './environment.test-support.ts';
import { appendToMainLine, extendState, MAIN_LINE, type StateChange, type StateRef, stateEntriesAt } from './index.ts';
import { explainStatesAt, type ResolutionLookups, resolveStatesAt } from './resolve-states.ts';

let tables: TestTables;
beforeEach(async () => {
  tables = await openTables();
});
afterEach(() => tables.close());

let nextRoom = 1;

interface StoredState {
  readonly ref: StateRef;
  /** Slot → event id. */
  readonly map: ReadonlyMap<string, string>;
}

/** A room whose states are stored, beside the same in the protocol's terms. */
class StoredRoom {
  readonly plain: TestRoom;
  readonly room = nextRoom++;
  readonly states: StoredState[] = [{ ref: { branch: MAIN_LINE, version: 0 }, map: new Map() }];
  readonly ids: string[] = [];
  readonly #positions = new Map<string, Position>();
  readonly #events = new Map<Position, ResolutionEvent>();
  #newest = 0;

  constructor(rules: RoomVersionRules) {
    this.plain = new TestRoom(rules);
    for (const id of this.plain.addUsual()) {
      this.#index(id);
      this.extend(this.#newest, [id]);
    }
  }

  get lookups(): ResolutionLookups {
    return {
      eventAt: (position) => this.#events.get(position),
      positionOf: (eventId) => this.#positions.get(eventId),
    };
  }

  add(spec: EventSpec): void {
    this.plain.add(spec);
    this.#index(spec.id);
  }

  /** The state `from` with events; from the newest of the main line on, or as a branch. */
  extend(from: number, ids: readonly string[]): StoredState {
    const parent = this.states[from] as StoredState;
    const map = new Map(parent.map);
    const changes = ids.map((id): StateChange => {
      const { type, stateKey } = this.plain.lookup(id) as ResolutionEvent;
      map.set(JSON.stringify([type, stateKey]), id);
      return { type, stateKey, event: this.#positions.get(id) };
    });
    const isMain = from === this.#newest && parent.ref.branch === MAIN_LINE;
    const ref = tables.write((tx) =>
      isMain
        ? { branch: MAIN_LINE, version: appendToMainLine(tx, this.room, parent.ref.version, changes) }
        : extendState(tx, this.room, parent.ref, changes),
    );
    const state = { ref, map };
    this.states.push(state);
    if (isMain) this.#newest = this.states.length - 1;
    return state;
  }

  /** What the protocol makes of the whole states. */
  expected(states: readonly StoredState[]): string[] {
    const whole = states.map(({ map }): StateEntry[] => this.plain.state(...map.values()));
    return resolveStates(whole, this.plain.context()).state.map(({ eventId }) => eventId);
  }

  /** What the stored states come to: the changes, made to the first of them. */
  found(states: readonly StoredState[]): (string | undefined)[] {
    const refs = states.map(({ ref }) => ref);
    const changes = resolveStatesAt(tables.reader, this.room, refs, this.plain.rules, this.lookups);
    const resolved = tables.write((tx) => extendState(tx, this.room, refs[0] as StateRef, changes));
    return Array.from(
      stateEntriesAt(tables.reader, this.room, resolved),
      ({ event }) => this.#events.get(event)?.eventId,
    );
  }

  #index(id: string): void {
    const event = this.plain.lookup(id) as ResolutionEvent;
    const position = this.room * 100_000 + this.ids.length;
    this.ids.push(id);
    this.#positions.set(id, position);
    this.#events.set(position, event);
    const auth = chainLinksOf(event, this.plain.rules).flatMap((authId) => this.#positions.get(authId) ?? []);
    tables.write((tx) => addToAuthChains(tx, this.room, position, event, auth));
  }
}

interface AnyEvent {
  readonly slot: Pick<EventSpec, 'type' | 'stateKey'>;
  readonly sender: string;
  readonly membership: string;
  readonly joinRule: string;
  readonly level: number;
  readonly auth: readonly number[];
  readonly at: number;
  readonly depth: number;
  readonly rejected: boolean;
  /** The state that it follows. */
  readonly from: number;
}

const anyEvent = fc.record<AnyEvent>({
  slot: fc.constantFrom<AnyEvent['slot']>(
    { type: 'm.room.power_levels' },
    { type: 'm.room.join_rules' },
    { type: 'm.room.topic' },
    { type: 'm.room.member', stateKey: ANN },
    { type: 'm.room.member', stateKey: BOB },
  ),
  sender: fc.constantFrom(ANN, BOB),
  membership: fc.constantFrom('join', 'leave', 'ban', 'invite'),
  joinRule: fc.constantFrom('public', 'invite'),
  level: fc.integer({ min: 0, max: 101 }),
  auth: fc.array(fc.nat(), { maxLength: 3 }),
  at: fc.nat(5),
  depth: fc.nat(5),
  rejected: fc.boolean(),
  from: fc.nat(),
});

test.each(SUPPORTED_ROOM_VERSIONS)(
  'in any forked room of version %s, stored states resolve as whole ones do',
  (version) => {
    const rules = roomVersionRules(version) as RoomVersionRules;
    const anyStates = fc.array(fc.nat(), { minLength: 1, maxLength: 5 });
    const asked = fc.array(anyStates, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(anyEvent, { minLength: 2, maxLength: 20 }), asked, (events, questions) => {
        const room = new StoredRoom(rules);
        for (const [index, event] of events.entries()) {
          const { slot, sender, membership, joinRule, level, auth, at, depth, rejected, from } = event;
          const content = { membership, join_rule: joinRule, users: { [BOB]: level, [ANN]: 100 } };
          const named = [...new Set(auth.map((nat) => room.ids[nat % room.ids.length] as string))];
          const id = `$e${index}`;
          room.add({ id, ...slot, sender, content, auth: named, at, depth, rejected: rejected && index % 4 === 0 });
          // The newest of the main line, or any state.
          room.extend(from % 3 === 0 ? room.states.length - 1 : from % room.states.length, [id]);
        }
        for (const question of questions) {
          const states = question.map((nat) => room.states[nat % room.states.length] as StoredState);
          expect(room.found(states).sort()).toEqual(room.expected(states).sort());
        }
      }),
      { numRuns: 25 },
    );
  },
);

describe('states of a room', () => {
  const rules = roomVersionRules('11') as RoomVersionRules;

  /** A ban on one side, a topic of the banned one on the other. */
  function forked(): { room: StoredRoom; banned: StoredState; talking: StoredState } {
    const room = new StoredRoom(rules);
    const auth = ['$ann', '$levels', '$bob'];
    room.add({ id: '$ban', type: 'm.room.member', stateKey: BOB, content: { membership: 'ban' }, auth, at: 20 });
    room.add({ id: '$topic', type: 'm.room.topic', sender: BOB, content: { topic: 't' }, auth: auth.slice(1), at: 10 });
    const from = room.states.length - 1;
    return { room, banned: room.extend(from, ['$ban']), talking: room.extend(from, ['$topic']) };
  }

  test('resolve to changes of whichever comes first', () => {
    const { room, banned, talking } = forked();
    const resolve = (...states: readonly StoredState[]) =>
      resolveStatesAt(
        tables.reader,
        room.room,
        states.map(({ ref }) => ref),
        rules,
        room.lookups,
      );
    expect(resolve(banned, talking)).toEqual([]);
    expect(resolve(talking, banned)).toEqual([
      { type: 'm.room.member', stateKey: BOB, event: room.lookups.positionOf('$ban') },
      { type: 'm.room.topic', stateKey: '', event: undefined },
    ]);
    expect(resolve(talking, talking)).toEqual([]);
    expect(resolve()).toEqual([]);
  });

  test('tell why they came to what they are', () => {
    const { room, banned, talking } = forked();
    const refs = [banned.ref, talking.ref];
    const explain = (trace: boolean) =>
      explainStatesAt(tables.reader, room.room, refs, rules, room.lookups, { trace })?.resolution;
    expect(explain(true)?.steps.find(({ eventId }) => eventId === '$topic')).toMatchObject({
      verdict: { allowed: false },
    });
    expect(explain(true)?.changes.map(({ stateKey }) => stateKey)).toEqual([BOB, '']);
    expect(explain(false)?.steps).toEqual([]);
    expect(explainStatesAt(tables.reader, room.room, [], rules, room.lookups)).toBeUndefined();
  });

  test('are told with the fewest changes, to whichever takes them', () => {
    const { room, banned, talking } = forked();
    const nearestOf = (...states: readonly StoredState[]) => {
      const refs = states.map(({ ref }) => ref);
      return explainStatesAt(tables.reader, room.room, refs, rules, room.lookups);
    };
    expect(nearestOf(talking, banned)).toMatchObject({ nearest: banned.ref, changes: [] });
    expect(nearestOf(banned, talking)).toMatchObject({ nearest: banned.ref, changes: [] });
    expect(nearestOf(talking, talking)).toMatchObject({ nearest: talking.ref, changes: [] });
  });

  test('whose events have no row any more resolve as if they had none there', () => {
    const { room, banned, talking } = forked();
    const lookups: ResolutionLookups = {
      ...room.lookups,
      eventAt: (position) =>
        position === room.lookups.positionOf('$ban') ? undefined : room.lookups.eventAt(position),
    };
    const refs = [banned.ref, talking.ref];
    const changes = resolveStatesAt(tables.reader, room.room, refs, rules, lookups);
    expect(changes.map(({ event }) => event)).toEqual([
      room.lookups.positionOf('$bob'),
      room.lookups.positionOf('$topic'),
    ]);
  });

  test('look up no more events than the conflict asks for', () => {
    const { room, banned, talking } = forked();
    const asked = new Set<string>();
    const lookups: ResolutionLookups = {
      positionOf: room.lookups.positionOf,
      keyAt: (position) => room.lookups.eventAt(position),
      eventAt: (position) => {
        const event = room.lookups.eventAt(position);
        if (event !== undefined) asked.add(event.eventId);
        return event;
      },
    };
    for (let user = 0; user < 200; user += 1) {
      const content = { membership: 'join' };
      const stateKey = `@u${user}:c.org`;
      room.add({
        id: `$u${user}`,
        type: 'm.room.member',
        stateKey,
        sender: stateKey,
        content,
        auth: ['$levels', '$rules'],
      });
    }
    const joins = Array.from({ length: 200 }, (_, user) => `$u${user}`);
    const states = [banned, talking].map((state) => room.extend(room.states.indexOf(state), joins));
    const refs = states.map(({ ref }) => ref);
    resolveStatesAt(tables.reader, room.room, refs, rules, lookups);
    expect([...asked].filter((id) => id.startsWith('$u'))).toEqual([]);
    expect(asked).toContain('$ban');
    expect(asked).toContain(CREATE_ID);
  });
});
