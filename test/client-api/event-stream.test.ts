/** The event stream and the initial syncs of old, which some bots still live on. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' })).room_id);
});
afterEach(() => app.close());

interface OldEvent {
  readonly type: string;
  readonly room_id?: string;
  readonly sender?: string;
  readonly content: Record<string, unknown>;
}
interface Chunk {
  readonly start: string;
  readonly end: string;
  readonly chunk: readonly OldEvent[];
}
interface OldRoom {
  readonly room_id: string;
  readonly membership: string;
  readonly messages: Chunk;
  readonly state: readonly OldEvent[];
  readonly presence: readonly OldEvent[];
  readonly receipts: readonly OldEvent[];
}

const events = async (who: TestClient, query: Record<string, string> = {}) =>
  (await who.ok('GET', `/events?${new URLSearchParams(query)}`)) as unknown as Chunk;
let transactions = 0;
const say = (who: TestClient, body: string) => {
  transactions += 1;
  return who.ok('PUT', `/rooms/${roomId}/send/m.room.message/t${transactions}`, { msgtype: 'm.text', body });
};
const worldReadable = () =>
  alice.ok('PUT', `/rooms/${roomId}/state/m.room.history_visibility`, { history_visibility: 'world_readable' });
const bodies = ({ chunk }: Pick<Chunk, 'chunk'>) =>
  chunk.filter(({ type }) => type === 'm.room.message').map(({ content }) => content['body']);

describe('the event stream', () => {
  test('begins now, and goes on from the end of the last answer', async () => {
    await say(alice, 'before');
    const first = await events(alice);
    expect(bodies(first)).toEqual([]);
    await say(alice, 'one');
    await say(alice, 'two');
    const second = await events(alice, { from: first.end });
    expect(second.start).toBe(first.end);
    expect(bodies(second)).toEqual(['one', 'two']);
    expect(second.chunk.find(({ type }) => type === 'm.room.message')).toMatchObject({
      room_id: roomId,
      sender: alice.userId,
      event_id: expect.any(String),
    });
    expect((await events(alice, { from: second.end })).chunk).toEqual([]);
  });

  test('waits for an event, an invite, typing, a receipt and account data', async () => {
    const wait = (from: string) => events(alice, { from, timeout: '60000' });
    let { end } = await events(alice);
    const happens = async (type: string, act: () => Promise<unknown>): Promise<OldEvent> => {
      for (let waiting = wait(end), acted: Promise<unknown> | undefined; ; waiting = wait(end)) {
        acted ??= act();
        const { chunk, end: next } = await waiting;
        await acted;
        end = next;
        const found = chunk.find((event) => event.type === type);
        if (found !== undefined) return found;
      }
    };
    expect(await happens('m.room.member', () => bob.ok('POST', `/join/${roomId}`))).toMatchObject({ room_id: roomId });
    const { event_id } = await say(bob, 'hello');
    expect(
      await happens('m.typing', () => bob.ok('PUT', `/rooms/${roomId}/typing/${bob.userId}`, { typing: true })),
    ).toEqual({ type: 'm.typing', room_id: roomId, content: { user_ids: [bob.userId] } });
    const receipt = `/rooms/${roomId}/receipt/m.read/${encodeURIComponent(String(event_id))}`;
    expect(await happens('m.receipt', () => bob.ok('POST', receipt, {}))).toMatchObject({ room_id: roomId });
    const data = `/user/${alice.userId}/account_data/org.example.data`;
    expect(await happens('org.example.data', () => alice.ok('PUT', data, { a: 1 }))).toEqual({
      type: 'org.example.data',
      content: { a: 1 },
    });
    const invited = happens('m.room.member', async () => {
      const other = String((await bob.ok('POST', '/createRoom', {})).room_id);
      await bob.ok('POST', `/rooms/${other}/invite`, { user_id: alice.userId });
    });
    expect(await invited).toMatchObject({ state_key: alice.userId, content: { membership: 'invite' } });
  });

  test('says nothing of a room to those who are not in it, or not any more', async () => {
    await worldReadable();
    const { end } = await events(bob);
    await say(alice, 'before bob');
    expect((await events(bob, { from: end })).chunk).toEqual([]);
    await bob.ok('POST', `/join/${roomId}`);
    await say(alice, 'to bob');
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    await say(alice, 'after bob');
    expect(bodies(await events(bob, { from: end }))).toEqual(['before bob', 'to bob']);
  });

  test('follows a room that the world may read', async () => {
    expect(errorOf(await bob.call('GET', `/events?room_id=${roomId}`))).toBe('403 M_FORBIDDEN');
    await worldReadable();
    const { end } = await events(bob, { room_id: roomId });
    const waiting = events(bob, { room_id: roomId, from: end, timeout: '60000' });
    await say(alice, 'to the world');
    expect(bodies(await waiting)).toEqual(['to the world']);
  });

  test('goes on from the initial sync of a room', async () => {
    const { messages } = (await alice.ok('GET', `/rooms/${roomId}/initialSync`)) as unknown as OldRoom;
    await say(alice, 'since');
    expect(bodies(await events(alice, { room_id: roomId, from: messages.end }))).toEqual(['since']);
  });

  test('is for guests in one room only', async () => {
    await worldReadable();
    const { body } = await request(app.http, 'POST', '/register?kind=guest', {});
    const guest = (at: string) => request(app.http, 'GET', at, undefined, String(body['access_token']));
    expect(errorOf(await guest('/events'))).toBe('403 M_GUEST_ACCESS_FORBIDDEN');
    expect(errorOf(await guest(`/events?room_id=${roomId}`))).toBe('200');
  });

  test('refuses tokens that are not the server’s', async () => {
    expect(errorOf(await alice.call('GET', '/events?from=nonsense'))).toBe('400 M_INVALID_PARAM');
    expect(errorOf(await alice.call('GET', '/events?timeout=soon'))).toBe('400 M_INVALID_PARAM');
    expect(errorOf(await alice.call('GET', '/events?limit=-1'))).toBe('400 M_INVALID_PARAM');
  });
});

test('an event is found by its id alone, by those who may see it', async () => {
  const { event_id } = await say(alice, 'here');
  const path = `/events/${encodeURIComponent(String(event_id))}`;
  expect(await alice.ok('GET', path)).toMatchObject({ room_id: roomId, event_id, content: { body: 'here' } });
  expect(errorOf(await bob.call('GET', path))).toBe('404 M_NOT_FOUND');
  expect(errorOf(await alice.call('GET', '/events/$nothing'))).toBe('404 M_NOT_FOUND');
});

describe('the initial sync', () => {
  test('shows rooms, presence, receipts and account data, and where to go on', async () => {
    await say(alice, 'one');
    const { event_id } = await say(alice, 'two');
    await alice.ok('POST', `/rooms/${roomId}/receipt/m.read/${encodeURIComponent(String(event_id))}`, {});
    await alice.ok('PUT', `/user/${alice.userId}/account_data/org.example.data`, { a: 1 });
    const body = (await alice.ok('GET', '/initialSync?limit=1')) as unknown as {
      end: string;
      rooms: OldRoom[];
      presence: OldEvent[];
      receipts: OldEvent[];
      account_data: OldEvent[];
    };
    expect(body.rooms).toHaveLength(1);
    const [room] = body.rooms;
    expect(room).toMatchObject({ room_id: roomId, membership: 'join', visibility: expect.any(String) });
    expect(bodies({ chunk: room?.messages.chunk ?? [] })).toEqual(['two']);
    expect(room?.state.map(({ type }) => type)).toContain('m.room.create');
    expect(body.presence).toEqual([
      {
        type: 'm.presence',
        sender: alice.userId,
        content: {
          user_id: alice.userId,
          presence: 'online',
          currently_active: true,
          last_active_ago: expect.any(Number),
        },
      },
    ]);
    expect(body.receipts).toHaveLength(1);
    expect(body.account_data.map(({ type }) => type)).toContain('org.example.data');
    const older = await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=1&from=${room?.messages.start}`);
    expect(older.chunk).toMatchObject([{ content: { body: 'one' } }]);
    await say(alice, 'three');
    expect(bodies(await events(alice, { from: body.end }))).toEqual(['three']);
  });

  test('has invites, and left rooms only where asked for', async () => {
    await alice.ok('POST', `/rooms/${roomId}/invite`, { user_id: bob.userId });
    const rooms = async (query = '') => (await bob.ok('GET', `/initialSync${query}`)).rooms as unknown as OldRoom[];
    expect(await rooms()).toMatchObject([
      { room_id: roomId, membership: 'invite', inviter: alice.userId, invite: { type: 'm.room.member' } },
    ]);
    await bob.ok('POST', `/join/${roomId}`);
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'after bob' });
    expect(await rooms()).toEqual([]);
    const [left] = await rooms('?archived=true');
    expect(left).toMatchObject({ room_id: roomId, membership: 'leave' });
    expect(left?.state.map(({ type }) => type)).not.toContain('m.room.topic');
  });
});

test('the initial sync of a room is for members, and for the world where it may read', async () => {
  const room = (await alice.ok('GET', `/rooms/${roomId}/initialSync?limit=2`)) as unknown as OldRoom;
  expect(room.messages.chunk).toHaveLength(2);
  expect(room.presence.map(({ content }) => content['user_id'])).toEqual([alice.userId]);
  expect(errorOf(await bob.call('GET', `/rooms/${roomId}/initialSync`))).toBe('403 M_FORBIDDEN');
  await worldReadable();
  await say(alice, 'public');
  const peeked = (await bob.ok('GET', `/rooms/${roomId}/initialSync`)) as unknown as OldRoom;
  expect(peeked).not.toHaveProperty('membership');
  expect(peeked.messages.chunk.map(({ type }) => type)).toEqual(['m.room.history_visibility', 'm.room.message']);
  await bob.ok('POST', `/join/${roomId}`);
  await bob.ok('POST', `/rooms/${roomId}/leave`);
  const left = (await bob.ok('GET', `/rooms/${roomId}/initialSync`)) as unknown as OldRoom;
  expect([left.membership, left.presence, left.receipts]).toEqual(['leave', [], []]);
});
