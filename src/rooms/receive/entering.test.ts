import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { check } from '#projections/engine/replay.ts';
import { roomsProjection } from '#projections/rooms/projection.ts';
import { eventAt, findRoom, headOf, membershipOf, membersOf, serversIn } from '#projections/rooms/queries.ts';
import { MAIN_LINE, stateEntriesAt } from '#projections/rooms/state/index.ts';
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
  return {
    foreign,
    disk,
    rooms,
    reader,
    member: (userId: string, membership: string, sender = userId) =>
      foreign.add({ sender, type: 'm.room.member', stateKey: userId, content: { membership } }),
    enter: async (join: ForeignEvent) => {
      await receiver.receiveOutliers(foreign.room, 'a.org', foreign.withAuthChain(join.before.values()));
      return receiver.receiveEntry(foreign.room, 'a.org', join.pdu, join.before.values(), isOurs);
    },
    receive: (event: ForeignEvent) => receiver.receive(foreign.room, 'a.org', event.pdu),
    roomOf,
    current: () => {
      const version = headOf(reader, roomOf())?.stateVersion ?? -1;
      const entries = [...stateEntriesAt(reader, roomOf(), { branch: MAIN_LINE, version })];
      return new Map(
        entries.map(({ type, stateKey, event }) => [keyOf(type, stateKey), eventAt(reader, event)?.eventId ?? '']),
      );
    },
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
