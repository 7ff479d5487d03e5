/** How long a server that cannot be reached is left alone. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DESTINATIONS_STREAM } from '#projections/federation/destination-records.ts';
import { destinationDown, downDestinationsOf } from '#projections/federation/destinations.ts';
import { type Bus, serverTopic } from '#src/bus/bus.ts';
import { LocalBus } from '#src/bus/local-bus.ts';
import { Destinations } from '#src/federation/destinations.ts';
import { silentLog } from '#src/log/logger.ts';
import { startApplication, type TestApplication } from '#test/support/application.ts';

const HOUR_MS = 60 * 60_000;

let app: TestApplication;
let nowMs: number;
beforeEach(async () => {
  app = await startApplication();
  nowMs = 1_000_000_000_000;
});
afterEach(() => app.close());

function make(random = 0.5, bus: Bus = new LocalBus()): Destinations {
  const { reader, commands, newRecordId } = app.context;
  return new Destinations({
    reader,
    bus,
    commands,
    newRecordId,
    clock: () => nowMs,
    logger: silentLog(),
    random: () => random,
  });
}

/** Fails, waits as long as it has to, and tries again; gives how long each wait was. */
function failing(destinations: Destinations, times: number): number[] {
  const waits: number[] = [];
  for (let n = 0; n < times; n += 1) {
    destinations.failed('a.test', destinations.begin('a.test', false));
    const waitMs = (destinations.troubleOf('a.test')?.retryAtMs ?? 0) - nowMs;
    waits.push(waitMs);
    nowMs += waitMs;
  }
  return waits;
}

async function recorded(): Promise<string[]> {
  const kinds: string[] = [];
  for await (const { kind } of app.context.log.readStream(DESTINATIONS_STREAM)) kinds.push(kind);
  return kinds;
}

it('counts those that are in trouble, also what the log knows from before', async () => {
  const before = make();
  failing(before, 8);
  await before.settled();
  const destinations = make();
  destinations.failed('b.test', destinations.begin('b.test', false));
  expect(destinations.downCount).toBe(2);
  destinations.alive('a.test');
  expect(destinations.downCount).toBe(1);
});

it('waits twice as long each time, a day at most', () => {
  const waits = failing(make(), 20);
  expect(waits.slice(0, 4)).toEqual([10_000, 20_000, 40_000, 80_000]);
  expect(waits.slice(-2)).toEqual([24 * HOUR_MS, 24 * HOUR_MS]);
});

it('waits a little more or less by chance, so that not all come at once', () => {
  expect(failing(make(0), 2)).toEqual([8000, 16_000]);
  expect(failing(make(0.999999), 1)[0]).toBeCloseTo(12_000, -1);
});

it('refuses until it is time', () => {
  const destinations = make();
  destinations.failed('a.test', destinations.begin('a.test', false));
  nowMs += 9_999;
  expect(() => destinations.begin('a.test', false)).toThrow(
    expect.objectContaining({ kind: 'backing_off', retryAtMs: nowMs + 1 }),
  );
  nowMs += 1;
  destinations.begin('a.test', false);
});

it('counts attempts that failed together once, and those of the impatient not at all', () => {
  const destinations = make();
  const attempts = Array.from({ length: 10 }, () => destinations.begin('a.test', false));
  for (const attempt of attempts) destinations.failed('a.test', attempt);
  expect(destinations.troubleOf('a.test')?.intervalMs).toBe(10_000);
  for (let n = 0; n < 10; n += 1) destinations.failed('a.test', destinations.begin('a.test', true));
  expect(destinations.troubleOf('a.test')?.intervalMs).toBe(10_000);
});

it('does not take a failure that began before a recovery for a new one after it', () => {
  const destinations = make();
  failing(destinations, 3);
  const late = destinations.begin('a.test', false);
  destinations.alive('a.test');
  destinations.failed('a.test', late);
  expect(destinations.troubleOf('a.test')).toBeUndefined();
});

it('tells who listens of a recovery, once', () => {
  const bus = new LocalBus();
  const destinations = make(0.5, bus);
  const heard = vi.fn();
  bus.subscribe([serverTopic('a.test')], heard);
  destinations.alive('a.test');
  expect(heard).not.toHaveBeenCalled();
  failing(destinations, 1);
  destinations.alive('a.test');
  destinations.alive('a.test');
  expect(heard).toHaveBeenCalledOnce();
});

it('believes a sign of life that another node got', () => {
  const bus = new LocalBus();
  const [here, there] = [make(0.5, bus), make(0.5, bus)];
  failing(here, 2);
  failing(there, 3);
  here.alive('a.test');
  expect(there.troubleOf('a.test')).toBeUndefined();
  expect(there.downCount).toBe(0);
});

describe('the log', () => {
  it('hears nothing of short troubles', async () => {
    const destinations = make();
    failing(destinations, 5);
    destinations.alive('a.test');
    await destinations.settled();
    expect(await recorded()).toEqual([]);
  });

  it('hears of long ones in a few steps, and of their end', async () => {
    const destinations = make();
    failing(destinations, 40);
    await destinations.settled();
    expect(await recorded()).toEqual(Array(4).fill('federation.destination_down'));
    destinations.alive('a.test');
    await destinations.settled();
    expect((await recorded()).at(-1)).toBe('federation.destination_up');
    expect([...downDestinationsOf(app.context.reader)]).toEqual([]);
  });

  it('remembers them over a restart', async () => {
    const before = make();
    failing(before, 12);
    await before.settled();
    const known = destinationDown(app.context.reader, 'a.test');
    expect(known?.intervalMs).toBeGreaterThanOrEqual(HOUR_MS);
    const after = make();
    expect(after.troubleOf('a.test')).toEqual(known);
    nowMs = (known?.retryAtMs ?? 0) - 1;
    expect(() => after.begin('a.test', false)).toThrow(expect.objectContaining({ kind: 'backing_off' }));
    after.alive('a.test');
    after.begin('a.test', false);
    await after.settled();
    expect(make().troubleOf('a.test')).toBeUndefined();
  });
});
