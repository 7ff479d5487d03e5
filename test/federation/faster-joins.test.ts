/** Rooms that a server comes into before it knows all their members. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { remoteListOf } from '#projections/encryption/key-queries.ts';
import { stateAfter, stateBefore } from '#projections/rooms/event-row.ts';
import { heldEventsOf, isPartial, partialRoom } from '#projections/rooms/partial.ts';
import { eventAt, eventById, findRoom, headOf, membershipOf, settledSince } from '#projections/rooms/queries.ts';
import { type StateRef, stateEntriesAt } from '#projections/rooms/state/index.ts';
import { settledStates, takenStates } from '#projections/rooms/tables.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { removeRoom } from '#src/admin/remove-room.ts';
import { type EventAnswer, type RoomAnswer, type SyncAnswer, sync } from '#test/client-api/sync-client.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { sendEdusAs } from './two-in-a-room.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let three: TestServer;
let gate: StateGate;
let names = 0;

/** Holds back what a server tells of states until it is opened; every request to it is on a list. */
class StateGate {
  readonly asked: string[] = [];
  /** What to answer instead, while it is shut. */
  refusal: number | undefined;
  #isShut = false;
  #waiting: (() => void)[] = [];

  constructor({ http }: TestServer) {
    const listeners = http.server.listeners('request') as RequestListener[];
    http.server.removeAllListeners('request');
    http.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.asked.push(request.url ?? '');
      const goOn = (): void => {
        for (const listener of listeners) listener.call(http.server, request, response);
      };
      if (!this.#isShut || !request.url?.startsWith('/_matrix/federation/v1/state/')) return goOn();
      if (this.refusal === undefined) this.#waiting.push(goOn);
      else response.writeHead(this.refusal, { 'content-type': 'application/json' }).end('{"errcode":"M_UNKNOWN"}');
    });
  }

  shut(): void {
    this.#isShut = true;
    this.refusal = undefined;
  }

  open(): void {
    this.#isShut = false;
    for (const goOn of this.#waiting.splice(0)) goOn();
  }
}

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  three = await startServerOn(network, 'three.test', { federation: { faster_joins: false } });
  gate = new StateGate(one);
});
afterAll(async () => {
  gate.open();
  await one.close();
  await two.close();
  await three.close();
});

const inRoom = (roomId: string, rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;
const joinAt = (roomId: string, via = 'one.test'): string => `/join/${encodeURIComponent(roomId)}?via=${via}`;

/** Waits for something that the projections of a server show. */
async function until({ engine }: TestServer, isSo: () => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = engine.onAdvance(look);
    function look(): void {
      if (!isSo()) return;
      stop();
      resolve();
    }
    look();
  });
}

async function say(who: TestClient, roomId: string, body: string): Promise<string> {
  names += 1;
  const content = { msgtype: 'm.text', body };
  return String((await who.ok('PUT', inRoom(roomId, `/send/m.room.message/${names}`), content))['event_id']);
}

/** The state that a server has of a room, as event ids. */
function stateAt({ engine: { reader } }: TestServer, roomId: string, ref: StateRef): string[] {
  const room = findRoom(reader, roomId)?.id ?? -1;
  return [...stateEntriesAt(reader, room, ref)].map(({ event }) => eventAt(reader, event)?.eventId ?? '').sort();
}

function currentState(server: TestServer, roomId: string): string[] {
  const { reader } = server.engine;
  const version = headOf(reader, findRoom(reader, roomId)?.id ?? -1)?.stateVersion ?? -1;
  return stateAt(server, roomId, { branch: 0, version });
}

function around(server: TestServer, roomId: string, eventId: string) {
  const row = eventById(server.engine.reader, eventId) ?? expect.fail(`${eventId} is not shown at ${server.name}`);
  return { before: stateAt(server, roomId, stateBefore(row)), after: stateAt(server, roomId, stateAfter(row)) };
}

const isAwaiting = (server: TestServer, roomId: string): boolean =>
  isPartial(server.engine.reader, findRoom(server.engine.reader, roomId)?.id ?? -1);
const membershipAt = ({ engine: { reader } }: TestServer, roomId: string, userId: string): string | undefined =>
  membershipOf(reader, findRoom(reader, roomId)?.id ?? -1, userId);
const heldAt = (server: TestServer, roomId: string): number =>
  [...heldEventsOf(server.engine.reader, findRoom(server.engine.reader, roomId)?.id ?? -1)].length;
const isShown = (server: TestServer, eventId: string): boolean =>
  eventById(server.engine.reader, eventId) !== undefined;

/** Alice and two others of one.test in a room, and Bob of two.test who has just come in; his server knows no members yet. */
async function partly(more: object = {}, prepare: (bob: TestClient) => Promise<void> = async () => {}) {
  names += 1;
  const alice = await one.register(`alice${names}`);
  const others = [await one.register(`carl${names}`), await one.register(`dora${names}`)];
  const bob = await two.register(`bob${names}`);
  const created = await alice.ok('POST', '/createRoom', { preset: 'public_chat', name: 'Hall', ...more });
  const roomId = String(created['room_id']);
  const isPrivate = 'preset' in more && more.preset === 'private_chat';
  for (const { userId } of isPrivate ? [...others, bob] : []) {
    await alice.ok('POST', inRoom(roomId, '/invite'), { user_id: userId });
  }
  for (const other of others) await other.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
  await prepare(bob);
  gate.shut();
  const before = await sync(bob);
  await bob.ok('POST', joinAt(roomId), {});
  expect(isAwaiting(two, roomId)).toBe(true);
  return { alice, bob, others, roomId, before };
}

function roomIn({ rooms }: SyncAnswer, roomId: string): RoomAnswer {
  return rooms?.join?.[roomId] ?? expect.fail('the room is not in the sync');
}

const membersIn = (list: readonly EventAnswer[] | undefined): string[] =>
  (list ?? [])
    .flatMap(({ type, state_key: key }) => (type === 'm.room.member' && key !== undefined ? [key] : []))
    .sort();

describe('a user who comes into a room before its members are known', () => {
  it('sees it, and can write; what others write comes when they are', async () => {
    const { alice, bob, others, roomId, before } = await partly();
    const everybody = [alice, bob, ...others].map(({ userId }) => userId).sort();
    const seen = await sync(bob, { since: before.next_batch });
    const room = roomIn(seen, roomId);
    expect(room.state?.events.find(({ type }) => type === 'm.room.name')?.content).toEqual({ name: 'Hall' });
    expect(membersIn([...(room.state?.events ?? []), ...room.timeline.events])).toContain(bob.userId);

    const mine = await say(bob, roomId, 'hello');
    await until(one, () => isShown(one, mine));
    const theirs = await say(alice, roomId, 'welcome');
    await until(two, () => heldAt(two, roomId) === 1);
    expect(isShown(two, theirs)).toBe(false);
    const members = bob.ok('GET', inRoom(roomId, '/members'));
    const joined = bob.ok('GET', inRoom(roomId, '/joined_members'));
    const alicesMembership = bob.ok('GET', inRoom(roomId, `/state/m.room.member/${encodeURIComponent(alice.userId)}`));
    const lazily = { room: { state: { lazy_load_members: true } } };
    const lazyBefore = await sync(bob, { since: seen.next_batch, filter: lazily });

    gate.open();
    expect(membersIn((await members)['chunk'] as unknown as EventAnswer[])).toEqual(everybody);
    expect(Object.keys((await joined)['joined'] as unknown as object).sort()).toEqual(everybody);
    expect(await alicesMembership).toMatchObject({ membership: 'join' });
    await until(two, () => isShown(two, theirs));

    const whole = await sync(bob, { since: seen.next_batch });
    const { state, timeline, summary } = roomIn(whole, roomId);
    expect(timeline.events.map(({ event_id: eventId }) => eventId)).toEqual([mine, theirs]);
    expect(membersIn(state?.events)).toEqual(everybody.filter((userId) => userId !== bob.userId));
    expect(summary).toMatchObject({ 'm.joined_member_count': 4 });
    const lazy = (await sync(bob, { since: lazyBefore.next_batch, filter: lazily })).rooms?.join?.[
      roomId
    ] as RoomAnswer;
    expect(membersIn(lazy.state?.events)).toEqual([alice.userId]);
    expect(lazy.summary).toMatchObject({ 'm.joined_member_count': 4 });
    const quiet = await sync(bob, { since: whole.next_batch });
    expect(quiet.rooms?.join?.[roomId]).toBeUndefined();
    const first = roomIn(await sync(bob), roomId);
    expect(membersIn([...(first.state?.events ?? []), ...first.timeline.events])).toEqual(everybody);
  });

  it('is told who is there even if nobody says anything', async () => {
    const { alice, bob, others, roomId } = await partly();
    const seen = await sync(bob);
    gate.open();
    await until(two, () => !isAwaiting(two, roomId));
    const told = roomIn(await sync(bob, { since: seen.next_batch }), roomId);
    expect(membersIn(told.state?.events)).toEqual([alice, ...others].map(({ userId }) => userId).sort());
    expect(told.timeline.events).toEqual([]);
  });

  it('has the same room as others in the end, whatever both sides did meanwhile', async () => {
    const { alice, bob, others, roomId } = await partly({ power_level_content_override: { users_default: 50 } });
    const [carl, dora] = others as [TestClient, TestClient];
    const events = [await say(bob, roomId, 'one')];
    const set = async (who: TestClient, type: string, content: object): Promise<void> => {
      events.push(String((await who.ok('PUT', inRoom(roomId, `/state/${type}`), content))['event_id']));
    };
    await set(bob, 'm.room.topic', { topic: 'by Bob' });
    await set(carl, 'm.room.topic', { topic: 'by Carl' });
    await set(alice, 'org.example.note', { text: 'by Alice' });
    await dora.ok('POST', inRoom(roomId, '/leave'), {});
    events.push(await say(bob, roomId, 'two'), await say(alice, roomId, 'three'));
    await set(bob, 'org.example.note', { text: 'by Bob' });
    gate.open();
    await until(two, () => !isAwaiting(two, roomId) && events.every((eventId) => isShown(two, eventId)));
    await until(one, () => events.every((eventId) => isShown(one, eventId)));
    const last = await say(alice, roomId, 'the end');
    await until(two, () => isShown(two, last) && heldAt(two, roomId) === 0);
    expect(currentState(two, roomId)).toEqual(currentState(one, roomId));
    for (const eventId of events) expect(around(two, roomId, eventId)).toEqual(around(one, roomId, eventId));
  });

  it('waits with what is about others', async () => {
    const { alice, bob, others, roomId } = await partly({
      power_level_content_override: { users_default: 50, kick: 0 },
    });
    const [carl] = others as [TestClient];
    const second = await two.register(`second${names}`);
    const joining = second.call('POST', joinAt(roomId), {});
    const inviting = bob.call('POST', inRoom(roomId, '/invite'), { user_id: `@nobody:three.test` });
    const kicking = bob.call('POST', inRoom(roomId, '/kick'), { user_id: carl.userId });
    const mine = await say(bob, roomId, 'in between');
    await until(one, () => isShown(one, mine));
    gate.open();
    expect((await joining).status).toBe(200);
    // He has as much power as who wants to remove him; nobody knew that he was there.
    expect((await kicking).status).toBe(403);
    expect((await inviting).status).not.toBe(503);
    const members = (await alice.ok('GET', inRoom(roomId, '/joined_members')))['joined'] as unknown as object;
    expect(Object.keys(members)).toContain(carl.userId);
    expect((await second.ok('GET', '/joined_rooms'))['joined_rooms']).toEqual([roomId]);
  });

  it('is let in by an invite, on which the join was decided', async () => {
    for (const version of ['6', '12']) {
      const { alice, bob, others, roomId } = await partly({ preset: 'private_chat', room_version: version });
      expect(isShown(two, await say(bob, roomId, 'thank you'))).toBe(true);
      gate.open();
      await until(two, () => !isAwaiting(two, roomId));
      const members = (await bob.ok('GET', inRoom(roomId, '/joined_members')))['joined'] as unknown as object;
      expect(Object.keys(members).sort()).toEqual([alice, bob, ...others].map(({ userId }) => userId).sort());
      const last = await say(alice, roomId, 'you are welcome');
      await until(two, () => isShown(two, last));
      expect(currentState(two, roomId)).toEqual(currentState(one, roomId));
    }
  });

  it('shows their devices to the servers in the room at once', async () => {
    const { bob } = await partly({}, async (user) => {
      const device_id = String((await user.ok('GET', '/account/whoami'))['device_id']);
      const keys = { [`ed25519:${device_id}`]: 'c29tZSBrZXk', [`curve25519:${device_id}`]: 'YW5vdGhlciBrZXk' };
      const device_keys = { user_id: user.userId, device_id, algorithms: ['m.olm.v1'], keys, signatures: {} };
      await user.ok('POST', '/keys/upload', { device_keys });
    });
    await until(one, () => remoteListOf(one.engine.reader, bob.userId) !== undefined);
    gate.open();
  });

  it('is put out, and hears of it, though nobody tells a server any more that is out of the room', async () => {
    const { alice, bob, roomId } = await partly();
    const seen = await sync(bob);
    await alice.ok('POST', inRoom(roomId, '/kick'), { user_id: bob.userId, reason: 'too loud' });
    await until(two, () => heldAt(two, roomId) === 1);
    gate.open();
    await until(two, () => membershipAt(two, roomId, bob.userId) === 'leave');
    const left = (await sync(bob, { since: seen.next_batch })).rooms?.leave?.[roomId] ?? expect.fail('it goes on');
    expect(left.timeline.events.at(-1)?.content).toMatchObject({ membership: 'leave', reason: 'too loud' });
    expect((await bob.call('PUT', inRoom(roomId, '/send/m.room.message/out'), { body: 'x' })).status).toBe(403);
    expect((await bob.call('GET', inRoom(roomId, '/members'))).status).toBe(200);
    expect(heldAt(two, roomId)).toBe(0);
    await bob.ok('POST', joinAt(roomId), {});
    await until(two, () => !isAwaiting(two, roomId));
    expect(currentState(two, roomId)).toEqual(currentState(one, roomId));
  });

  it('is shown who types and who has read what, though nobody knows them yet', async () => {
    const { alice, bob, others, roomId } = await partly();
    const [carl] = others as [TestClient];
    const mine = await say(bob, roomId, 'hello');
    await until(one, () => isShown(one, mine));
    const root = await say(alice, roomId, 'root');
    await until(two, () => heldAt(two, roomId) === 1);
    const typing = (userId: string): [string, JsonObject] => [
      'm.typing',
      { room_id: roomId, user_id: userId, typing: true },
    ];
    const read = (userId: string, eventId: string, data: JsonObject): [string, JsonObject] => [
      'm.receipt',
      { [roomId]: { 'm.read': { [userId]: { event_ids: [eventId], data } } } },
    ];
    const eve = await three.register(`eve${names}`);
    await sendEdusAs(three, 'two.test', typing(eve.userId), read(eve.userId, mine, { ts: 5 }));
    await sendEdusAs(
      one,
      'two.test',
      typing(alice.userId),
      read(alice.userId, mine, { ts: 5 }),
      read(carl.userId, root, { ts: 6, thread_id: root }),
    );
    expect(two.context.typing.usersIn(roomId)).toEqual([alice.userId]);
    const ephemeral = (roomIn(await sync(bob), roomId) as { ephemeral?: { events: EventAnswer[] } }).ephemeral;
    expect(ephemeral?.events.find(({ type }) => type === 'm.receipt')?.content).toEqual({
      [mine]: { 'm.read': { [alice.userId]: { ts: 5 } } },
      [root]: { 'm.read': { [carl.userId]: { ts: 6, thread_id: root } } },
    });
    gate.open();
    await until(two, () => isShown(two, root));
  });

  it('is shown who is there as soon as it is known that they are', async () => {
    const { alice, bob, roomId } = await partly();
    const online: [string, JsonObject] = ['m.presence', { push: [{ user_id: alice.userId, presence: 'unavailable' }] }];
    await sendEdusAs(one, 'two.test', online);
    expect(two.context.presence.of(alice.userId).presence).toBe('offline');
    gate.open();
    await until(two, () => !isAwaiting(two, roomId));
    await expect.poll(() => two.context.presence.of(alice.userId).presence).toBe('unavailable');
    expect(await bob.ok('GET', `/presence/${alice.userId}/status`)).toMatchObject({ presence: 'unavailable' });
  });

  it('gets all of the room who asks for all of it', async () => {
    const { alice, bob, others, roomId } = await partly();
    const asked = bob.ok('GET', inRoom(roomId, '/initialSync'));
    gate.open();
    const everybody = [alice, bob, ...others].map(({ userId }) => userId).sort();
    expect(membersIn((await asked)['state'] as unknown as EventAnswer[])).toEqual(everybody);
  });

  it('gets what was said before, once it is known who could see it', async () => {
    const { alice, bob, roomId } = await partly();
    const asked = bob.ok('GET', inRoom(roomId, '/messages?dir=b&limit=50'));
    gate.open();
    const senders = ((await asked)['chunk'] as unknown as EventAnswer[]).map(({ sender }) => sender);
    expect(senders).toContain(alice.userId);
  });

  it('has left, and gets what was known then', async () => {
    const { bob, roomId } = await partly();
    await bob.ok('POST', inRoom(roomId, '/leave'), {});
    expect(membersIn((await bob.ok('GET', inRoom(roomId, '/members')))['chunk'] as unknown as EventAnswer[])).toEqual([
      bob.userId,
    ]);
    gate.open();
  });

  it('can leave, and come again', async () => {
    const { bob, others, alice, roomId } = await partly();
    await bob.ok('POST', inRoom(roomId, '/leave'), {});
    gate.open();
    await until(one, () => {
      const { reader } = one.engine;
      return headOf(reader, findRoom(reader, roomId)?.id ?? -1)?.joined === 3;
    });
    await bob.ok('POST', joinAt(roomId), {});
    const members = (await bob.ok('GET', inRoom(roomId, '/members?membership=join')))['chunk'];
    expect(membersIn(members as unknown as EventAnswer[])).toEqual(
      [alice, bob, ...others].map(({ userId }) => userId).sort(),
    );
    await until(two, () => !isAwaiting(two, roomId));
    expect(currentState(two, roomId)).toEqual(currentState(one, roomId));
  });
});

describe('a server that does not know all members of a room yet', () => {
  it('lets nobody else in, and tells nobody of the room', async () => {
    const { roomId } = await partly();
    const eve = await three.register(`eve${names}`);
    const refused = await eve.call('POST', joinAt(roomId, 'two.test'), {});
    expect(refused.status).toBe(404);
    gate.open();
    await until(two, () => !isAwaiting(two, roomId));
    expect((await eve.call('POST', joinAt(roomId, 'two.test'), {})).status).toBe(200);
    expect(currentState(three, roomId)).toEqual(currentState(two, roomId));
  });

  it('asks other servers in the room where the one that let it in does not tell', async () => {
    names += 1;
    const alice = await one.register(`ann${names}`);
    const eve = await three.register(`eve${names}`);
    const bob = await two.register(`ben${names}`);
    const roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
    await eve.ok('POST', joinAt(roomId), {});
    gate.shut();
    gate.refusal = 500;
    await bob.ok('POST', joinAt(roomId), {});
    await until(two, () => !isAwaiting(two, roomId));
    gate.open();
    const members = (await bob.ok('GET', inRoom(roomId, '/joined_members')))['joined'] as unknown as object;
    expect(Object.keys(members).sort()).toEqual([alice.userId, bob.userId, eve.userId].sort());
  });

  it('tells a server what was said while nobody here knew that it had come', async () => {
    const { bob, roomId } = await partly();
    const eve = await three.register(`eve${names}`);
    await eve.ok('POST', joinAt(roomId), {});
    const last = await say(bob, roomId, 'has anybody come?');
    await until(one, () => isShown(one, last));
    await until(two, () => heldAt(two, roomId) === 1);
    expect(isShown(three, last)).toBe(false);
    gate.open();
    await until(three, () => isShown(three, last));
  });

  it('is told them at once where the room is small: it is whole when it is first seen, and does not change after', async () => {
    gate.open();
    names += 1;
    const alice = await one.register(`amy${names}`);
    const carl = await one.register(`cal${names}`);
    const bob = await two.register(`bea${names}`);
    const roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
    await carl.ok('POST', joinAt(roomId), {});
    const before = await sync(bob);
    gate.asked.length = 0;
    await bob.ok('POST', joinAt(roomId), {});
    expect(isAwaiting(two, roomId)).toBe(false);
    expect(gate.asked.filter((url) => url.includes('/send_join/'))[0]).toContain('omit_members=true');
    const seen = await sync(bob, { since: before.next_batch });
    const room = roomIn(seen, roomId);
    expect(membersIn([...(room.state?.events ?? []), ...room.timeline.events])).toEqual(
      [alice, bob, carl].map(({ userId }) => userId).sort(),
    );
    expect((await sync(bob, { since: seen.next_batch })).rooms?.join ?? {}).toEqual({});
  });

  it('is what nobody asks for who does not want it', async () => {
    gate.open();
    names += 1;
    const alice = await one.register(`ada${names}`);
    const eve = await three.register(`ela${names}`);
    const roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
    gate.asked.length = 0;
    await eve.ok('POST', joinAt(roomId), {});
    expect(gate.asked.filter((url) => url.includes('/send_join/')).every((url) => !url.includes('omit_members'))).toBe(
      true,
    );
    expect(isAwaiting(three, roomId)).toBe(false);
  });

  it('can be made to forget the room, which then stays away', async () => {
    const { alice, bob, roomId } = await partly();
    await say(bob, roomId, 'mine');
    await say(alice, roomId, 'theirs');
    await until(two, () => heldAt(two, roomId) === 1);
    const { reader } = two.engine;
    const room = findRoom(reader, roomId)?.id ?? -1;
    const removal = { roomId, block: false, purge: true, by: '@admin:two.test' };
    const nobody = { newRoomUserId: undefined, newRoomName: undefined, message: undefined };
    expect((await removeRoom(two.context, { ...removal, ...nobody })).kicked_users).toEqual([bob.userId]);
    expect(findRoom(reader, roomId)).toBeUndefined();
    gate.open();
    const other = await partly();
    gate.open();
    await until(two, () => !isAwaiting(two, other.roomId));
    expect(findRoom(reader, roomId)).toBeUndefined();
    expect(partialRoom(reader, room)).toBeUndefined();
    expect([...heldEventsOf(reader, room)]).toEqual([]);
    expect(reader.has(takenStates, [room])).toBe(false);
    expect(reader.count(settledStates, { prefix: [room] })).toBe(0);
    expect([...settledSince(reader, -1)].map((settled) => settled.room)).not.toContain(room);
  });
});
