import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { roomsProjection } from '#projections/rooms/projection.ts';
import {
  eventAt,
  eventById,
  findRoom,
  headOf,
  joinedMembers,
  membershipOf,
  stateContent,
  stateVersionAt,
} from '#projections/rooms/queries.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { signingKeyFromSeed } from '#protocol/signing.ts';
import { NotWritten } from '#streams/event-log.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { firstEvents, type NewRoom } from './first-events.ts';
import { Rooms } from './rooms.ts';

const ALICE = '@alice:localhost';
const BOB = '@bob:localhost';
const cleanUps: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function world(clockStepMs = 1) {
  const dir = await mkdtemp(path.join(tmpdir(), 'stele-rooms-'));
  const log = openMemoryLog();
  const engine = await ProjectionEngine.open({ dir, log, projections: [roomsProjection], safeCopies: false });
  cleanUps.push(async () => {
    await engine.close();
    await log.close();
    await rm(dir, { recursive: true, force: true });
  });
  let now = 1_700_000_000_000;
  const rooms = new Rooms({
    log,
    reader: engine.reader,
    serverName: 'localhost',
    signingKey: signingKeyFromSeed('ed25519:1', Buffer.alloc(32, 7)),
    clock: () => {
      now += clockStepMs;
      return now;
    },
    newRecordId: () => randomBytes(16),
    newStreamId: () => randomBytes(15).toString('base64url'),
    newEventLocalpart: () => randomBytes(18).toString('base64url'),
  });
  return { log, engine, rooms, reader: engine.reader };
}

function newRoom(overrides: Partial<NewRoom> = {}): NewRoom {
  return {
    creator: ALICE,
    preset: 'public_chat',
    creatorProfile: { displayname: 'Alice' },
    creationContent: {},
    initialState: [],
    invitees: new Map(),
    isDirect: false,
    powerLevelContentOverride: {},
    ...overrides,
  };
}

function rulesOf(version: string) {
  const rules = roomVersionRules(version);
  if (rules === undefined) throw new Error(`room version ${version} is not supported`);
  return rules;
}

async function makeRoom(
  { rooms }: Awaited<ReturnType<typeof world>>,
  version = '12',
  overrides: Partial<NewRoom> = {},
) {
  const rules = rulesOf(version);
  return rooms.create(rules, '!room:localhost', firstEvents(newRoom(overrides), rules));
}

describe.each(['1', '10', '11', '12'])('a new room of version %s', (version) => {
  it('has all its first events, in one stream, or none', async () => {
    const it = await world();
    const roomId = await makeRoom(it, version, { name: 'Stones', topic: 'Old ones' });
    const room = findRoom(it.reader, roomId);
    if (room === undefined) throw new Error('no room');
    expect(room).toMatchObject({ roomId, version });
    expect(stateContent(it.reader, room.id, 'm.room.name')).toEqual({ name: 'Stones' });
    expect(stateContent(it.reader, room.id, 'm.room.create')).toMatchObject({ room_version: version });
    expect([...joinedMembers(it.reader, room.id)]).toEqual([ALICE]);
    expect(headOf(it.reader, room.id)).toMatchObject({ joined: 1, invited: 0, stateVersion: 7, revision: 6 });
    if (version === '12') expect(roomId).toBe(`!${createEventId(it, room.id).slice(1)}`);
    else expect(roomId).toBe('!room:localhost');
  });

  it('is refused whole when one of its events is not allowed', async () => {
    const it = await world();
    const overrides = { powerLevelContentOverride: { users: { [BOB]: 'high' } } };
    await expect(makeRoom(it, version, overrides)).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    expect(it.log.head()).toBe(-1);
  });
});

describe('rooms that one user makes alike in the same millisecond', () => {
  it('are not one', async () => {
    const it = await world(0);
    const ids = await Promise.all([makeRoom(it), makeRoom(it), makeRoom(it)]);
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(findRoom(it.reader, id)).toBeDefined();
  });
});

function createEventId({ reader }: Awaited<ReturnType<typeof world>>, room: number): string {
  return eventAt(reader, room)?.eventId ?? '';
}

describe('sending', () => {
  it('puts events behind each other, each after the one before', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    const sent = await Promise.all(
      Array.from({ length: 50 }, (_, index) => it.rooms.send(roomId, message(ALICE, `message ${index}`))),
    );
    const events = sent.map(({ eventId }) => eventById(it.reader, eventId));
    const depths = events.map((event) => event?.depth ?? 0);
    expect(depths).toEqual([...depths].sort((a, b) => a - b));
    expect(new Set(depths).size).toBe(50);
    const room = findRoom(it.reader, roomId);
    expect(room && headOf(it.reader, room.id)?.extremities).toEqual([sent.at(-1)?.eventId]);
  });

  it('gives the same event for the same transaction, at once and after it was forgotten in memory', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    const transaction = { deviceId: 'PHONE', txnId: 'one' };
    const [first, second] = await Promise.all([
      it.rooms.send(roomId, message(ALICE, 'hello'), transaction),
      it.rooms.send(roomId, message(ALICE, 'hello'), transaction),
    ]);
    const third = await it.rooms.send(roomId, message(ALICE, 'hello'), transaction);
    expect(second).toEqual(first);
    expect(third).toEqual(first);
    const other = await it.rooms.send(roomId, message(ALICE, 'hello'), { deviceId: 'LAPTOP', txnId: 'one' });
    expect(other).not.toEqual(first);
  });

  it('is forbidden to who is not in the room, with the rule that forbids it', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    await expect(it.rooms.send(roomId, message(BOB, 'let me in'))).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
  });

  it('refuses an event over the size limit and unknown rooms', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    await expect(it.rooms.send(roomId, message(ALICE, 'x'.repeat(65_536)))).rejects.toMatchObject({
      errcode: 'M_TOO_LARGE',
    });
    await expect(it.rooms.send(roomId, { ...message(ALICE, 'x'), content: { a: 1.5 } })).rejects.toMatchObject({
      errcode: 'M_BAD_JSON',
    });
    await expect(it.rooms.send('!nowhere:localhost', message(ALICE, 'x'))).rejects.toMatchObject({
      errcode: 'M_NOT_FOUND',
    });
  });

  it('begins again from what is committed when an append fails, and shows nothing of what failed', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    it.log.failNextCommit(new NotWritten('the disk is full'));
    const outcomes = await Promise.allSettled([
      it.rooms.send(roomId, message(ALICE, 'lost 1')),
      it.rooms.send(roomId, message(ALICE, 'lost 2')),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const { eventId } = await it.rooms.send(roomId, message(ALICE, 'kept'));
    const room = findRoom(it.reader, roomId);
    expect(room && headOf(it.reader, room.id)).toMatchObject({ extremities: [eventId], revision: 5 });
  });
});

describe('memberships', () => {
  it('follow joins and bans, and the state of any version can be asked', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    const room = findRoom(it.reader, roomId);
    if (room === undefined) throw new Error('no room');
    await it.rooms.send(roomId, member(BOB, BOB, 'join'));
    const joinedAt = it.log.head();
    await it.rooms.send(roomId, message(BOB, 'hello'));
    await it.rooms.send(roomId, member(ALICE, BOB, 'ban'));
    expect(membershipOf(it.reader, room.id, BOB)).toBe('ban');
    expect(headOf(it.reader, room.id)).toMatchObject({ joined: 1 });
    const version = stateVersionAt(it.reader, room.id, joinedAt);
    expect(stateContent(it.reader, room.id, 'm.room.member', BOB, version)).toEqual({ membership: 'join' });
    expect(stateContent(it.reader, room.id, 'm.room.member', BOB, version - 1)).toBeUndefined();
    await expect(it.rooms.send(roomId, member(BOB, BOB, 'join'))).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
  });
});

describe('redaction', () => {
  it('takes the content of a message, for its sender and for those with the power', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    await it.rooms.send(roomId, member(BOB, BOB, 'join'));
    const secret = await it.rooms.send(roomId, message(ALICE, 'secret'));
    await expect(it.rooms.send(roomId, redaction(BOB, secret.eventId))).rejects.toMatchObject({
      errcode: 'M_FORBIDDEN',
    });
    const own = await it.rooms.send(roomId, message(BOB, 'oops'));
    await it.rooms.send(roomId, redaction(BOB, own.eventId));
    await it.rooms.send(roomId, redaction(ALICE, secret.eventId));
    for (const { eventId } of [own, secret]) {
      const event = eventById(it.reader, eventId);
      expect(event?.contentJson).toBe('{}');
      expect(event?.redactedBy).toBeGreaterThan(0);
    }
  });

  it('takes effect on state at once: the next event is judged by what is left', async () => {
    const it = await world();
    const roomId = await makeRoom(it);
    const { eventId } = await it.rooms.send(roomId, {
      sender: ALICE,
      type: 'm.room.topic',
      stateKey: '',
      content: { topic: 'secret' },
    });
    await it.rooms.send(roomId, redaction(ALICE, eventId));
    expect(it.rooms.state(roomId, 'm.room.topic', '')?.content).toEqual({});
  });
});

function message(sender: string, body: string) {
  return { sender, type: 'm.room.message', content: { msgtype: 'm.text', body } };
}

function member(sender: string, target: string, membership: string) {
  return { sender, type: 'm.room.member', stateKey: target, content: { membership } };
}

function redaction(sender: string, redacts: string) {
  return { sender, type: 'm.room.redaction', content: { redacts } };
}
