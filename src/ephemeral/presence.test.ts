import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { roomTopic, userTopic } from '#src/bus/bus.ts';
import { LocalBus } from '#src/bus/local-bus.ts';
import { ACTIVE_FOR_MS, DEVICE_TIMEOUT_MS, IDLE_AFTER_MS, Presence, REMOTE_TIMEOUT_MS } from './presence.ts';
import { PresenceChanges } from './presence-changes.ts';
import { Serials } from './serials.ts';

const ALICE = '@alice:example.org';
const BOB = '@bob:elsewhere.example';
const START_MS = 1_700_000_000_000;

let nowMs: number;
let bus: LocalBus;
let presence: Presence;
beforeEach(() => {
  nowMs = START_MS;
  bus = new LocalBus();
  presence = make();
});
afterEach(() => presence[Symbol.dispose]());

function make(more: { isEnabled?: boolean; maxUsers?: number } = {}): Presence {
  return new Presence({
    bus,
    serials: new Serials(),
    clock: () => nowMs,
    isEnabled: true,
    roomsOf: () => ['!room:example.org'],
    ...more,
  });
}

/** Lets time pass as the server does: looking every few seconds who has gone. */
function pass(ms: number): void {
  for (let left = ms; left > 0; left -= 5_000) {
    nowMs += Math.min(left, 5_000);
    presence.sweep();
  }
}

test('nobody is online of whom nothing is known', () => {
  expect(presence.of(ALICE)).toEqual({
    presence: 'offline',
    lastActiveAtMs: undefined,
    isCurrentlyActive: false,
    statusMsg: undefined,
  });
});

describe('a device that asks for news', () => {
  test('is there while it waits, and for a while after', () => {
    const leave = presence.attend(ALICE, 'PHONE', 'online');
    expect(presence.of(ALICE)).toMatchObject({ presence: 'online', isCurrentlyActive: true, lastActiveAtMs: START_MS });
    pass(DEVICE_TIMEOUT_MS * 3);
    expect(presence.of(ALICE).presence).toBe('online');
    leave();
    leave();
    pass(DEVICE_TIMEOUT_MS - 1);
    expect(presence.of(ALICE).presence).toBe('online');
    pass(1);
    expect(presence.of(ALICE)).toMatchObject({ presence: 'offline', lastActiveAtMs: START_MS });
  });

  test('makes its user idle after a while, and active again with what they do', () => {
    presence.attend(ALICE, 'PHONE', 'online');
    pass(ACTIVE_FOR_MS);
    expect(presence.of(ALICE)).toMatchObject({ presence: 'online', isCurrentlyActive: false });
    pass(IDLE_AFTER_MS - ACTIVE_FOR_MS);
    expect(presence.of(ALICE)).toMatchObject({ presence: 'unavailable', isCurrentlyActive: false });
    presence.attend(ALICE, 'PHONE', 'online');
    expect(presence.of(ALICE).presence).toBe('unavailable');
    presence.act(ALICE, 'PHONE');
    expect(presence.of(ALICE)).toMatchObject({ presence: 'online', isCurrentlyActive: true, lastActiveAtMs: nowMs });
  });

  test('may say that its user is idle, or hide', () => {
    presence.attend(ALICE, 'PHONE', 'unavailable');
    expect(presence.of(ALICE).presence).toBe('unavailable');
    const hidden = make();
    hidden.attend(ALICE, 'PHONE', 'offline');
    hidden.act(ALICE, 'PHONE');
    expect(hidden.of(ALICE).presence).toBe('offline');
  });
});

test('the most awake device counts', () => {
  const leave = presence.attend(ALICE, 'LAPTOP', 'online');
  presence.attend(ALICE, 'PHONE', 'unavailable');
  expect(presence.of(ALICE).presence).toBe('online');
  leave();
  pass(DEVICE_TIMEOUT_MS);
  expect(presence.of(ALICE).presence).toBe('unavailable');
});

test('a user says how they are', () => {
  presence.set(ALICE, 'PHONE', 'unavailable', 'at lunch');
  expect(presence.of(ALICE)).toMatchObject({ presence: 'unavailable', statusMsg: 'at lunch' });
  presence.set(ALICE, 'PHONE', 'offline', undefined);
  expect(presence.of(ALICE)).toMatchObject({ presence: 'offline', statusMsg: undefined });
});

describe('changes', () => {
  test('have serials, and are none where others would see no difference', () => {
    presence.attend(ALICE, 'PHONE', 'online');
    const { serial } = presence;
    expect(presence.changedSince(serial - 1)).toEqual(new Set([ALICE]));
    presence.attend(ALICE, 'PHONE', 'online');
    presence.act(ALICE, 'PHONE');
    pass(ACTIVE_FOR_MS - 1);
    expect([presence.serial, presence.changedSince(serial)]).toEqual([serial, new Set()]);
    pass(1);
    expect(presence.changedSince(serial)).toEqual(new Set([ALICE]));
  });

  test('wake those who share a room, and are told to other servers', async () => {
    const { promise: told, resolve } = Promise.withResolvers<readonly string[]>();
    presence.onLocalChanges(resolve);
    let wakes = 0;
    bus.subscribe([roomTopic('!room:example.org'), userTopic(ALICE)], () => {
      wakes += 1;
    });
    presence.set(ALICE, 'PHONE', 'online', 'one');
    presence.set(ALICE, 'PHONE', 'online', 'two');
    expect(await told).toEqual([ALICE]);
    expect(wakes).toBe(1);
  });

  test('that were too many are not told apart any more', () => {
    const changes = new PresenceChanges(4);
    for (let serial = 1; serial <= 5; serial += 1) changes.add(serial, `@user${serial}:example.org`);
    expect(changes.since(1)).toBeUndefined();
    expect(changes.since(2)).toEqual(new Set(['@user3:example.org', '@user4:example.org', '@user5:example.org']));
    expect(changes.last).toBe(5);
  });
});

test('another server says how its users are, until nothing is heard for long', () => {
  const said = { presence: 'online', lastActiveAgoMs: 1_000, isCurrentlyActive: true, statusMsg: 'hello' } as const;
  presence.receive(BOB, said);
  expect(presence.of(BOB)).toEqual({
    presence: 'online',
    lastActiveAtMs: START_MS - 1_000,
    isCurrentlyActive: true,
    statusMsg: 'hello',
  });
  pass(REMOTE_TIMEOUT_MS);
  expect(presence.of(BOB).presence).toBe('offline');
});

test('of those who went offline, the first are forgotten when there are too many', () => {
  const small = make({ maxUsers: 2 });
  small.set('@a:x', 'D', 'offline', 'a');
  small.attend('@b:x', 'D', 'online');
  small.attend('@c:x', 'D', 'online');
  expect([small.of('@a:x').statusMsg, small.of('@b:x').presence, small.of('@c:x').presence]).toEqual([
    undefined,
    'online',
    'online',
  ]);
  small.attend('@d:x', 'D', 'online');
  expect([small.size, small.of('@d:x').presence]).toEqual([2, 'offline']);
  small[Symbol.dispose]();
});

test('it can be turned off', () => {
  const off = make({ isEnabled: false });
  off.attend(ALICE, 'PHONE', 'online');
  off.set(ALICE, 'PHONE', 'online', 'hello');
  expect([off.of(ALICE).presence, off.size]).toEqual(['offline', 0]);
});
