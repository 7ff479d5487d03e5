import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { everything, type SlidingAnswer, type SlidingRoom, slide, slidingCall } from './sliding-sync-client.ts';
import { createRoom, type EventAnswer, sayIn } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterEach(async () => {
  await app.close();
});

function roomIn(answer: SlidingAnswer, roomId: string): SlidingRoom {
  const room = answer.rooms[roomId];
  if (room === undefined) throw new Error(`the answer does not tell of ${roomId}`);
  return room;
}

function bodies({ timeline = [] }: SlidingRoom): unknown[] {
  return timeline.filter(({ type }) => type === 'm.room.message').map(({ content }) => content.body);
}

function keys(events: readonly EventAnswer[] = []): string[] {
  return events.map(({ type, state_key: stateKey }) => `${type}|${stateKey}`).sort();
}

async function roomOf(client: TestClient, others: readonly TestClient[], body: object = {}): Promise<string> {
  const roomId = await createRoom(client, { preset: 'public_chat', ...body });
  for (const other of others) await other.ok('POST', `/rooms/${roomId}/join`, {});
  return roomId;
}

describe('a first answer', () => {
  it('tells of the rooms in the window, that with the newest activity first, and counts the rest', async () => {
    const rooms: string[] = [];
    for (let index = 0; index < 4; index++) rooms.push(await createRoom(alice, { name: `Room ${index}` }));
    await sayIn(alice, rooms[1] ?? '', 'newest');
    const answer = await slide(alice, { lists: { top: { ranges: [[0, 1]], timeline_limit: 1, required_state: [] } } });
    expect(answer.lists).toEqual({ top: { count: 4 } });
    expect(Object.keys(answer.rooms)).toEqual([rooms[1], rooms[3]]);
    const room = roomIn(answer, rooms[1] ?? '');
    expect(room).toMatchObject({
      initial: true,
      name: 'Room 1',
      membership: 'join',
      joined_count: 1,
      invited_count: 0,
      notification_count: 0,
      highlight_count: 0,
      limited: true,
      num_live: 0,
    });
    expect(bodies(room)).toEqual(['newest']);
    expect(room.prev_batch).toMatch(/^t/);
    expect(room.bump_stamp).toBeGreaterThan(roomIn(answer, rooms[3] ?? '').bump_stamp ?? 0);
    expect(room).not.toHaveProperty('heroes');
    expect(room).not.toHaveProperty('required_state');
  });

  it('has the state that was asked for, with $ME, $LAZY and wildcards', async () => {
    const roomId = await roomOf(alice, [bob], { topic: 'Stones' });
    await sayIn(bob, roomId, 'hello');
    const stateWith = async (required: readonly (readonly [string, string])[]): Promise<string[]> =>
      keys(roomIn(await slide(alice, everything(1, { required_state: required })), roomId).required_state);
    expect(await stateWith([['m.room.create', '']])).toEqual(['m.room.create|']);
    expect(await stateWith([['m.room.member', '$ME']])).toEqual([`m.room.member|${alice.userId}`]);
    expect(await stateWith([['m.room.member', '$LAZY']])).toEqual([`m.room.member|${bob.userId}`]);
    expect(await stateWith([['m.room.member', '*']])).toEqual([
      `m.room.member|${alice.userId}`,
      `m.room.member|${bob.userId}`,
    ]);
    expect(await stateWith([['*', bob.userId]])).toEqual([`m.room.member|${bob.userId}`]);
    const all = await stateWith([['*', '*']]);
    expect(all).toEqual(expect.arrayContaining(['m.room.topic|', `m.room.member|${alice.userId}`]));
    const lazily = await stateWith([
      ['*', '*'],
      ['m.room.member', '$LAZY'],
    ]);
    expect(lazily).toEqual(all.filter((key) => key !== `m.room.member|${alice.userId}`));
  });

  it('understands the words of the accepted proposal', async () => {
    const roomId = await roomOf(alice, [bob], { topic: 'Stones' });
    const requiredState = { include: [{}], exclude: [{ type: 'm.room.create' }], lazy_members: true };
    const list = { range: [0, 0], timeline_limit: 1, required_state: requiredState, filters: { is_invited: false } };
    const answer = await slide(alice, { lists: { all: list } });
    const state = keys(roomIn(answer, roomId).required_state);
    expect(state).toContain('m.room.topic|');
    expect(state).not.toContain('m.room.create|');
    expect(state).toContain(`m.room.member|${bob.userId}`);
    expect(state).not.toContain(`m.room.member|${alice.userId}`);
  });

  it('names rooms without a name by their members', async () => {
    await bob.ok('PUT', `/profile/${bob.userId}/displayname`, { displayname: 'Bob' });
    const roomId = await roomOf(alice, [bob], { is_direct: true });
    const room = roomIn(await slide(alice, everything()), roomId);
    expect(room.heroes).toEqual([{ user_id: bob.userId, displayname: 'Bob' }]);
    expect(room).not.toHaveProperty('name');
  });

  it('shows an invite as what may be known of it', async () => {
    const roomId = await createRoom(bob, { name: 'Secret', invite: [alice.userId] });
    await sayIn(bob, roomId, 'not for alice');
    const room = roomIn(await slide(alice, everything()), roomId);
    expect(room).toMatchObject({ initial: true, membership: 'invite' });
    expect(keys(room.invite_state)).toEqual(expect.arrayContaining(['m.room.name|', `m.room.member|${alice.userId}`]));
    expect(room).not.toHaveProperty('timeline');
    expect(room).not.toHaveProperty('required_state');
  });

  it('gives the transaction id back', async () => {
    expect((await slide(alice, { txn_id: 'abc' })).txn_id).toBe('abc');
  });
});

describe('a later answer', () => {
  it('tells only what is new', async () => {
    const quiet = await createRoom(alice);
    const roomId = await roomOf(alice, [bob], { name: 'Lively' });
    const first = await slide(alice, everything());
    const still = await slide(alice, everything(), { pos: first.pos });
    expect(still.rooms).toEqual({});
    await sayIn(bob, roomId, 'one');
    await sayIn(bob, roomId, 'two');
    const next = await slide(alice, everything(), { pos: still.pos });
    expect(Object.keys(next.rooms)).toEqual([roomId]);
    expect(next.rooms).not.toHaveProperty(quiet);
    const room = roomIn(next, roomId);
    expect(bodies(room)).toEqual(['one', 'two']);
    expect(room).toMatchObject({ limited: false, num_live: 2, notification_count: 2 });
    for (const unchanged of ['initial', 'name', 'joined_count', 'is_dm', 'required_state', 'membership']) {
      expect(room).not.toHaveProperty(unchanged);
    }
  });

  it('is the same again where the client did not get it', async () => {
    const roomId = await createRoom(alice);
    const first = await slide(alice, { lists: { top: { ranges: [], timeline_limit: 1, required_state: [] } } });
    const lost = await slide(alice, everything(), { pos: first.pos });
    const again = await slide(alice, everything(), { pos: first.pos });
    expect(roomIn(lost, roomId).initial).toBe(true);
    expect(roomIn(again, roomId).initial).toBe(true);
    expect((await slide(alice, everything(), { pos: again.pos })).rooms).toEqual({});
    expect((await slidingCall(alice, everything(), { pos: lost.pos })).body).toMatchObject({
      errcode: 'M_UNKNOWN_POS',
    });
  });

  it('tells what was missed when a room comes back into the window', async () => {
    const first = await createRoom(alice);
    const second = await createRoom(alice);
    const top = { lists: { top: { ranges: [[0, 0]], timeline_limit: 5, required_state: [['m.room.topic', '']] } } };
    const both = { lists: { top: { ...top.lists.top, ranges: [[0, 1]] } } };
    const begin = await slide(alice, both);
    await alice.ok('PUT', `/rooms/${first}/state/m.room.topic/`, { topic: 'unseen' });
    await sayIn(alice, first, 'unseen');
    await sayIn(alice, second, 'on top');
    const narrow = await slide(alice, top, { pos: begin.pos });
    expect(Object.keys(narrow.rooms)).toEqual([second]);
    const wide = await slide(alice, both, { pos: narrow.pos });
    expect(Object.keys(wide.rooms)).toEqual([first]);
    const room = roomIn(wide, first);
    expect(bodies(room)).toEqual(['unseen']);
    expect(keys(room.required_state)).toEqual(['m.room.topic|']);
    expect(room).not.toHaveProperty('initial');
    expect(room.num_live).toBe(0);
  });

  it('sends more of the past when more is asked for', async () => {
    const roomId = await createRoom(alice);
    for (const body of ['a', 'b', 'c', 'd']) await sayIn(alice, roomId, body);
    const first = await slide(alice, everything(1));
    expect(bodies(roomIn(first, roomId))).toEqual(['d']);
    const more = await slide(
      alice,
      { ...everything(1), room_subscriptions: { [roomId]: { timeline_limit: 3, required_state: [] } } },
      { pos: first.pos },
    );
    expect(roomIn(more, roomId)).toMatchObject({ unstable_expanded_timeline: true, limited: true, num_live: 0 });
    expect(bodies(roomIn(more, roomId))).toEqual(['b', 'c', 'd']);
    const less = await slide(alice, everything(1), { pos: more.pos });
    expect(less.rooms).toEqual({});
    const same = await slide(alice, everything(3), { pos: less.pos });
    expect(same.rooms).toEqual({});
  });

  it('sends more of the state when more is asked for, at once', async () => {
    const roomId = await createRoom(alice, { topic: 'Stones', name: 'Old' });
    const first = await slide(alice, everything(1, { required_state: [['m.room.name', '']] }));
    const wider = [
      ['m.room.name', ''],
      ['m.room.topic', ''],
    ];
    const more = await slide(alice, everything(1, { required_state: wider }), { pos: first.pos });
    expect(keys(roomIn(more, roomId).required_state)).toEqual(['m.room.topic|']);
    expect((await slide(alice, everything(1, { required_state: wider }), { pos: more.pos })).rooms).toEqual({});
  });

  it('sends each member once as the timeline needs them', async () => {
    const roomId = await roomOf(alice, [bob]);
    const lazy = everything(5, { required_state: [['m.room.member', '$LAZY']] });
    const first = await slide(alice, lazy);
    await sayIn(bob, roomId, 'one');
    const second = await slide(alice, lazy, { pos: first.pos });
    expect(roomIn(second, roomId)).not.toHaveProperty('required_state');
    await sayIn(bob, roomId, 'two');
    expect(roomIn(await slide(alice, lazy, { pos: second.pos }), roomId)).not.toHaveProperty('required_state');
  });

  it('follows an invite to the room, and out of it', async () => {
    const roomId = await createRoom(bob, { name: 'Secret', invite: [alice.userId] });
    const invited = await slide(alice, everything());
    await alice.ok('POST', `/rooms/${roomId}/join`, {});
    const joined = await slide(alice, everything(), { pos: invited.pos });
    expect(roomIn(joined, roomId)).toMatchObject({
      initial: true,
      name: 'Secret',
      membership: 'join',
      joined_count: 2,
    });
    await alice.ok('POST', `/rooms/${roomId}/leave`, {});
    await sayIn(bob, roomId, 'not for alice');
    const left = await slide(alice, everything(), { pos: joined.pos });
    expect(roomIn(left, roomId)).toMatchObject({ membership: 'leave' });
    expect(roomIn(left, roomId).timeline?.at(-1)).toMatchObject({
      state_key: alice.userId,
      content: { membership: 'leave' },
    });
    expect(bodies(roomIn(left, roomId))).toEqual([]);
    expect((await slide(alice, everything())).rooms).toEqual({});
  });

  it('tells who turned an invite down that it is gone', async () => {
    const roomId = await createRoom(bob, { invite: [alice.userId] });
    const invited = await slide(alice, everything());
    await alice.ok('POST', `/rooms/${roomId}/leave`, {});
    const left = await slide(alice, everything(), { pos: invited.pos });
    expect(roomIn(left, roomId).required_state).toMatchObject([
      { state_key: alice.userId, content: { membership: 'leave' } },
    ]);
    expect(roomIn(left, roomId).required_state).toHaveLength(1);
  });

  it('tells a device that has not heard so yet that a room was left, though it was forgotten since', async () => {
    const roomId = await roomOf(bob, [alice]);
    const removed = await roomOf(bob, [alice]);
    const first = await slide(alice, everything());
    await alice.ok('POST', `/rooms/${roomId}/leave`);
    await bob.ok('POST', `/rooms/${removed}/kick`, { user_id: alice.userId });
    for (const room of [roomId, removed]) await alice.ok('POST', `/rooms/${room}/forget`);
    const second = await slide(alice, everything(), { pos: first.pos });
    for (const room of [roomId, removed]) {
      expect(roomIn(second, room)).toMatchObject({
        membership: 'leave',
        timeline: [{ content: { membership: 'leave' } }],
      });
    }
    const third = await slide(alice, everything(), { pos: second.pos });
    expect([third.rooms, third.lists]).toEqual([{}, { all: { count: 0 } }]);
    const subscription = { room_subscriptions: { [roomId]: { timeline_limit: 9, required_state: [['*', '*']] } } };
    expect((await slide(alice, { ...everything(), ...subscription, conn_id: 'new' })).rooms).toEqual({});
  });

  it('names a room from which the user was removed by those who were there', async () => {
    const roomId = await roomOf(bob, [alice]);
    await bob.ok('POST', `/rooms/${roomId}/kick`, { user_id: alice.userId });
    const carol = await app.register('carol');
    await carol.ok('POST', `/join/${roomId}`, {});
    expect(roomIn(await slide(alice, everything()), roomId).heroes).toEqual([{ user_id: bob.userId }]);
  });

  it('forgets a room that the user was removed from and has forgotten', async () => {
    const roomId = await roomOf(bob, [alice]);
    const first = await slide(alice, everything());
    await bob.ok('POST', `/rooms/${roomId}/kick`, { user_id: alice.userId });
    const second = await slide(alice, everything(), { pos: first.pos });
    expect(second.lists).toEqual({ all: { count: 1 } });
    await alice.ok('POST', `/rooms/${roomId}/forget`);
    expect((await slide(alice, everything(), { pos: second.pos })).lists).toEqual({ all: { count: 0 } });
    expect(await slide(alice, { ...everything(), conn_id: 'new' })).toMatchObject({
      rooms: {},
      lists: { all: { count: 0 } },
    });
  });

  it('keeps showing rooms from which the user was removed', async () => {
    const roomId = await roomOf(bob, [alice]);
    await bob.ok('POST', `/rooms/${roomId}/ban`, { user_id: alice.userId, reason: 'because' });
    expect(roomIn(await slide(alice, everything()), roomId)).toMatchObject({ initial: true, membership: 'ban' });
  });

  it('tells when a room becomes a direct chat', async () => {
    const roomId = await createRoom(alice);
    const first = await slide(alice, everything());
    await alice.ok('PUT', `/user/${alice.userId}/account_data/m.direct`, { [bob.userId]: [roomId] });
    const second = await slide(alice, everything(), { pos: first.pos });
    expect(second.rooms).toEqual({ [roomId]: { is_dm: true } });
    await alice.ok('PUT', `/user/${alice.userId}/account_data/m.direct`, {});
    expect((await slide(alice, everything(), { pos: second.pos })).rooms).toEqual({ [roomId]: { is_dm: false } });
  });

  it('tells that the user has read a room', async () => {
    const roomId = await roomOf(alice, [bob]);
    const eventId = await sayIn(bob, roomId, 'unread');
    const first = await slide(alice, everything());
    expect(roomIn(first, roomId).notification_count).toBe(1);
    await alice.ok('POST', `/rooms/${roomId}/receipt/m.read/${eventId}`, {});
    const second = await slide(alice, everything(), { pos: first.pos });
    expect(second.rooms).toEqual({ [roomId]: { notification_count: 0, highlight_count: 0 } });
  });

  it('tells that less is unread by other rules, also of a room that was out of the window meanwhile', async () => {
    const roomId = await roomOf(alice, [bob]);
    await sayIn(bob, roomId, 'unread');
    const first = await slide(alice, everything());
    expect(roomIn(first, roomId).notification_count).toBe(1);
    await alice.ok('PUT', `/pushrules/global/room/${roomId}`, { actions: [] });
    const told = { [roomId]: { notification_count: 0, highlight_count: 0 } };
    expect((await slide(alice, everything(), { pos: first.pos })).rooms).toEqual(told);
    const away = await slide(alice, { lists: {} }, { pos: first.pos });
    expect(away.rooms).toEqual({});
    expect((await slide(alice, everything(), { pos: away.pos })).rooms).toEqual(told);
  });
});
