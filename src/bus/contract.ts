/** What every driver of the bus has to do: run by the tests of each. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { type Bus, roomTopic, serverTopic, userTopic } from './bus.ts';
import { type Claim, receivingFrom, sendingTo, Turns, workTopic } from './work.ts';

/** Two nodes that are connected with each other. */
export interface ConnectedNodes {
  readonly one: Bus;
  readonly two: Bus;
  close(): Promise<void>;
}

const ROOM = roomTopic('!a:example.org');
const ALICE = userTopic('@alice:example.org');
const WORK = sendingTo('a.test');
const PATIENCE = { timeout: 10_000, interval: 5 };

/** Defines the tests for a driver. */
export function busContract(driver: string, connect: () => Promise<ConnectedNodes>): void {
  describe(`the ${driver} bus`, () => {
    let nodes: ConnectedNodes;
    let one: Bus;
    let two: Bus;
    beforeEach(async () => {
      nodes = await connect();
      ({ one, two } = nodes);
    });
    afterEach(() => nodes.close());

    const claimed = async (bus: Bus, ...args: Parameters<Bus['claim']>): Promise<Claim> => {
      const claim = await bus.claim(...args);
      if (claim === undefined) throw new Error(`${args[0]} is another node's`);
      return claim;
    };

    describe('what is published', () => {
      it('wakes those on the same node who wait for a topic of it, and nobody else, before it returns', () => {
        const here = vi.fn();
        const elsewhere = vi.fn();
        one.subscribe([ROOM], here);
        one.subscribe([ALICE], elsewhere);
        one.publish([ROOM, roomTopic('!b:example.org')], 7);
        expect(here.mock.calls).toEqual([[7]]);
        expect(elsewhere).not.toHaveBeenCalled();
      });

      it('wakes nobody who has stopped waiting', () => {
        const listener = vi.fn();
        const stop = one.subscribe([ROOM, ALICE], listener);
        stop();
        stop();
        one.publish([ROOM], 1);
        expect(listener).not.toHaveBeenCalled();
      });

      it('comes to the other nodes too if the log does not have it', async () => {
        const here = vi.fn();
        const there = vi.fn();
        one.subscribe([serverTopic('a.test')], here);
        two.subscribe([serverTopic('a.test')], there);
        one.publish([serverTopic('a.test')], BEFORE_FIRST);
        await vi.waitUntil(() => there.mock.calls.length > 0, PATIENCE);
        expect(here.mock.calls).toEqual([[BEFORE_FIRST]]);
        expect(there.mock.calls).toEqual([[BEFORE_FIRST]]);
      });

      it('is seen by those who follow the bus before anybody who waits for it', () => {
        const seen: string[] = [];
        one.subscribe([ROOM], () => seen.push('waited'));
        const stop = one.follow((topics, position) => seen.push(`${[...topics]} ${position}`));
        one.publish(new Set([ROOM, ALICE]), 3);
        stop();
        one.publish([ALICE], 4);
        expect(seen).toEqual([`${ROOM},${ALICE} 3`, 'waited']);
      });
    });

    describe('a piece of work', () => {
      it('is done by one node at a time', async () => {
        const first = await claimed(one, WORK);
        expect(await two.claim(WORK)).toBeUndefined();
        expect(await one.claim(WORK)).toBeUndefined();
        expect(await two.claim(sendingTo('b.test'))).toBeDefined();
        first.release();
        await vi.waitUntil(() => two.claim(WORK), PATIENCE);
        expect(first.lost.aborted).toBe(false);
      });

      it('goes to one of those who ask at the same time', async () => {
        const asked = [one, two, one, two].map((bus) => bus.claim(WORK));
        expect((await Promise.all(asked)).filter((claim) => claim !== undefined)).toHaveLength(1);
      });

      it('is taken over with how it was left', async () => {
        const first = await claimed(one, WORK);
        expect(first.left).toBeUndefined();
        first.release({ upTo: 17, isDone: false });
        const second = await vi.waitUntil(() => two.claim(WORK), PATIENCE);
        expect(second.left).toEqual({ upTo: 17, isDone: false });
        // Whoever ends without a word leaves it as it was.
        second.release();
        const third = await vi.waitUntil(() => one.claim(WORK), PATIENCE);
        expect(third.left).toEqual({ upTo: 17, isDone: false });
        third.release({ upTo: 40, isDone: true });
        expect((await vi.waitUntil(() => two.claim(WORK), PATIENCE)).left).toEqual({ upTo: 40, isDone: true });
      });

      it('is not given back a second time, after another node has got it', async () => {
        const first = await claimed(one, WORK);
        first.release({ upTo: 1, isDone: true });
        await vi.waitUntil(() => two.claim(WORK), PATIENCE);
        first.release({ upTo: 2, isDone: true });
        expect(await one.claim(WORK)).toBeUndefined();
      });

      it('tells everybody who waits for it when it is free', async () => {
        const first = await claimed(one, WORK);
        const freed = vi.fn();
        two.subscribe([workTopic(WORK)], freed);
        first.release();
        await vi.waitUntil(() => freed.mock.calls.length > 0, PATIENCE);
        expect(await two.claim(WORK)).toBeDefined();
      });

      it('is where others pass on to, in order', async () => {
        expect(await two.tell(WORK, { n: 0 })).toBe(false);
        const told: unknown[] = [];
        const claim = await claimed(one, WORK, (message) => told.push(message));
        expect(await two.tell(WORK, { n: 1 })).toBe(true);
        expect(await one.tell(WORK, { n: 2 })).toBe(true);
        await vi.waitUntil(() => told.length === 2, PATIENCE);
        expect(told).toEqual([{ n: 1 }, { n: 2 }]);
        claim.release();
        await vi.waitUntil(async () => !(await two.tell(WORK, { n: 3 })), PATIENCE);
        expect(told).not.toContainEqual({ n: 0 });
      });
    });

    describe('turns', () => {
      const room = receivingFrom('a.test', '!a:example.org');

      it('are taken by one after the other, whichever node asks, in the order of a node', async () => {
        const turns = [new Turns(one), new Turns(two)];
        const begun: string[] = [];
        let inside = 0;
        const work = (node: number, n: number) =>
          turns[node]?.run(room, async () => {
            inside += 1;
            begun.push(`${node}${n}`);
            expect(inside).toBe(1);
            await turn();
            expect(inside).toBe(1);
            inside -= 1;
          });
        await Promise.all(Array.from({ length: 20 }, (_, n) => work(n % 2, n)));
        for (const node of ['0', '1']) {
          const order = begun.filter((one) => one.startsWith(node)).map((one) => Number(one.slice(1)));
          expect(order).toHaveLength(10);
          expect(order).toEqual(order.toSorted((a, b) => a - b));
        }
      });

      it('of one piece of work do not keep another waiting', async () => {
        const turns = new Turns(one);
        const { promise, resolve } = Promise.withResolvers<void>();
        const held = turns.run(room, () => promise);
        expect(await turns.run(receivingFrom('a.test', '!b:example.org'), async () => 'done')).toBe('done');
        resolve();
        await held;
      });

      it('end when the work fails', async () => {
        const turns = new Turns(one);
        await expect(turns.run(room, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
        expect(await new Turns(two).run(room, async () => 'done')).toBe('done');
      });
    });
  });
}
