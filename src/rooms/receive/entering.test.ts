import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { check } from '#projections/engine/replay.ts';
import { stateAfter, stateBefore } from '#projections/rooms/event-row.ts';
import { heldEventsOf, isPartial } from '#projections/rooms/partial.ts';
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import { roomsProjection } from '#projections/rooms/projection.ts';
import {
  eventAt,
  eventById,
  findRoom,
  headOf,
  membershipOf,
  membersOf,
  serversIn,
} from '#projections/rooms/queries.ts';
import { MAIN_LINE, type StateRef, stateEntriesAt } from '#projections/rooms/state/index.ts';
import { STATE_TAKEN_KIND } from '#projections/rooms/taken-state-record.ts';
import { type EventLog, NotWritten, type RecordDraft } from '#streams/event-log.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { Rooms } from '../rooms.ts';
import {
  ANN,
  allKeys,
  BOB,
  type ForeignEvent,
  ForeignRoom,
  keyOf,
  keyOfServer,
  LOCAL,
  missingEventsOf,
} from './foreign-room.test-support.ts';
import { Receiver } from './receiver.ts';
import type { Verdict } from './types.ts';

const MEMBERS = 500;
const SECOND = '@second:localhost';

const cleanUps: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A server, and a room on others. */
async function outside() {
  const foreign = new ForeignRoom('12');
  const dir = await mkdtemp(path.join(tmpdir(), 'stele-entering-'));
  const log = openMemoryLog();
  const engine = await ProjectionEngine.open({
    dir: path.join(dir, 'core'),
    log,
    projections: [roomsProjection],
    safeCopies: false,
  });
  cleanUps.push(async () => {
    await engine.close();
    await log.close();
    await rm(dir, { recursive: true, force: true });
  });
  let now = 1_800_000_000_000;
  const clock = () => now++;
  const { reader } = engine;
  const disk = { partsBeforeFull: Number.POSITIVE_INFINITY };
  const failing: Pick<EventLog, 'append' | 'revisionOf'> = {
    revisionOf: (stream) => log.revisionOf(stream),
    append: (stream, revision, records: readonly RecordDraft[]) => {
      if (records.some(({ kind }) => kind === STATE_TAKEN_KIND) && disk.partsBeforeFull-- <= 0) {
        return Promise.reject(new NotWritten('the disk is full'));
      }
      return log.append(stream, revision, records);
    },
  };
  const rooms = new Rooms({
    log: failing as EventLog,
    reader,
    serverName: 'localhost',
    signingKey: keyOfServer('localhost'),
    clock,
    newRecordId: () => randomBytes(16),
    newStreamId: () => randomBytes(15).toString('base64url'),
    newEventLocalpart: () => randomBytes(18).toString('base64url'),
  });
  const receiver = new Receiver({ reader, rooms, clock, keys: allKeys, missing: missingEventsOf(foreign, []) });
  const isOurs = (userId: string): boolean => userId.endsWith(':localhost');
  const roomOf = () => findRoom(reader, foreign.roomId)?.id ?? -1;
  const namesOf = (ref: StateRef): ReadonlyMap<string, string> => {
    const entries = [...stateEntriesAt(reader, roomOf(), ref)];
    return new Map(
      entries.map(({ type, stateKey, event }) => [keyOf(type, stateKey), eventAt(reader, event)?.eventId ?? '']),
    );
  };
  return {
    foreign,
    disk,
    rooms,
    reader,
    log,
    receiver,
    isOurs,
    around: (eventId: string) => {
      const row = eventById(reader, eventId) ?? expect.fail(`${eventId} is not shown`);
      return { before: namesOf(stateBefore(row)), after: namesOf(stateAfter(row)) };
    },
    member: (userId: string, membership: string, sender = userId) =>
      foreign.add({ sender, type: 'm.room.member', stateKey: userId, content: { membership } }),
    enter: async (join: ForeignEvent) => {
      await receiver.receiveOutliers(foreign.room, 'a.org', foreign.withAuthChain(join.before.values()));
      return receiver.receiveEntry(foreign.room, 'a.org', join.pdu, join.before.values(), isOurs);
    },
    receive: (event: ForeignEvent) => receiver.receive(foreign.room, 'a.org', event.pdu),
    roomOf,
    current: () => namesOf({ branch: MAIN_LINE, version: headOf(reader, roomOf())?.stateVersion ?? -1 }),
    /** Who is in the room, by the table of members and by the numbers in its head. */
    standing: () => {
      const members = [...membersOf(reader, roomOf())];
      const count = (of: string): number => members.filter(({ membership }) => membership === of).length;
      const head = headOf(reader, roomOf());
      expect({ joined: head?.joined, invited: head?.invited }).toEqual({
        joined: count('join'),
        invited: count('invite'),
      });
      return { joined: count('join'), left: count('leave'), servers: [...serversIn(reader, roomOf())] };
    },
    isReplayedEqual: async () => {
      const readable = { readAll: (from: number) => log.readAll(from), head: () => log.head() };
      const checked = await check({
        dir: path.join(dir, 'core'),
        projections: [roomsProjection],
        log: { ...readable, refresh: async () => log.head() },
        maxDifferences: 3,
      });
      expect(checked.tables.filter(({ differences }) => differences > 0)).toEqual([]);
      return checked.isEqual;
    },
  };
}

it('a room with many members is entered with all of them', async () => {
  const room = await outside();
  for (let index = 0; index < MEMBERS; index += 1) room.member(`@user${index}:s${index % 7}.org`, 'join');
  room.member('@user1:s1.org', 'leave');
  const join = room.member(LOCAL, 'join');
  expect(await room.enter(join)).toEqual({ kind: 'accept' });
  expect(room.current()).toEqual(join.after);
  expect(room.standing()).toEqual({
    joined: MEMBERS + 2,
    left: 1,
    servers: ['a.org', 'b.org', 'localhost', ...Array.from({ length: 7 }, (_, index) => `s${index}.org`)],
  });
  const next = room.foreign.add({ sender: BOB, type: 'm.room.topic', stateKey: '', content: { topic: 'hello' } });
  expect(await room.receive(next)).toEqual({ kind: 'accept' });
  expect(room.current()).toEqual(next.after);
  expect(await room.isReplayedEqual()).toBe(true);
});

it('an entry that is broken off leaves nobody in the room, and the next goes on from there', async () => {
  const room = await outside();
  for (let index = 0; index < MEMBERS; index += 1) room.member(`@user${index}:s.org`, 'join');
  room.member(SECOND, 'join');
  room.disk.partsBeforeFull = 1;
  await expect(room.enter(room.member(LOCAL, 'join'))).rejects.toThrow(NotWritten);
  expect(room.rooms.knows(room.foreign.roomId)).toBe(false);
  expect(room.rooms.isResident(room.foreign.roomId)).toBe(false);
  expect(membershipOf(room.reader, room.roomOf(), '@user1:s.org')).toBe('join');
  expect(membershipOf(room.reader, room.roomOf(), LOCAL)).toBeUndefined();
  expect(membershipOf(room.reader, room.roomOf(), SECOND)).toBeUndefined();

  room.disk.partsBeforeFull = Number.POSITIVE_INFINITY;
  room.member('@user1:s.org', 'leave');
  room.member('@user2:s.org', 'ban', ANN);
  const join = room.member(LOCAL, 'join');
  expect(await room.enter(join)).toEqual({ kind: 'accept' });
  expect(room.current()).toEqual(join.after);
  expect(room.standing()).toMatchObject({ joined: MEMBERS + 2, left: 1 });
  expect(membershipOf(room.reader, room.roomOf(), SECOND)).toBe('join');
  expect(await room.isReplayedEqual()).toBe(true);
});

it('a room that was left is entered with the state that it has now', async () => {
  const room = await outside();
  const kept = room.foreign.add({ sender: ANN, type: 'm.room.topic', stateKey: 'gone', content: {} });
  room.member('@user:s.org', 'join');
  expect(await room.enter(room.member(LOCAL, 'join'))).toEqual({ kind: 'accept' });
  const left = room.member(LOCAL, 'leave');
  expect(await room.receive(left)).toEqual({ kind: 'accept' });
  expect(room.rooms.isResident(room.foreign.roomId)).toBe(false);

  // What another branch of the room never had is gone.
  room.foreign.add({ sender: ANN, type: 'm.room.name', stateKey: '', content: { name: 'new' } });
  room.member('@user:s.org', 'leave');
  const join = room.member(LOCAL, 'join');
  const told = new Map([...join.before].filter(([, eventId]) => eventId !== kept.eventId));
  expect(await room.enter({ ...join, before: told })).toEqual({ kind: 'accept' });
  expect(room.current()).toEqual(new Map([...join.after].filter(([, eventId]) => eventId !== kept.eventId)));
  expect(room.standing()).toEqual({ joined: 3, left: 1, servers: ['a.org', 'b.org', 'localhost'] });
  expect(await room.isReplayedEqual()).toBe(true);
});

it('who may not come in does not, and nothing of the room is taken over', async () => {
  const room = await outside();
  room.member(LOCAL, 'ban', ANN);
  const join = room.member(LOCAL, 'join');
  expect(await room.enter(join)).toMatchObject({
    kind: 'reject',
    step: expect.stringMatching(/auth_events|state_before/),
  });
  expect(room.rooms.knows(room.foreign.roomId)).toBe(false);
  expect([...membersOf(room.reader, room.roomOf())]).toEqual([]);
});

describe('a room that is entered before its members are known', () => {
  const USERS = ['@user1:s.org', '@user2:s.org', '@user3:t.org'] as const;
  const SERVERS = ['a.org', 'b.org', 's.org', 't.org', 'elsewhere.org'];

  async function partly() {
    const room = await outside();
    const { foreign, receiver } = room;
    const content = { users_default: 50, users: { [BOB]: 75, [LOCAL]: 60 } };
    foreign.add({ sender: ANN, type: 'm.room.power_levels', stateKey: '', content });
    for (const user of USERS) room.member(user, 'join');
    const invite = room.member(LOCAL, 'invite', BOB);
    const join = room.member(LOCAL, 'join');
    const told = [...join.before].filter(([key]) => !key.includes('m.room.member')).map(([, eventId]) => eventId);
    await receiver.receiveOutliers(foreign.room, 'a.org', foreign.withAuthChain([...told, join.eventId]));
    const entered = await receiver.receiveEntry(foreign.room, 'a.org', join.pdu, told, room.isOurs, SERVERS);
    expect(entered).toEqual({ kind: 'accept' });
    const send = async (type: string, content: object, stateKey?: string) => {
      const event = { sender: LOCAL, type, content: { ...content }, ...(stateKey !== undefined && { stateKey }) };
      return (await room.rooms.send(foreign.roomId, event)).eventId;
    };
    const complete = async (): Promise<boolean> => {
      await receiver.receiveOutliers(foreign.room, 'b.org', foreign.withAuthChain(join.before.values()));
      return receiver.receiveMembers(foreign.room, join.eventId, join.before.values());
    };
    const judgeHeld = async () => {
      const verdicts: Verdict[] = [];
      for (const position of [...heldEventsOf(room.reader, room.roomOf())]) {
        const record = await room.log.readAt(position);
        const read = (record && readPduRecord(record)) ?? expect.fail('the event is not in the log');
        verdicts.push(await receiver.receiveHeld(foreign.room, 'b.org', read.pdu, read.meta.eventId));
      }
      return verdicts;
    };
    return { ...room, invite, join, send, complete, judgeHeld };
  }

  it('has the states that it would have had, once they are', async () => {
    const room = await partly();
    expect(isPartial(room.reader, room.roomOf())).toBe(true);
    expect([...serversIn(room.reader, room.roomOf())].sort()).toEqual([...SERVERS, 'localhost'].sort());
    expect(room.rooms.isResident(room.foreign.roomId)).toBe(true);
    const sent = [
      await room.send('m.room.message', { body: 'hello' }),
      await room.send('m.room.topic', { topic: 'first' }, ''),
      await room.send('m.room.topic', { topic: 'second' }, ''),
      await room.send('m.room.member', { membership: 'join', displayname: 'Local' }, LOCAL),
      await room.send('m.room.message', { body: 'bye' }),
    ];
    expect(await room.complete()).toBe(true);
    expect(isPartial(room.reader, room.roomOf())).toBe(false);
    expect(room.around(room.join.eventId)).toEqual({ before: room.join.before, after: room.join.after });
    const state = new Map(room.join.after);
    for (const eventId of sent) {
      const { type, stateKey } = eventById(room.reader, eventId) ?? expect.fail();
      expect(room.around(eventId).before).toEqual(state);
      if (stateKey !== undefined) state.set(keyOf(type, stateKey), eventId);
      expect(room.around(eventId).after).toEqual(state);
    }
    expect(room.current()).toEqual(state);
    expect(room.standing()).toEqual({
      joined: 6,
      left: 0,
      servers: ['a.org', 'b.org', 'localhost', 's.org', 't.org'],
    });
    const { replaces } = eventById(room.reader, room.join.eventId) ?? expect.fail();
    expect(replaces !== undefined && eventAt(room.reader, replaces)?.eventId).toBe(room.invite.eventId);
    expect(await room.isReplayedEqual()).toBe(true);
  });

  it('shows what others do meanwhile when it is judged, and only what the rules let in', async () => {
    const room = await partly();
    const { foreign, join } = room;
    const mine = await room.send('m.room.message', { body: 'mine' });
    const theirs = foreign.add({ sender: USERS[0], type: 'm.room.message', content: { body: 'theirs' } });
    const topic = foreign.add({ sender: USERS[1], type: 'm.room.topic', stateKey: '', content: { topic: 'theirs' } });
    const kick = room.member(USERS[2], 'leave', BOB);
    const after = foreign.add({
      sender: USERS[2],
      type: 'm.room.message',
      content: { body: 'not any more' },
      prev: [kick.eventId],
    });
    for (const event of [theirs, topic, kick]) expect(await room.receive(event)).toEqual({ kind: 'accept' });
    expect(await room.receive(theirs)).toEqual({ kind: 'accept' });
    expect(await room.receive(after)).toEqual({ kind: 'accept' });
    for (const event of [theirs, topic, kick, after]) expect(eventById(room.reader, event.eventId)).toBeUndefined();
    expect([...heldEventsOf(room.reader, room.roomOf())]).toHaveLength(4);

    expect(await room.complete()).toBe(true);
    expect(await room.judgeHeld()).toMatchObject([
      { kind: 'accept' },
      { kind: 'accept' },
      { kind: 'accept' },
      { kind: 'reject' },
    ]);
    expect([...heldEventsOf(room.reader, room.roomOf())]).toEqual([]);
    for (const event of [theirs, topic, kick]) {
      expect(room.around(event.eventId)).toEqual({ before: event.before, after: event.after });
    }
    expect(eventById(room.reader, after.eventId)).toBeUndefined();
    expect(room.around(mine).before).toEqual(join.after);
    expect(room.current()).toEqual(kick.after);
    expect(room.standing()).toMatchObject({ joined: 5, left: 1 });
    expect(await room.isReplayedEqual()).toBe(true);
  });

  it('holds an event once, however often it is sent', async () => {
    const room = await partly();
    const theirs = room.foreign.add({ sender: USERS[0], type: 'm.room.message', content: { body: 'again' } });
    expect(await room.receive(theirs)).toEqual({ kind: 'accept' });
    const { frontier } = room.reader;
    for (let times = 0; times < 3; times += 1) expect(await room.receive(theirs)).toEqual({ kind: 'accept' });
    expect(room.reader.frontier).toBe(frontier);
  });

  it('decides nothing about those it may not know', async () => {
    const room = await partly();
    for (const [target, membership] of [
      [USERS[0], 'leave'],
      [USERS[0], 'ban'],
      ['@new:localhost', 'invite'],
    ] as const) {
      await expect(room.send('m.room.member', { membership }, target)).rejects.toMatchObject({ status: 503 });
    }
    const joining = { sender: SECOND, type: 'm.room.member', stateKey: SECOND, content: { membership: 'join' } };
    await expect(room.rooms.send(room.foreign.roomId, joining)).rejects.toMatchObject({ status: 503 });
    expect(await room.complete()).toBe(true);
    await room.send('m.room.member', { membership: 'leave' }, USERS[0]);
    expect(membershipOf(room.reader, room.roomOf(), USERS[0])).toBe('leave');
  });

  it('goes on where it was broken off', async () => {
    const room = await partly();
    room.disk.partsBeforeFull = 0;
    await expect(room.complete()).rejects.toThrow(NotWritten);
    const message = await room.send('m.room.message', { body: 'in between' });
    room.disk.partsBeforeFull = Number.POSITIVE_INFINITY;
    expect(await room.complete()).toBe(true);
    expect(await room.complete()).toBe(false);
    expect(room.around(message)).toEqual({ before: room.join.after, after: room.join.after });
    expect(await room.isReplayedEqual()).toBe(true);
  });

  it('is left, and entered anew', async () => {
    const room = await partly();
    await room.send('m.room.member', { membership: 'leave' }, LOCAL);
    expect(room.rooms.isResident(room.foreign.roomId)).toBe(false);
    expect(await room.complete()).toBe(false);
    room.member(LOCAL, 'leave');
    const again = room.member(LOCAL, 'join');
    expect(await room.enter(again)).toEqual({ kind: 'accept' });
    expect(isPartial(room.reader, room.roomOf())).toBe(false);
    expect(room.current()).toEqual(again.after);
    expect(room.standing()).toMatchObject({ servers: ['a.org', 'b.org', 'localhost', 's.org', 't.org'] });
    expect(await room.isReplayedEqual()).toBe(true);
  });
});
