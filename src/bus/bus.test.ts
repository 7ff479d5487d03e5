import { describe, expect, test, vi } from 'vitest';
import { BusFullError, roomTopic, type Topic, userTopic } from './bus.ts';
import { busContract } from './contract.ts';
import { LocalBus } from './local-bus.ts';
import { Waiter } from './wait.ts';

const ROOM = roomTopic('!a:example.org');
const ALICE = userTopic('@alice:example.org');

busContract('local', async () => {
  // In one process the nodes are whoever shares the bus.
  const bus = new LocalBus();
  return { one: bus, two: bus, close: async () => {} };
});

describe('the local bus', () => {
  test('calls a listener once for a publication that names several of its topics', () => {
    const bus = new LocalBus();
    const listener = vi.fn();
    bus.subscribe([ROOM, ALICE, ROOM], listener);
    bus.publish([ROOM, ALICE], 1);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  test('an unsubscribed listener leaves nothing behind', () => {
    const bus = new LocalBus();
    const unsubscribe = bus.subscribe([ROOM, ALICE], () => undefined);
    expect(bus.interests).toBe(2);
    unsubscribe();
    unsubscribe();
    expect(bus.interests).toBe(0);
  });

  test('refuses a subscription over the bound and keeps nothing of it', () => {
    const bus = new LocalBus({ maxInterests: 2 });
    bus.subscribe([ROOM], () => undefined);
    expect(() => bus.subscribe([ALICE, ROOM], () => undefined)).toThrow(BusFullError);
    expect(bus.interests).toBe(1);
  });

  test('a listener that throws does not keep the others asleep', () => {
    const errors: unknown[] = [];
    const bus = new LocalBus({ onListenerError: (error) => errors.push(error) });
    const second = vi.fn();
    bus.subscribe([ROOM], () => {
      throw new Error('broken');
    });
    bus.subscribe([ROOM], second);
    bus.publish([ROOM], 1);
    bus.follow(() => {
      throw new Error('broken too');
    });
    bus.publish([ROOM], 2);
    expect(second).toHaveBeenCalledTimes(2);
    expect(errors).toHaveLength(3);
  });

  test('a listener that subscribes again from within is not called by the same publication', () => {
    const bus = new LocalBus();
    let calls = 0;
    const listen = (): void => {
      const stop = bus.subscribe([ROOM], () => {
        calls += 1;
        stop();
        listen();
      });
    };
    listen();
    bus.publish([ROOM], 1);
    expect(calls).toBe(1);
    bus.publish([ROOM], 2);
    expect(calls).toBe(2);
  });

  test('a user in a thousand rooms is woken by any one of them', () => {
    const bus = new LocalBus();
    const topics: Topic[] = Array.from({ length: 1000 }, (_, n) => roomTopic(`!${n}:example.org`));
    const listener = vi.fn();
    using _waiter = new Waiter(bus, topics);
    bus.subscribe(topics, listener);
    bus.publish([roomTopic('!999:example.org')], 1);
    expect(listener).toHaveBeenCalledOnce();
  });
});

describe('waiting', () => {
  test('a wake-up between making the waiter and awaiting it is not lost', async () => {
    const bus = new LocalBus();
    using waiter = new Waiter(bus, [ROOM]);
    bus.publish([ROOM], 5);
    expect(await waiter.wait({ timeoutMs: 60_000 })).toBe('woken');
    expect(waiter.position).toBe(5);
    expect(await waiter.wait({ timeoutMs: 0 })).toBe('timeout');
  });

  test('the timeout and the abort end a wait', async () => {
    const bus = new LocalBus();
    using waiter = new Waiter(bus, [ROOM]);
    expect(await waiter.wait({ timeoutMs: 1 })).toBe('timeout');
    const abort = new AbortController();
    const waiting = waiter.wait({ timeoutMs: 60_000, signal: abort.signal });
    abort.abort();
    expect(await waiting).toBe('aborted');
  });
});
