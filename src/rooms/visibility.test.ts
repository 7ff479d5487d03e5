import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { roomsProjection } from '#projections/rooms/projection.ts';
import { type Event, eventsSince, findRoom, type Room } from '#projections/rooms/queries.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { signingKeyFromSeed } from '#protocol/signing.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';
import { firstEvents } from './first-events.ts';
import { Rooms } from './rooms.ts';
import { departureOf, RoomVisibility } from './visibility.ts';

const ALICE = '@alice:localhost';
const USERS = ['@bob:localhost', '@carol:localhost'] as const;
const VISIBILITIES = ['world_readable', 'shared', 'invited', 'joined', 'nonsense'] as const;

let dir: string;
let log: MemoryLog;
let engine: ProjectionEngine;
let rooms: Rooms;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stele-visibility-'));
  log = openMemoryLog();
  engine = await ProjectionEngine.open({ dir, log, projections: [roomsProjection], safeCopies: false });
  let now = 1_700_000_000_000;
  rooms = new Rooms({
    log,
    reader: engine.reader,
    serverName: 'localhost',
    signingKey: signingKeyFromSeed('ed25519:1', Buffer.alloc(32, 7)),
    clock: () => now++,
    newRecordId: () => randomBytes(16),
    newStreamId: () => randomBytes(15).toString('base64url'),
    newEventLocalpart: () => randomBytes(18).toString('base64url'),
  });
});

afterEach(async () => {
  await engine.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

async function makeRoom(): Promise<Room> {
  const rules = roomVersionRules('12');
  if (rules === undefined) throw new Error('room version 12 is not supported');
  const events = firstEvents(
    {
      creator: ALICE,
      preset: 'public_chat',
      creatorProfile: {},
      creationContent: {},
      initialState: [],
      invitees: new Map(),
      isDirect: false,
      powerLevelContentOverride: {},
    },
    rules,
  );
  const room = findRoom(engine.reader, await rooms.create(rules, '', events));
  if (room === undefined) throw new Error('no room');
  return room;
}

const step = fc.oneof(
  fc.record({ what: fc.constant('say' as const) }),
  fc.record({ what: fc.constant('visibility' as const), value: fc.constantFrom(...VISIBILITIES) }),
  fc.record({
    what: fc.constantFrom('join', 'leave', 'invite', 'kick', 'ban', 'unban'),
    user: fc.constantFrom(...USERS),
  }),
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Takes a step; one that the rules forbid just then is no step. */
async function take(roomId: string, one: Step): Promise<void> {
  const send = (sender: string, type: string, content: JsonObject, stateKey?: string) =>
    rooms.send(roomId, { sender, type, content, ...(stateKey !== undefined && { stateKey }) }).catch(() => undefined);
  if ('user' in one) {
    const membership = { join: 'join', leave: 'leave', invite: 'invite', kick: 'leave', ban: 'ban', unban: 'leave' };
    const isOwn = one.what === 'join' || one.what === 'leave';
    const value = membership[one.what as keyof typeof membership];
    await send(isOwn ? one.user : ALICE, 'm.room.member', { membership: value }, one.user);
  } else if (one.what === 'say') {
    await send(ALICE, 'm.room.message', { body: 'x', msgtype: 'm.text' });
  } else {
    await send(ALICE, 'm.room.history_visibility', { history_visibility: 'value' in one ? one.value : '' }, '');
  }
}

/** The specification's rules, word for word, over the whole history. */
function mayBeSeen(history: readonly Event[], index: number, userId: string): boolean {
  const stateAfter = (end: number, type: string, key: string, field: string): unknown => {
    const event = history.slice(0, end).findLast((one) => one.type === type && one.stateKey === key);
    return event && (JSON.parse(event.contentJson) as JsonObject)[field];
  };
  const joinsAfter = (end: number): boolean =>
    history
      .slice(end)
      .some(
        ({ type, stateKey, contentJson }) =>
          type === 'm.room.member' &&
          stateKey === userId &&
          (JSON.parse(contentJson) as JsonObject).membership === 'join',
      );
  const allowedWith = (end: number): boolean => {
    const membership = stateAfter(end, 'm.room.member', userId, 'membership');
    const stated = stateAfter(end, 'm.room.history_visibility', '', 'history_visibility');
    const visibility = ['world_readable', 'invited', 'joined'].includes(String(stated)) ? stated : 'shared';
    if (visibility === 'world_readable') return true;
    if (membership === 'join') return true;
    if (visibility === 'shared' && joinsAfter(end)) return true;
    return membership === 'invite' && visibility === 'invited';
  };
  const event = history[index];
  const isDecisive =
    event?.type === 'm.room.history_visibility' || (event?.type === 'm.room.member' && event.stateKey === userId);
  return allowedWith(index) || (isDecisive && allowedWith(index + 1));
}

const shownEvents = () => [...eventsSince(engine.reader, -1)].map(({ event }) => event);

describe('what a user sees of a room', () => {
  it('is what the rules of the specification say, whatever happened', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const room = await makeRoom();
        for (const one of steps) await take(room.roomId, one);
        const history = shownEvents().filter((event) => event.room === room.id);
        for (const userId of [ALICE, ...USERS, '@nobody:localhost']) {
          const visibility = new RoomVisibility(engine.reader, room.id, userId);
          const seen = history.map((event) => visibility.canSee(event));
          expect(seen).toEqual(history.map((_, index) => mayBeSeen(history, index, userId)));
        }
      }),
      { numRuns: 40 },
    );
  });

  it('tells the membership that they had, the change by the event itself included', async () => {
    const room = await makeRoom();
    const [bob] = USERS;
    for (const what of ['invite', 'join', 'ban'] as const) await take(room.roomId, { what, user: bob });
    const visibility = new RoomVisibility(engine.reader, room.id, bob);
    const history = shownEvents();
    const memberships = history.slice(-4).map((event) => visibility.membershipAt(event));
    expect(memberships).toEqual(['leave', 'invite', 'join', 'ban']);
  });
});

describe('a departure', () => {
  it('is where the last time in the room ended, whatever came after', async () => {
    const room = await makeRoom();
    const [bob, carol] = USERS;
    const departure = () => departureOf(engine.reader, room.id, bob);
    await take(room.roomId, { what: 'invite', user: bob });
    expect(departure()).toBeUndefined();
    await take(room.roomId, { what: 'join', user: bob });
    expect(departure()).toBeUndefined();
    await take(room.roomId, { what: 'leave', user: bob });
    const left = departure();
    expect(left?.position).toBe(log.head());
    await take(room.roomId, { what: 'join', user: carol });
    await take(room.roomId, { what: 'ban', user: bob });
    expect(departure()).toEqual(left);
  });
});
