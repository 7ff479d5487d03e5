import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { check } from '#projections/engine/replay.ts';
import { stateAfter, stateBefore } from '#projections/rooms/event-row.ts';
import { knownEvent, resolutionEventAt } from '#projections/rooms/known-events.ts';
import { roomsProjection } from '#projections/rooms/projection.ts';
import {
  eventAt,
  eventById,
  findRoom,
  headOf,
  membershipOf,
  serversIn,
  stateEvent,
  stateEventPosition,
  timelineBackwards,
} from '#projections/rooms/queries.ts';
import { MAIN_LINE, type StateRef, stateEntriesAt } from '#projections/rooms/state/index.ts';
import { contentHash, eventIdOf } from '#protocol/hashing.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { signJson } from '#protocol/signing.ts';
import { MatrixError } from '#src/http/errors.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { Rooms } from '../rooms.ts';
import { MAX_FORWARD_EXTREMITIES } from './check-extremities.ts';
import { checkForm } from './check-form.ts';
import {
  ANN,
  allKeys,
  BOB,
  type ForeignEvent,
  type ForeignEventSpec,
  ForeignRoom,
  keyOf,
  keyOfServer,
  LOCAL,
  missingEventsOf,
} from './foreign-room.test-support.ts';
import { type Enqueued, Receiver } from './receiver.ts';
import { recordOf } from './record.ts';

const cleanUps: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A server that has come into a foreign room. */
async function entered(version = '12') {
  const foreign = new ForeignRoom(version);
  const dir = await mkdtemp(path.join(tmpdir(), 'stele-receiver-'));
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
  const rooms = new Rooms({
    log,
    reader,
    serverName: 'localhost',
    signingKey: keyOfServer('localhost'),
    clock,
    newRecordId: () => randomBytes(16),
    newStreamId: () => randomBytes(15).toString('base64url'),
    newEventLocalpart: () => randomBytes(18).toString('base64url'),
  });
  const asked: string[] = [];
  const receiver = new Receiver({ reader, rooms, clock, keys: allKeys, missing: missingEventsOf(foreign, asked) });
  const join = foreign.add({ sender: LOCAL, type: 'm.room.member', stateKey: LOCAL, content: { membership: 'join' } });
  await receiver.receiveOutliers(foreign.room, 'a.org', foreign.withAuthChain(join.before.values()));
  const isOurs = (userId: string): boolean => userId.endsWith(':localhost');
  expect(await receiver.receiveEntry(foreign.room, 'a.org', join.pdu, join.before.values(), isOurs)).toEqual({
    kind: 'accept',
  });
  const room = findRoom(reader, foreign.roomId);
  if (room === undefined) throw new Error('the room is not there');

  const receive = (event: ForeignEvent) => receiver.receive(foreign.room, 'a.org', event.pdu);
  const idOf = (position: number) => eventAt(reader, position)?.eventId ?? `(${position})`;
  const stateAt = (ref: StateRef): ReadonlyMap<string, string> => {
    const entries = [...stateEntriesAt(reader, room.id, ref)];
    return new Map(entries.map(({ type, stateKey, event }) => [keyOf(type, stateKey), idOf(event)]));
  };
  return {
    foreign,
    log,
    engine,
    reader,
    rooms,
    receiver,
    asked,
    room,
    receive,
    stateAt,
    add: (spec: ForeignEventSpec) => foreign.add(spec),
    current: () => stateAt({ branch: MAIN_LINE, version: headOf(reader, room.id)?.stateVersion ?? -1 }),
    timeline: () =>
      [...timelineBackwards(reader, room.id, -1, log.head())].map(({ position }) => idOf(position)).reverse(),
    extremities: () => headOf(reader, room.id)?.extremities ?? [],
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

const message = (sender: string, body: string, more: Partial<ForeignEventSpec> = {}): ForeignEventSpec => ({
  sender,
  type: 'm.room.message',
  content: { body },
  ...more,
});
const state = (sender: string, type: string, content: JsonObject, more: Partial<ForeignEventSpec> = {}) => ({
  sender,
  type,
  stateKey: '',
  content,
  ...more,
});
const member = (sender: string, target: string, membership: string, more: Partial<ForeignEventSpec> = {}) => ({
  sender,
  type: 'm.room.member',
  stateKey: target,
  content: { membership },
  ...more,
});

describe.each(['1', '2', '6', '10', '11', '12'])('a room of version %s on another server', (version) => {
  it('is entered with the state that the server tells, and goes on in both directions', async () => {
    const it = await entered(version);
    expect(it.current()).toEqual(it.foreign.events.get(it.foreign.last)?.after);
    expect(membershipOf(it.reader, it.room.id, LOCAL)).toBe('join');
    expect(headOf(it.reader, it.room.id)?.joined).toBe(3);

    const hello = it.add(message(ANN, 'hello'));
    expect(await it.receive(hello)).toEqual({ kind: 'accept' });
    const { eventId } = await it.rooms.send(it.foreign.roomId, { sender: LOCAL, type: 'm.room.message', content: {} });
    expect(it.timeline().slice(-2)).toEqual([hello.eventId, eventId]);
    expect(it.extremities()).toEqual([eventId]);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('comes to the state that resolution makes of its forks', async () => {
    const it = await entered(version);
    const base = it.foreign.last;
    const ban = it.add(member(ANN, BOB, 'ban', { prev: [base] }));
    const topic = it.add(state(BOB, 'm.room.topic', { topic: 'mine' }, { prev: [base] }));
    const name = it.add(state(ANN, 'm.room.name', { name: 'Forked' }, { prev: [topic.eventId] }));
    expect(await it.receive(topic)).toEqual({ kind: 'accept' });
    expect(await it.receive(name)).toEqual({ kind: 'accept' });
    expect(await it.receive(ban)).toEqual({ kind: 'accept' });
    expect(it.extremities()).toEqual([name.eventId, ban.eventId]);
    expect(it.current()).toEqual(it.foreign.resolve([name.after, ban.after]));
    expect(membershipOf(it.reader, it.room.id, BOB)).toBe('ban');

    const { eventId } = await it.rooms.send(it.foreign.roomId, { sender: LOCAL, type: 'm.room.message', content: {} });
    expect(it.extremities()).toEqual([eventId]);
    expect(eventById(it.reader, eventId)?.fork).toBeUndefined();
    expect(await it.isReplayedEqual()).toBe(true);
  });
});

describe('an event of another server', () => {
  it('is dropped when it is malformed, of another room or wrongly signed', async () => {
    const it = await entered();
    const { pdu } = it.add(message(ANN, 'hello'));
    const head = it.log.head();
    const receive = (event: JsonObject) => it.receiver.receive(it.foreign.room, 'a.org', event);
    expect(await receive({ ...pdu, depth: 'deep' })).toMatchObject({ kind: 'drop', step: 'form' });
    expect(await receive({ ...pdu, room_id: '!other:a.org' })).toMatchObject({ kind: 'drop', step: 'form' });
    expect(await receive({ ...pdu, signatures: {} })).toMatchObject({ kind: 'drop', step: 'signatures' });
    expect(await receive({ ...pdu, sender: '@eve:e.org' })).toMatchObject({ kind: 'drop', step: 'signatures' });
    expect(await receive({ ...pdu, origin_server_ts: 5 })).toMatchObject({ kind: 'drop', step: 'signatures' });
    expect(it.log.head()).toBe(head);
  });

  it('counts as redacted when its content is not what was signed', async () => {
    const it = await entered();
    const { pdu, eventId } = it.add(message(ANN, 'hello'));
    expect(await it.receiver.receive(it.foreign.room, 'a.org', { ...pdu, content: { body: 'forged' } })).toEqual({
      kind: 'accept',
    });
    expect(eventById(it.reader, eventId)?.contentJson).toBe('{}');
  });

  it('keeps its numbers and its time to the last digit before version 6, and a replay does too', async () => {
    const it = await entered('3');
    const { rules } = it.foreign;
    const plain = it.add({ sender: ANN, type: 'm.room.power_levels', stateKey: '', content: {} });
    const { hashes: _, signatures: __, ...draft } = plain.pdu;
    const levels =
      '{"events":{"x":1e1},"huge":-100000000000000000000001,"users":{"@ann:a.org":100,"@bob:b.org":50.75}}';
    const [time, content] = ['9007199254740993', levels].map((text) => parseJsonExactly(text));
    const unhashed = { ...draft, content, origin_server_ts: time } as JsonObject;
    const hashed = { ...unhashed, hashes: { sha256: contentHash(unhashed, rules) } } as unknown as Pdu;
    const { signatures } = signJson(redact(hashed, rules), 'a.org', keyOfServer('a.org'), 'loose');
    const pdu = { ...hashed, signatures } as Pdu;
    const eventId = eventIdOf(pdu, rules);
    expect(await it.receiver.receive(it.foreign.room, 'a.org', pdu)).toEqual({ kind: 'accept' });
    const known = knownEvent(it.reader, eventId) ?? expect.fail();
    expect(known.row).toMatchObject({ contentJson: levels.replace('1e1', '10.0'), originServerTs: 2 ** 53 });
    const room = { id: known.row.room, roomId: it.foreign.roomId, rules };
    expect(resolutionEventAt(it.reader, room, known.position)?.originServerTs).toBe(9007199254740993n);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('is recorded once, whoever sends it how often', async () => {
    const it = await entered();
    const hello = it.add(message(ANN, 'hello'));
    await it.receive(hello);
    const head = it.log.head();
    const again = await Promise.all([it.receive(hello), it.receive(hello)]);
    expect(again).toEqual([{ kind: 'accept' }, { kind: 'accept' }]);
    expect(it.log.head()).toBe(head);
  });

  it('is rejected when the rules refuse it where it stands, and what names it to authorise itself is rejected too', async () => {
    const it = await entered();
    const eve = '@eve:e.org';
    const seize = it.add(state(BOB, 'm.room.power_levels', { users: { [eve]: 100 } }));
    expect(seize.isAllowed).toBe(false);
    const verdict = await it.receive(seize);
    expect(verdict).toMatchObject({ kind: 'reject', step: 'auth_events' });
    expect(knownEvent(it.reader, seize.eventId)).toMatchObject({ disposition: 'rejected' });
    expect(eventById(it.reader, seize.eventId)).toBeUndefined();
    expect(it.timeline()).not.toContain(seize.eventId);
    expect(await it.receive(seize)).toMatchObject({ kind: 'reject' });

    const auth = [seize.eventId, stateIdOf(it, 'm.room.member', ANN)];
    const follows = it.add(message(ANN, 'then', { auth }));
    expect(await it.receive(follows)).toMatchObject({ kind: 'reject', step: 'auth_events' });
    expect(it.current()).toEqual(it.foreign.events.get(it.foreign.ends[0] ?? '')?.after);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('is soft-failed when the room as it is refuses it, and counts for what follows it', async () => {
    const it = await entered();
    const base = it.foreign.last;
    const ban = it.add(member(ANN, BOB, 'ban', { prev: [base] }));
    const evasion = it.add(message(BOB, 'still here', { prev: [base] }));
    await it.receive(ban);
    expect(await it.receive(evasion)).toMatchObject({ kind: 'soft_fail', step: 'current_state' });
    expect(it.timeline()).not.toContain(evasion.eventId);
    expect(it.extremities()).toEqual([ban.eventId]);

    const merge = it.add(message(ANN, 'all', { prev: [ban.eventId, evasion.eventId] }));
    expect(await it.receive(merge)).toEqual({ kind: 'accept' });
    expect(it.extremities()).toEqual([merge.eventId]);
    expect(it.current()).toEqual(merge.after);
  });

  it('brings what it follows with it, where that is missing', async () => {
    const it = await entered();
    const missed = [1, 2, 3].map((n) => it.add(state(ANN, 'm.room.topic', { topic: `${n}` })));
    const newest = it.add(message(ANN, 'after them'));
    expect(await it.receive(newest)).toEqual({ kind: 'accept' });
    expect(it.asked).toEqual(['between']);
    expect(it.timeline().slice(-4)).toEqual([...missed, newest].map(({ eventId }) => eventId));
    expect(it.current()).toEqual(newest.after);
    expect(it.extremities()).toEqual([newest.eventId]);
  });

  it('has the state that its server tells, where the gap is too wide', async () => {
    const it = await entered();
    const missed = Array.from({ length: 120 }, (_, n) => it.add(state(ANN, 'm.room.topic', { topic: `${n}` })));
    const newest = it.add(message(ANN, 'far away'));
    expect(await it.receive(newest)).toEqual({ kind: 'accept' });
    expect(it.current()).toEqual(newest.after);
    expect(it.timeline()).not.toContain(missed[0]?.eventId);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it.each(['1', '2', '12'])('follows, in version %s, what a peer tells of the past with its state', async (version) => {
    const it = await entered(version);
    const base = it.foreign.last;
    const b = it.add(state(ANN, 'm.test', { b: 1 }, { prev: [base], stateKey: 'B' }));
    const told = it.add(state(ANN, 'm.test', { t: 1 }, { prev: [base], stateKey: 'T' }));
    const y = it.add(state(ANN, 'm.test', { y: 1 }, { prev: [told.eventId], stateKey: 'Y' }));
    const x = it.add(message(ANN, 'x', { prev: [b.eventId, y.eventId] }));
    const c = it.add(message(ANN, 'c', { prev: [b.eventId, x.eventId] }));
    await it.receive(b);
    const receiver = new Receiver({
      reader: it.reader,
      rooms: it.rooms,
      clock: Date.now,
      keys: allKeys,
      missing: { ...missingEventsOf(it.foreign), between: async () => [x.pdu] },
    });
    expect(await receiver.receive(it.foreign.room, 'a.org', c.pdu)).toEqual({ kind: 'accept' });
    expect(it.timeline().slice(-2)).toEqual([x.eventId, c.eventId]);
    expect(it.current()).toEqual(c.after);
    expect(it.current().get(keyOf('m.test', 'Y'))).toBe(y.eventId);
  });

  it('is history when it comes later, and seen at its depth by nobody as new', async () => {
    const it = await entered();
    const missed = Array.from({ length: 120 }, (_, n) => it.add(message(ANN, `${n}`)));
    await it.receive(it.add(message(ANN, 'far away')));
    const timeline = it.timeline();
    const extremities = it.extremities();
    const tail = missed.slice(40, 50);
    const taken = await it.receiver.receiveHistory(it.foreign.room, 'a.org', tail.map(({ pdu }) => pdu).reverse());
    expect(taken).toBe(tail.length);
    expect(it.timeline()).toEqual(timeline);
    for (const { eventId } of tail) expect(eventById(it.reader, eventId)?.fork).toBeDefined();
    expect(it.extremities()).toEqual(extremities);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('redacts what it may, also what comes after it', async () => {
    const it = await entered();
    const target = it.add(message(BOB, 'oops'));
    const redaction = it.add({ sender: BOB, type: 'm.room.redaction', content: { redacts: target.eventId } });
    const mean = it.add(message(ANN, 'keep'));
    const meanwhile = it.add({ sender: LOCAL, type: 'm.room.redaction', content: { redacts: mean.eventId } });
    for (const event of [target, redaction, mean, meanwhile])
      expect(await it.receive(event)).toEqual({ kind: 'accept' });
    expect(eventById(it.reader, target.eventId)).toMatchObject({ contentJson: '{}' });
    expect(eventById(it.reader, mean.eventId)).toMatchObject({ contentJson: '{"body":"keep"}' });
    expect(it.timeline()).toContain(redaction.eventId);
    expect(it.timeline()).not.toContain(meanwhile.eventId);

    const late = it.add(message(BOB, 'late', { prev: [target.eventId] }));
    const early = it.add({
      sender: BOB,
      type: 'm.room.redaction',
      content: { redacts: late.eventId },
      prev: [meanwhile.eventId],
    });
    await it.receive(early);
    await it.receive(late);
    expect(eventById(it.reader, late.eventId)).toMatchObject({ contentJson: '{}' });
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('is turned away for later when its auth events or its keys cannot be had', async () => {
    const it = await entered();
    const nobody = {
      between: async () => [],
      stateBefore: async () => undefined,
      events: async () => [],
      stateEventsBefore: async () => [],
    };
    const options = { reader: it.reader, rooms: it.rooms, clock: Date.now, keys: allKeys, missing: nobody };
    const lonely = new Receiver(options);
    const carol = it.add(member('@carol:c.org', '@carol:c.org', 'join'));
    const follows = it.add(message('@carol:c.org', 'hello'));
    expect(await lonely.receive(it.foreign.room, 'a.org', follows.pdu)).toMatchObject({
      kind: 'retry',
      step: 'auth_events_known',
    });
    const locked = new Receiver({ ...options, keys: { keysFor: async () => new Map() } });
    expect(await locked.receive(it.foreign.room, 'a.org', carol.pdu)).toMatchObject({
      kind: 'retry',
      step: 'signatures',
    });
    expect(await lonely.receive(it.foreign.room, 'a.org', carol.pdu)).toEqual({ kind: 'accept' });
    expect(await lonely.receive(it.foreign.room, 'a.org', follows.pdu)).toEqual({ kind: 'accept' });
  });

  it('gets its place when it comes after it was known without one', async () => {
    const it = await entered();
    const carol = it.add(member('@carol:c.org', '@carol:c.org', 'join'));
    const hello = it.add(message('@carol:c.org', 'hello'));
    await it.receiver.receiveOutliers(it.foreign.room, 'a.org', [carol.pdu]);
    expect(knownEvent(it.reader, carol.eventId)).toMatchObject({ disposition: 'outlier' });
    expect([...serversIn(it.reader, it.room.id)]).toEqual(['a.org', 'b.org', 'localhost']);
    // What is kept aside is in the room's stream, too.
    await it.rooms.send(it.foreign.roomId, { sender: LOCAL, type: 'm.room.message', content: {} });
    expect(await it.receive(carol)).toEqual({ kind: 'accept' });
    expect(await it.receive(hello)).toEqual({ kind: 'accept' });
    expect(it.timeline().slice(-2)).toEqual([carol.eventId, hello.eventId]);
    expect([...serversIn(it.reader, it.room.id)]).toContain('c.org');
    expect(membershipOf(it.reader, it.room.id, '@carol:c.org')).toBe('join');
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('is taken in after all when it was rejected by mistake, and comes again', async () => {
    const it = await entered();
    const topic = it.add(state(ANN, 'm.room.topic', { topic: 'right' }));
    const receipt = checkForm(it.foreign.room, 'a.org', topic.pdu);
    if ('kind' in receipt) throw new Error(receipt.kind);
    const mistaken = recordOf(it.rooms, receipt, { disposition: 'rejected', reason: 'a rule held wrongly' });
    await it.rooms.recordAside(it.foreign.room, [mistaken]);
    const follows = it.add(message(ANN, 'after it'));
    expect(await it.receive(topic)).toEqual({ kind: 'accept' });
    expect(await it.receive(follows)).toEqual({ kind: 'accept' });
    expect(it.timeline().slice(-2)).toEqual([topic.eventId, follows.eventId]);
    expect(it.current()).toEqual(follows.after);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('does not make a room fall apart', async () => {
    const it = await entered();
    const base = it.foreign.last;
    const forks = Array.from({ length: MAX_FORWARD_EXTREMITIES + 1 }, (_, n) =>
      it.add(message(ANN, `${n}`, { prev: [base] })),
    );
    const last = forks.pop();
    for (const fork of forks) expect(await it.receive(fork)).toEqual({ kind: 'accept' });
    if (last === undefined) throw new Error('no forks');
    expect(await it.receive(last)).toMatchObject({ kind: 'soft_fail', step: 'extremities' });
    await it.rooms.send(it.foreign.roomId, { sender: LOCAL, type: 'm.room.message', content: {} });
    expect(it.extremities()).toHaveLength(MAX_FORWARD_EXTREMITIES - 20 + 1);
    expect(await it.isReplayedEqual()).toBe(true);
  });
});

function stateIdOf(it: Awaited<ReturnType<typeof entered>>, type: string, stateKey: string): string {
  return stateEvent(it.reader, it.room.id, type, stateKey)?.eventId ?? '';
}

/** What somebody may do next, anywhere in the graph. */
const act = fc.record({
  who: fc.constantFrom(ANN, BOB, LOCAL, '@eve:e.org'),
  what: fc.constantFrom('message', 'topic', 'name', 'ban', 'kick', 'join', 'leave', 'levels', 'rules', 'invite'),
  whom: fc.constantFrom(BOB, LOCAL, '@eve:e.org', '@carol:c.org'),
  /** How far back the events lie that it follows. */
  behind: fc.array(fc.nat(6), { minLength: 1, maxLength: 3 }),
  level: fc.constantFrom(0, 25, 50, 100),
});

function specOf({ who, what, whom, level }: Omit<typeof act extends fc.Arbitrary<infer T> ? T : never, 'behind'>) {
  switch (what) {
    case 'message':
      return message(who, 'text');
    case 'topic':
    case 'name':
      return state(who, `m.room.${what}`, { [what]: `${level}` });
    case 'ban':
      return member(who, whom, 'ban');
    case 'kick':
      return member(who, whom, 'leave');
    case 'invite':
      return member(who, whom, 'invite');
    case 'join':
    case 'leave':
      return member(who, who, what);
    case 'levels':
      return state(who, 'm.room.power_levels', { users: { [BOB]: level, [whom]: level } });
    default:
      return state(who, 'm.room.join_rules', { join_rule: level > 50 ? 'invite' : 'public' });
  }
}

describe('any graph', () => {
  it('has around each event, and now, the state that resolution makes of it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('6', '11', '12'),
        fc.array(act, { minLength: 1, maxLength: 30 }),
        async (version, acts) => {
          const it = await entered(version);
          const order = [...it.foreign.events.keys()];
          for (const { behind, ...one } of acts) {
            const prev = [...new Set(behind.map((back) => order.at(-1 - Math.min(back, order.length - 6)) ?? ''))];
            const event = it.add({ ...specOf(one), prev });
            const verdict = await it.receive(event);
            expect(verdict.kind === 'reject').toBe(!event.isAllowed);
            const known = knownEvent(it.reader, event.eventId);
            if (known === undefined) throw new Error('the event is not there');
            expect(it.stateAt(stateBefore(known.row))).toEqual(event.before);
            expect(it.stateAt(stateAfter(known.row))).toEqual(event.after);
            if (verdict.kind !== 'reject') order.push(event.eventId);
          }
          const ends = it.extremities().map((eventId) => it.foreign.events.get(eventId)?.after ?? new Map());
          expect(it.current()).toEqual(it.foreign.resolve(ends));
          for (const [key, eventId] of it.current()) {
            const [type, stateKey] = JSON.parse(key) as [string, string];
            if (type === 'm.room.member') {
              const content = it.foreign.events.get(eventId)?.pdu.content;
              expect(membershipOf(it.reader, it.room.id, stateKey)).toBe(content?.membership);
            }
            expect(stateEventPosition(it.reader, it.room.id, type, stateKey)).toBeDefined();
          }
          expect(await it.isReplayedEqual()).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  });
});

/** What happens in a room in which many speak at once, some of them here. */
const someAct = fc.record({
  act,
  isLocal: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
  isSaying: fc.integer({ min: 0, max: 2 }).map((n) => n > 0),
  follows: fc.constantFrom('all', 'an end', 'an end', 'some'),
});

describe('events that come while others are on their way to the disk', () => {
  it('follow them without waiting, and ask nobody for them', async () => {
    const it = await entered();
    const enqueued: Enqueued[] = [];
    for (let count = 0; count < 20; count += 1) {
      const event = it.add(
        count % 5 === 4 ? state(ANN, 'm.room.name', { name: `${count}` }) : message(BOB, `${count}`),
      );
      enqueued.push(await it.receiver.enqueue(it.foreign.room, 'a.org', event.pdu));
    }
    // Not one of them waited for its record.
    expect(enqueued.every(({ verdict }) => verdict instanceof Promise)).toBe(true);
    const verdicts = await Promise.all(enqueued.map(({ verdict }) => verdict));
    expect(verdicts.every(({ kind }) => kind === 'accept')).toBe(true);
    expect(it.asked).toEqual([]);
    expect(it.extremities()).toEqual([it.foreign.last]);
    expect(it.current()).toEqual(it.foreign.events.get(it.foreign.last)?.after);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('do not wait for them either where they know nothing of each other', async () => {
    const it = await entered();
    const base = it.foreign.last;
    const name = it.add(state(ANN, 'm.room.name', { name: 'Forked' }, { prev: [base] }));
    const topic = it.add(state(BOB, 'm.room.topic', { topic: 'mine' }, { prev: [base] }));
    for (const fork of [name, topic]) expect(await it.receive(fork)).toEqual({ kind: 'accept' });
    const now = it.current();
    const enqueued: Enqueued[] = [];
    let [ann, bob] = [name.eventId, topic.eventId];
    for (let count = 0; count < 10; count += 1) {
      const one = it.add(message(ANN, `${count}`, { prev: [ann] }));
      const other = it.add(message(BOB, `${count}`, { prev: [bob] }));
      [ann, bob] = [one.eventId, other.eventId];
      for (const { pdu } of [one, other]) enqueued.push(await it.receiver.enqueue(it.foreign.room, 'a.org', pdu));
    }
    expect(enqueued.every(({ verdict }) => verdict instanceof Promise)).toBe(true);
    for (const { verdict } of enqueued) expect(await verdict).toEqual({ kind: 'accept' });
    expect(it.extremities()).toEqual([ann, bob]);
    expect(it.current()).toEqual(now);
    for (const [end, before] of [
      [ann, name],
      [bob, topic],
    ] as const) {
      const row = knownEvent(it.reader, end)?.row;
      expect(row && it.stateAt(stateAfter(row))).toEqual(before.after);
    }
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('are there once, if they come twice at once beside others', async () => {
    const it = await entered();
    const base = it.foreign.last;
    const [one, other] = [ANN, BOB].map((who) => it.add(message(who, 'hello', { prev: [base] })));
    if (one === undefined || other === undefined) throw new Error('no events');
    const verdicts = await Promise.all([one, other, other, one].map((event) => it.receive(event)));
    expect(verdicts.every(({ kind }) => kind === 'accept')).toBe(true);
    expect([...it.extremities()].sort()).toEqual([one.eventId, other.eventId].sort());
    expect(it.timeline().filter((eventId) => eventId === other.eventId)).toHaveLength(1);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('are judged by what those say', async () => {
    const it = await entered();
    const ban = it.add(member(ANN, BOB, 'ban'));
    const after = it.add(message(BOB, 'still here', { prev: [ban.eventId] }));
    const beside = it.add(message(BOB, 'from before', { prev: [...it.foreign.events.keys()].slice(-3, -2) }));
    const enqueued = await it.receiver.enqueue(it.foreign.room, 'a.org', ban.pdu);
    expect((await it.receive(after)).kind).toBe('reject');
    expect((await it.receive(beside)).kind).toBe('soft_fail');
    expect(await enqueued.verdict).toEqual({ kind: 'accept' });
    expect(it.timeline().at(-1)).toBe(ban.eventId);
    expect(await it.isReplayedEqual()).toBe(true);
  });

  it('are there once, if they come twice at once', async () => {
    const it = await entered();
    const event = it.add(message(ANN, 'once'));
    const verdicts = await Promise.all([it.receive(event), it.receive(event), it.receive(event)]);
    expect(verdicts).toEqual([{ kind: 'accept' }, { kind: 'accept' }, { kind: 'accept' }]);
    expect(it.timeline().filter((eventId) => eventId === event.eventId)).toHaveLength(1);
    expect(it.log.head()).toBe(eventById(it.reader, event.eventId)?.position);
  });

  it('that are redacted before they come have no more content than others see', async () => {
    const it = await entered();
    const name = it.add(state(ANN, 'm.room.name', { name: 'secret' }));
    const redaction = it.add({
      sender: ANN,
      type: 'm.room.redaction',
      content: { redacts: name.eventId },
      prev: [it.timeline().at(-1) ?? ''],
    });
    expect(await it.receive(redaction)).toEqual({ kind: 'accept' });
    expect(await it.receive(name)).toEqual({ kind: 'accept' });
    expect(it.rooms.state(it.foreign.roomId, 'm.room.name', '')?.content).toEqual({});
  });

  it('make with local ones, in any order, the room that resolution makes of them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('6', '11', '12'),
        fc.array(someAct, { minLength: 2, maxLength: 24 }),
        async (version, acts) => {
          const it = await entered(version);
          const { roomId } = it.foreign;
          const order = [...it.foreign.events.keys()];
          let ends: string[] = [...it.extremities()];
          const underway: Promise<unknown>[] = [];
          const goOn = (event: ForeignEvent, prev: readonly string[]): void => {
            order.push(event.eventId);
            ends = [...ends.filter((id) => !prev.includes(id)), event.eventId];
          };
          for (const [
            index,
            {
              act: { behind, ...one },
              isLocal,
              follows,
              isSaying,
            },
          ] of acts.entries()) {
            const said = isSaying ? ({ ...one, what: 'message' } as const) : one;
            if (isLocal) {
              const { stateKey, type, content = {} } = specOf({ ...said, who: LOCAL });
              const event = {
                sender: LOCAL,
                type,
                content,
                ...(stateKey !== undefined && { stateKey }),
                originServerTs: 1_900_000_000_000 + index,
              };
              try {
                const built = it.rooms.sign(it.rooms.draft(roomId, event), it.foreign.rules);
                const adopted = it.foreign.adopt(built.pdu, built.eventId);
                expect(adopted.isAllowed).toBe(true);
                underway.push(it.rooms.send(roomId, event).then(({ eventId }) => expect(eventId).toBe(built.eventId)));
                goOn(adopted, [...it.foreign.events.keys()]);
              } catch (error) {
                if (!(error instanceof MatrixError)) throw error;
              }
              continue;
            }
            const some = [...new Set(behind.map((back) => order.at(-1 - Math.min(back, order.length - 6)) ?? ''))];
            const prev =
              follows === 'all'
                ? ends.slice(0, 20)
                : follows === 'an end'
                  ? [ends[(behind[0] ?? 0) % ends.length] ?? '']
                  : some;
            const event = it.add({ ...specOf(said), prev });
            const now = it.foreign.resolve(ends.map((eventId) => it.foreign.events.get(eventId)?.after ?? new Map()));
            const { verdict } = await it.receiver.enqueue(it.foreign.room, 'a.org', event.pdu);
            const letIn = it.foreign.isAllowedIn(event, now) ? 'accept' : 'soft_fail';
            underway.push(
              Promise.resolve(verdict).then(({ kind }) => expect(kind).toBe(event.isAllowed ? letIn : 'reject')),
            );
            const known = verdict instanceof Promise ? 'accept' : verdict.kind;
            if (known === 'accept') goOn(event, prev);
            else if (known === 'soft_fail') order.push(event.eventId);
          }
          await Promise.all(underway);
          for (const eventId of order) {
            const event = it.foreign.events.get(eventId);
            const known = knownEvent(it.reader, eventId);
            if (known === undefined || event === undefined) throw new Error('the event is not there');
            if (known.disposition === 'outlier') continue;
            expect(it.stateAt(stateBefore(known.row))).toEqual(event.before);
            expect(it.stateAt(stateAfter(known.row))).toEqual(event.after);
          }
          const states = it.extremities().map((eventId) => it.foreign.events.get(eventId)?.after ?? new Map());
          expect(it.current()).toEqual(it.foreign.resolve(states));
          expect([...it.extremities()].sort()).toEqual([...ends].sort());
          expect(await it.isReplayedEqual()).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });
});
