import fc from 'fast-check';
import { expect, test } from 'vitest';
import { differenceOf, plainAuthGraph, type StateEntry } from '#protocol/state-resolution/index.ts';
import { OrderedAuthGraph } from './ordered-auth-graph.ts';
import { RoomFile } from './room.test-support.ts';
import { resolutionEventOf } from './room-event.ts';

const anyGraph = fc.record({
  version: fc.constantFrom('2', '11', '12'),
  events: fc.array(fc.record({ slot: fc.nat(4), auth: fc.array(fc.nat(), { maxLength: 4 }) }), {
    minLength: 1,
    maxLength: 30,
  }),
  states: fc.array(fc.array(fc.nat(), { maxLength: 8 }), { minLength: 2, maxLength: 40 }),
  conflicted: fc.array(fc.nat(), { maxLength: 6 }),
});

test('it answers what walking the whole graph answers', () => {
  fc.assert(
    fc.property(anyGraph, ({ version, events, states, conflicted }) => {
      const room = new RoomFile(version);
      const ids = ['$ann', '$levels', '$rules'];
      for (const [index, { slot, auth }] of events.entries()) {
        const named = new Set(auth.map((nat) => ids[nat % ids.length] as string));
        ids.push(room.add({ id: `$${index}`, type: 'org.example', stateKey: `${slot}`, auth: [...named] }));
      }
      const graph = new OrderedAuthGraph(room.rules);
      const known = room.events();
      for (const event of known.values()) graph.add(event);
      const lookup = (eventId: string) => {
        const event = known.get(eventId);
        return event === undefined ? undefined : resolutionEventOf(event, false);
      };
      const plain = plainAuthGraph(lookup, room.rules);

      const entries = states.map((state) => {
        const bySlot = new Map<string, StateEntry>();
        for (const nat of state) {
          const event = lookup(ids[nat % ids.length] as string);
          if (event !== undefined) bySlot.set(JSON.stringify([event.type, event.stateKey]), event);
        }
        return [...bySlot.values()];
      });
      const { conflicts, shared, stateCount } = differenceOf(entries);
      const own = Array.from({ length: stateCount }, (_, state) =>
        conflicts.flatMap(({ eventIds }) => eventIds[state] ?? []),
      );
      expect(sorted(graph.authChainDifference(own, shared))).toEqual(sorted(plain.authChainDifference(own, shared)));

      const some = new Set([...conflicted.map((nat) => ids[nat % ids.length] as string), '$unknown']);
      expect(sorted(graph.conflictedSubgraph(some))).toEqual(sorted(plain.conflictedSubgraph(some)));
    }),
    { numRuns: 300 },
  );
});

function sorted(ids: Iterable<string>): string[] {
  return [...ids].sort();
}
