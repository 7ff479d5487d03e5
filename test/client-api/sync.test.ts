import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, TestClient } from '#test/support/application.ts';
import { createRoom, eventIds, type RoomAnswer, type SyncAnswer, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterEach(() => app.close());

describe('a first sync', () => {
  it('tells a new user nothing but where to go on, and their push rules', async () => {
    const answer = await sync(alice);
    expect(answer.next_batch).toMatch(/^s\d+_\d+_[0-9a-z]+$/);
    expect(answer.rooms).toBeUndefined();
    expect(answer.account_data?.events.map(({ type }) => type)).toEqual(['m.push_rules']);
  });

  it('shows a room with its state before the timeline, and its newest events', async () => {
    const roomId = await createRoom(alice, { name: 'Stones' });
    const sent: string[] = [];
    for (let count = 0; count < 12; count += 1) sent.push(await sayIn(alice, roomId, `message ${count}`));
    const room = joined(await sync(alice), roomId);
    expect(eventIds(room.timeline)).toEqual(sent.slice(-10));
    expect(room.timeline.limited).toBe(true);
    expect(room.state?.events.map(({ type }) => type)).toContain('m.room.name');
    expect(room.summary).toEqual({ 'm.joined_member_count': 1, 'm.invited_member_count': 0 });
    expect(room.unread_notifications).toEqual({ highlight_count: 0, notification_count: 0 });
  });

  it('has no state where all of it happened in the timeline', async () => {
    const roomId = await createRoom(alice);
    const filter = { room: { timeline: { limit: 100 } } };
    const room = joined(await sync(alice, { filter }), roomId);
    expect(room.timeline.limited).toBe(false);
    expect(room.timeline.events[0]?.type).toBe('m.room.create');
    expect(room.state?.events).toEqual([]);
  });
});

function joined(answer: SyncAnswer, roomId: string): RoomAnswer {
  const room = answer.rooms?.join?.[roomId];
  if (room === undefined) throw new Error(`${roomId} is not among the joined rooms of ${JSON.stringify(answer)}`);
  return room;
}

describe('a later sync', () => {
  it('tells exactly what came since', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const { next_batch: since } = await sync(bob);
    const eventId = await sayIn(alice, roomId, 'hello');
    const answer = await sync(bob, { since });
    const room = joined(answer, roomId);
    expect(room.timeline.events).toEqual([
      {
        content: { body: 'hello', msgtype: 'm.text' },
        event_id: eventId,
        origin_server_ts: expect.any(Number),
        sender: alice.userId,
        type: 'm.room.message',
        unsigned: { age: expect.any(Number), membership: 'join' },
      },
    ]);
    expect(room.timeline.limited).toBe(false);
    expect(room.state?.events).toEqual([]);
    expect((await sync(bob, { since: answer.next_batch })).rooms).toBeUndefined();
  });

  it('shows the transaction id to the device that sent the event only', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const [forAlice, forBob] = [await sync(alice), await sync(bob)];
    await alice.ok('PUT', `/rooms/${roomId}/send/m.room.message/tx1`, { body: 'hi', msgtype: 'm.text' });
    const seenBy = async (client: TestClient, { next_batch: since }: SyncAnswer) =>
      joined(await sync(client, { since }), roomId).timeline.events[0]?.unsigned?.transaction_id;
    expect(await seenBy(bob, forBob)).toBeUndefined();
    expect(await seenBy(alice, forAlice)).toBe('tx1');
  });

  it('bridges a gap with the state that changed in it', async () => {
    const roomId = await createRoom(alice, { name: 'before' });
    const { next_batch: since } = await sync(alice);
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.name`, { name: 'between' });
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'later' });
    const sent: string[] = [];
    for (let count = 0; count < 10; count += 1) sent.push(await sayIn(alice, roomId, `message ${count}`));
    const filter = { room: { timeline: { limit: 10 } } };
    const room = joined(await sync(alice, { since, filter }), roomId);
    expect(eventIds(room.timeline)).toEqual(sent);
    expect(room.timeline.limited).toBe(true);
    expect(room.state?.events.map(({ type, content }) => [type, content])).toEqual([
      ['m.room.name', { name: 'between' }],
      ['m.room.topic', { topic: 'later' }],
    ]);
    const back = await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&from=${room.timeline.prev_batch}&to=${since}`);
    expect((back.chunk as unknown as { type: string }[]).map(({ type }) => type)).toEqual([
      'm.room.topic',
      'm.room.name',
    ]);
    const rest = await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&from=${String(back.end)}&to=${since}`);
    expect([rest.chunk, rest.end]).toEqual([[], undefined]);
  });

  it('gives the state after the timeline to those who ask for it', async () => {
    const roomId = await createRoom(alice, { name: 'before' });
    const { next_batch: since } = await sync(alice);
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.name`, { name: 'after' });
    await sayIn(alice, roomId, 'named');
    const room = joined(await sync(alice, { since, use_state_after: true }), roomId);
    expect(room.state).toBeUndefined();
    expect(room.state_after?.events.map(({ content }) => content)).toEqual([{ name: 'after' }]);
    expect(room.timeline.events).toHaveLength(2);
  });

  it('gives the state after the timeline under its older name to those who ask for it by that', async () => {
    const roomId = await createRoom(alice, { name: 'before' });
    const { next_batch: since } = await sync(alice);
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.name`, { name: 'after' });
    const room = joined(await sync(alice, { since, 'org.matrix.msc4222.use_state_after': true }), roomId);
    expect(room).not.toHaveProperty('state');
    expect(room).not.toHaveProperty('state_after');
    expect(room).toHaveProperty(['org.matrix.msc4222.state_after', 'events', 0, 'content'], { name: 'after' });
    await alice.ok('POST', `/rooms/${roomId}/leave`, {});
    const left = (await sync(alice, { since, 'org.matrix.msc4222.use_state_after': true })).rooms?.leave?.[roomId];
    expect(left).toHaveProperty(['org.matrix.msc4222.state_after', 'events']);
    expect(left).not.toHaveProperty('state');
  });

  it('gives the whole state again to those who ask for it', async () => {
    const roomId = await createRoom(alice, { name: 'Stones' });
    const { next_batch: since } = await sync(alice);
    const room = joined(await sync(alice, { since, full_state: true, timeout: 30_000 }), roomId);
    expect(room.timeline.events).toEqual([]);
    expect(room.state?.events.map(({ type }) => type)).toContain('m.room.create');
  });

  it('tells a state change that the timeline filter hides as state', async () => {
    const roomId = await createRoom(alice, { name: 'before' });
    const { next_batch: since } = await sync(alice);
    await sayIn(alice, roomId, 'one');
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.name`, { name: 'after' });
    await sayIn(alice, roomId, 'two');
    const filter = { room: { timeline: { types: ['m.room.message'] } } };
    const room = joined(await sync(alice, { since, filter }), roomId);
    expect(room.timeline.events.map(({ type }) => type)).toEqual(['m.room.message', 'm.room.message']);
    expect(room.state?.events.map(({ content }) => content)).toEqual([{ name: 'after' }]);
  });
});

describe('a filter that hides what came', () => {
  it('leaves nothing to tell', async () => {
    const roomId = await createRoom(alice);
    const filter = { room: { timeline: { types: ['org.example'] }, state: { types: ['org.example'] } } };
    const { next_batch: since } = await sync(alice, { filter });
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.member/${alice.userId}`, {
      membership: 'join',
      displayname: 'A',
    });
    expect((await sync(alice, { since, filter })).rooms).toBeUndefined();
  });
});

describe('rooms that come and go', () => {
  it('shows an invite with stripped state that names the room', async () => {
    const { next_batch: since } = await sync(bob);
    const roomId = await createRoom(alice, { name: 'Stones', invite: [bob.userId] });
    const answer = await sync(bob, { since });
    const events = answer.rooms?.invite?.[roomId]?.invite_state.events ?? [];
    expect(events.map(({ type }) => type).sort()).toEqual([
      'm.room.create',
      'm.room.join_rules',
      'm.room.member',
      'm.room.member',
      'm.room.name',
    ]);
    for (const event of events) expect(Object.keys(event).sort()).toEqual(['content', 'sender', 'state_key', 'type']);
    expect((await sync(bob, { since: answer.next_batch })).rooms).toBeUndefined();
    expect((await sync(bob)).rooms?.invite?.[roomId]).toBeDefined();
  });

  it('shows a room that was joined since with its whole state', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    for (let count = 0; count < 20; count += 1) await sayIn(alice, roomId, `message ${count}`);
    const { next_batch: since } = await sync(bob);
    await bob.ok('POST', `/join/${roomId}`);
    const room = joined(await sync(bob, { since }), roomId);
    expect(room.timeline.events.at(-1)?.content).toMatchObject({ membership: 'join' });
    expect(room.timeline.limited).toBe(true);
    expect(room.state?.events.map(({ type }) => type)).toContain('m.room.create');
  });

  it.each(['leave', 'kick', 'ban'])('ends a room with what happened up to a %s, and nothing later', async (how) => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const { next_batch: since } = await sync(bob);
    const before = await sayIn(alice, roomId, 'before');
    if (how === 'leave') await bob.ok('POST', `/rooms/${roomId}/leave`);
    else await alice.ok('POST', `/rooms/${roomId}/${how}`, { user_id: bob.userId });
    await sayIn(alice, roomId, 'after');
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.name`, { name: 'secret' });
    const answer = await sync(bob, { since });
    expect(answer.rooms?.join).toBeUndefined();
    const room = answer.rooms?.leave?.[roomId];
    expect(room?.timeline.events.map(({ event_id }) => event_id)[0]).toBe(before);
    expect(room?.timeline.events.map(({ type }) => type)).toEqual(['m.room.message', 'm.room.member']);
    expect(JSON.stringify(answer)).not.toContain('secret');
    expect((await sync(bob, { since: answer.next_batch })).rooms).toBeUndefined();
    expect((await sync(bob)).rooms).toBeUndefined();
    const archived = await sync(bob, { filter: { room: { include_leave: true } } });
    expect(archived.rooms?.leave?.[roomId]?.timeline.events.at(-1)?.type).toBe('m.room.member');
    expect(JSON.stringify(archived)).not.toContain('secret');
    await bob.ok('POST', `/rooms/${roomId}/forget`);
    expect((await sync(bob, { filter: { room: { include_leave: true } } })).rooms).toBeUndefined();
  });

  it('shows the invite of somebody whom the user ignores no more', async () => {
    await bob.ok('PUT', `/user/${bob.userId}/account_data/m.ignored_user_list`, {
      ignored_users: { [alice.userId]: {} },
    });
    const { next_batch: since } = await sync(bob);
    const roomId = await createRoom(alice, { invite: [bob.userId] });
    const ignoring = await sync(bob, { since });
    expect(ignoring.rooms).toBeUndefined();
    await bob.ok('PUT', `/user/${bob.userId}/account_data/m.ignored_user_list`, { ignored_users: {} });
    const answer = await sync(bob, { since: ignoring.next_batch });
    expect(Object.keys(answer.rooms?.invite ?? {})).toEqual([roomId]);
    expect((await sync(bob, { since: answer.next_batch })).rooms).toBeUndefined();
  });

  it('tells that an invite was taken back', async () => {
    const roomId = await createRoom(alice, { invite: [bob.userId] });
    const { next_batch: since } = await sync(bob);
    await alice.ok('POST', `/rooms/${roomId}/kick`, { user_id: bob.userId });
    const room = (await sync(bob, { since })).rooms?.leave?.[roomId];
    expect(room?.timeline.events.map(({ content }) => content.membership)).toEqual(['leave']);
    expect(room?.state?.events).toEqual([]);
  });

  it('tells a device that has not heard so yet that a room was left, though it was forgotten since', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    const invited = await createRoom(alice, { invite: [bob.userId] });
    await bob.ok('POST', `/join/${roomId}`);
    const { next_batch: since } = await sync(bob);
    for (const room of [roomId, invited]) {
      await bob.ok('POST', `/rooms/${room}/leave`);
      await bob.ok('POST', `/rooms/${room}/forget`);
    }
    await sayIn(alice, roomId, 'later');
    const { rooms, next_batch: next } = await sync(bob, { since });
    for (const room of [roomId, invited]) {
      expect(rooms?.leave?.[room]).toMatchObject({
        state: { events: [] },
        timeline: { events: [{ type: 'm.room.member', state_key: bob.userId, content: { membership: 'leave' } }] },
      });
    }
    expect((await sync(bob, { since: next })).rooms).toBeUndefined();
    expect((await sync(bob, { filter: { room: { include_leave: true } } })).rooms).toBeUndefined();
  });

  it('shows a knock', async () => {
    const initial_state = [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }];
    const roomId = await createRoom(alice, { initial_state });
    const { next_batch: since } = await sync(bob);
    await bob.ok('POST', `/knock/${roomId}`);
    const events = (await sync(bob, { since })).rooms?.knock?.[roomId]?.knock_state.events;
    expect(events?.map(({ type }) => type)).toContain('m.room.create');
    expect(events?.at(-1)).toMatchObject({ content: { membership: 'knock' }, state_key: bob.userId });
  });
});

describe('lazily loaded members', () => {
  const filter = { room: { state: { lazy_load_members: true } } };

  it('come with the first event of a sender, and not again', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat', name: 'Stones' });
    await bob.ok('POST', `/join/${roomId}`);
    for (let count = 0; count < 10; count += 1) await sayIn(alice, roomId, `message ${count}`);
    const first = await sync(alice, { filter });
    expect(membersIn(joined(first, roomId))).toEqual([alice.userId]);
    await sayIn(bob, roomId, 'hello');
    const second = await sync(alice, { filter, since: first.next_batch });
    expect(membersIn(joined(second, roomId))).toEqual([bob.userId]);
    // A client that lost the answer gets it again.
    expect(membersIn(joined(await sync(alice, { filter, since: first.next_batch }), roomId))).toEqual([bob.userId]);
    await sayIn(bob, roomId, 'hello again');
    const third = await sync(alice, { filter, since: second.next_batch });
    expect(membersIn(joined(third, roomId))).toEqual([]);
    const redundant = { room: { state: { lazy_load_members: true, include_redundant_members: true } } };
    const again = await sync(alice, { filter: redundant, since: second.next_batch });
    expect(membersIn(joined(again, roomId))).toEqual([bob.userId]);
  });

  it('include the heroes of a room without a name, and the user', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    for (let count = 0; count < 10; count += 1) await sayIn(alice, roomId, `message ${count}`);
    const room = joined(await sync(alice, { filter }), roomId);
    expect(room.summary).toEqual({
      'm.heroes': [bob.userId],
      'm.joined_member_count': 2,
      'm.invited_member_count': 0,
    });
    expect(membersIn(room).sort()).toEqual([alice.userId, bob.userId]);
  });

  it('include everybody who changed within a gap', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat', name: 'Stones' });
    const { next_batch: since } = await sync(alice, { filter });
    await bob.ok('POST', `/join/${roomId}`);
    for (let count = 0; count < 11; count += 1) await sayIn(alice, roomId, `message ${count}`);
    const room = joined(await sync(alice, { filter, since }), roomId);
    expect(room.timeline.limited).toBe(true);
    expect(membersIn(room)).toEqual([bob.userId]);
    expect(room.summary).toMatchObject({ 'm.joined_member_count': 2 });
  });
});

function membersIn({ state }: RoomAnswer): (string | undefined)[] {
  return (state?.events ?? []).filter(({ type }) => type === 'm.room.member').map(({ state_key }) => state_key);
}

describe('what is not an event', () => {
  it('account data, of the user and of a room', async () => {
    const roomId = await createRoom(alice);
    const { next_batch: since } = await sync(alice);
    await alice.ok('PUT', `/user/${alice.userId}/account_data/org.example`, { a: 1 });
    await alice.ok('PUT', `/user/${alice.userId}/rooms/${roomId}/account_data/org.example`, { b: 2 });
    const answer = await sync(alice, { since });
    expect(answer.account_data?.events).toEqual([{ type: 'org.example', content: { a: 1 } }]);
    expect(joined(answer, roomId).account_data?.events).toEqual([{ type: 'org.example', content: { b: 2 } }]);
    expect(joined(answer, roomId).timeline.events).toEqual([]);
  });

  it('receipts and typing', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const eventId = await sayIn(alice, roomId, 'hello');
    const { next_batch: since } = await sync(alice);
    await bob.ok('POST', `/rooms/${roomId}/receipt/m.read/${eventId}`, {});
    await bob.ok('PUT', `/rooms/${roomId}/typing/${bob.userId}`, { typing: true, timeout: 30_000 });
    const answer = await sync(alice, { since });
    expect(joined(answer, roomId).ephemeral?.events).toEqual([
      { type: 'm.typing', content: { user_ids: [bob.userId] } },
      { type: 'm.receipt', content: { [eventId]: { 'm.read': { [bob.userId]: { ts: expect.any(Number) } } } } },
    ]);
    expect((await sync(alice, { since: answer.next_batch })).rooms).toBeUndefined();
    await bob.ok('PUT', `/rooms/${roomId}/typing/${bob.userId}`, { typing: false });
    const over = await sync(alice, { since: answer.next_batch });
    expect(joined(over, roomId).ephemeral?.events).toEqual([{ type: 'm.typing', content: { user_ids: [] } }]);
  });

  it('nothing of those whom the user ignores but their state events', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const content = { ignored_users: { [bob.userId]: {} } };
    await alice.ok('PUT', `/user/${alice.userId}/account_data/m.ignored_user_list`, content);
    const { next_batch: since } = await sync(alice);
    await sayIn(bob, roomId, 'spam');
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    await bob.ok('POST', '/createRoom', { invite: [alice.userId] });
    const answer = await sync(alice, { since });
    expect(joined(answer, roomId).timeline.events.map(({ type }) => type)).toEqual(['m.room.member']);
    expect(answer.rooms?.invite).toBeUndefined();
  });
});

describe('waiting', () => {
  it('ends when something comes', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const { next_batch: since } = await sync(bob);
    const waiting = sync(bob, { since, timeout: 60_000 });
    const eventId = await sayIn(alice, roomId, 'hello');
    expect(eventIds(joined(await waiting, roomId).timeline)).toEqual([eventId]);
  });

  it('goes on when what came is nothing that the filter lets through', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const { next_batch: since } = await sync(bob);
    const filter = { room: { timeline: { types: ['org.example'] }, state: { types: [] } } };
    const waiting = sync(bob, { since, filter, timeout: 60_000 });
    // What notifies would change the unread counts, which no filter hides.
    await alice.ok('PUT', `/rooms/${roomId}/send/m.room.message/tx8`, { msgtype: 'm.notice', body: 'hello' });
    await alice.ok('PUT', `/rooms/${roomId}/send/org.example/tx9`, {});
    expect(joined(await waiting, roomId).timeline.events.map(({ type }) => type)).toEqual(['org.example']);
  });

  it('hears of a room that was joined while waiting', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    const { next_batch: since } = await sync(bob);
    const waiting = sync(bob, { since, timeout: 60_000 });
    await bob.ok('POST', `/join/${roomId}`);
    expect(joined(await waiting, roomId)).toBeDefined();
  });

  it('ends at once for a device that is logged out, which hears nothing more', async () => {
    const login = await alice.ok('POST', '/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: 'correct horse battery staple',
    });
    const tablet = new TestClient(app.http, alice.userId, String(login['device_id']), String(login['access_token']));
    // Of what changes by itself nothing is wanted, so that there is nothing to answer with before.
    const filter = encodeURIComponent(JSON.stringify({ presence: { types: [] }, room: { rooms: [] } }));
    const path = `/sync?set_presence=offline&filter=${filter}`;
    const since = String((await tablet.ok('GET', `${path}&timeout=0`))['next_batch']);
    const waiting = tablet.call('GET', `${path}&timeout=60000&since=${since}`);
    await tablet.ok('POST', '/logout');
    const answer = await waiting;
    expect([answer.status, answer.body['errcode']]).toEqual([401, 'M_UNKNOWN_TOKEN']);
  });

  it('ends with nothing when the time is up, or the server stops', async () => {
    await createRoom(alice);
    const { next_batch: since } = await sync(alice);
    expect(await sync(alice, { since, timeout: 20 })).toEqual({
      device_one_time_keys_count: { signed_curve25519: 0 },
      device_unused_fallback_key_types: [],
      next_batch: since,
    });
    const waiting = sync(alice, { since, timeout: 60_000 });
    app.beginClosing();
    expect((await waiting).next_batch).toBe(since);
  });
});

describe('what is asked wrongly', () => {
  it.each([
    ['since=nonsense', 'M_INVALID_PARAM'],
    ['since=s12', 'M_INVALID_PARAM'],
    ['since=s999999999999999_0_abc', 'M_INVALID_PARAM'],
    ['timeout=soon', 'M_INVALID_PARAM'],
    ['full_state=maybe', 'M_INVALID_PARAM'],
    ['set_presence=asleep', 'M_INVALID_PARAM'],
    ['filter={', 'M_INVALID_PARAM'],
    ['filter={"room":[]}', 'M_INVALID_PARAM'],
    ['filter=nosuchfilter', 'M_INVALID_PARAM'],
  ])('%s is answered with %s', async (query, errcode) => {
    const { status, body } = await alice.call('GET', `/sync?${encodeURI(query)}`);
    expect([status, body.errcode]).toEqual([400, errcode]);
  });

  it('a token of a later log counts as one of now', async () => {
    await createRoom(alice);
    const answer = await sync(alice, { since: 's99999_0_abc' });
    expect(answer.rooms).toBeUndefined();
    expect(answer.next_batch).toMatch(/^s\d{1,3}_/);
  });
});

describe('filters', () => {
  it('by event fields and format', async () => {
    const roomId = await createRoom(alice);
    await sayIn(alice, roomId, 'hello');
    const fields = { event_fields: ['content.body', 'event_id'], room: { timeline: { types: ['m.room.message'] } } };
    const narrow = joined(await sync(alice, { filter: fields }), roomId);
    expect(narrow.timeline.events.map((event) => Object.keys(event))).toEqual([['content', 'event_id']]);
    const pdus = joined(await sync(alice, { filter: { event_format: 'federation' } }), roomId);
    expect(pdus.timeline.events.at(-1)).toMatchObject({
      hashes: {},
      signatures: {},
      prev_events: [expect.any(String)],
    });
  });

  it('by room, and of an uploaded filter', async () => {
    const [one, two] = [await createRoom(alice), await createRoom(alice)];
    const { filter_id } = await alice.ok('POST', `/user/${alice.userId}/filter`, { room: { not_rooms: [two] } });
    const answer = await sync(alice, { filter: String(filter_id) });
    expect(Object.keys(answer.rooms?.join ?? {})).toEqual([one]);
  });
});
