import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { roomTopic } from '#src/bus/bus.ts';
import { LocalBus } from '#src/bus/local-bus.ts';
import { MAX_TYPING_MS, Typing } from './typing.ts';

const ROOM = '!room:example.org';
const ALICE = '@alice:example.org';
const BOB = '@bob:example.org';

function setUp(options = {}) {
  const bus = new LocalBus();
  const wakes = vi.fn();
  bus.subscribe([roomTopic(ROOM)], wakes);
  return { typing: new Typing({ bus, ...options }), wakes };
}

describe('typing', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('a reader sees each change once', () => {
    const { typing, wakes } = setUp();
    expect(typing.typingSince(ROOM, typing.serial)).toBeUndefined();
    const before = typing.serial;
    typing.start(ROOM, ALICE);
    typing.start(ROOM, BOB);
    expect(typing.typingSince(ROOM, before)).toEqual([ALICE, BOB]);
    const between = typing.serial;
    expect(typing.typingSince(ROOM, between)).toBeUndefined();
    typing.stop(ROOM, ALICE);
    expect(typing.typingSince(ROOM, between)).toEqual([BOB]);
    expect(typing.usersIn(ROOM)).toEqual([BOB]);
    expect(wakes).toHaveBeenCalledTimes(3);
  });

  test('to say it again is no change, but lasts longer', () => {
    const { typing, wakes } = setUp();
    typing.start(ROOM, ALICE, 10_000);
    vi.advanceTimersByTime(8_000);
    typing.start(ROOM, ALICE, 10_000);
    vi.advanceTimersByTime(8_000);
    expect(typing.usersIn(ROOM)).toEqual([ALICE]);
    expect(wakes).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(2_000);
    expect(typing.usersIn(ROOM)).toEqual([]);
    expect(wakes).toHaveBeenCalledTimes(2);
  });

  test('that everybody stopped is seen too', () => {
    const { typing } = setUp();
    typing.start(ROOM, ALICE, 1_000);
    const { serial } = typing;
    vi.advanceTimersByTime(1_000);
    expect(typing.typingSince(ROOM, serial)).toEqual([]);
    expect(typing.typingSince(ROOM, typing.serial)).toBeUndefined();
  });

  test('nobody types for ever', () => {
    const { typing } = setUp();
    typing.start(ROOM, ALICE, Number.MAX_SAFE_INTEGER);
    vi.advanceTimersByTime(MAX_TYPING_MS);
    expect(typing.usersIn(ROOM)).toEqual([]);
  });

  test('at the bound newcomers are not shown', () => {
    const { typing } = setUp({ maxTypists: 1 });
    typing.start(ROOM, ALICE);
    typing.start(ROOM, BOB);
    expect(typing.usersIn(ROOM)).toEqual([ALICE]);
    typing.stop(ROOM, ALICE);
    typing.start(ROOM, BOB);
    expect(typing.usersIn(ROOM)).toEqual([BOB]);
  });

  test('a room that was forgotten is told as quiet to whoever may have missed it', () => {
    const { typing } = setUp({ maxQuietRooms: 1 });
    typing.start(ROOM, ALICE);
    const { serial } = typing;
    typing.stop(ROOM, ALICE);
    typing.start('!other:example.org', ALICE);
    typing.stop('!other:example.org', ALICE);
    expect(typing.typingSince(ROOM, serial)).toEqual([]);
    expect(typing.typingSince(ROOM, typing.serial)).toBeUndefined();
  });

  test('no timers are left when it is closed', () => {
    const { typing } = setUp();
    typing.start(ROOM, ALICE);
    typing[Symbol.dispose]();
    expect(vi.getTimerCount()).toBe(0);
  });
});
