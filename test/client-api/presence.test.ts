/** Presence as clients see it: asked for, and in their syncs. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let roomId: string;

async function start(settings: object = {}): Promise<void> {
  app = await startApplication(settings);
  alice = await app.register('alice');
  bob = await app.register('bob');
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' })).room_id);
}
beforeEach(() => start());
afterEach(() => app.close());

interface PresenceEvent {
  readonly type: string;
  readonly sender: string;
  readonly content: Record<string, unknown>;
}

interface Synced {
  readonly next: string;
  readonly presence: readonly PresenceEvent[];
  readonly body: Record<string, unknown>;
}

async function sync(who: TestClient, query: Record<string, string> = {}): Promise<Synced> {
  const body = await who.ok('GET', `/sync?${new URLSearchParams(query)}`);
  const presence = (body['presence'] ?? { events: [] }) as { events: PresenceEvent[] };
  return { next: String(body['next_batch']), presence: presence.events, body };
}

const status = (userId: string) => `/presence/${userId}/status`;
const senders = ({ presence }: Synced) => presence.map(({ sender }) => sender).sort();

test('a first sync shows oneself, and those online in one’s rooms, but no strangers', async () => {
  await sync(bob);
  const stranger = await app.register('stranger');
  await sync(stranger);
  const first = await sync(alice);
  expect(first.presence).toEqual([
    {
      type: 'm.presence',
      sender: alice.userId,
      content: { presence: 'online', currently_active: true, last_active_ago: expect.any(Number) },
    },
  ]);
  await bob.ok('POST', `/join/${roomId}`);
  expect(senders(await sync(alice))).toEqual([alice.userId, bob.userId]);
});

test('a new name is told with the presence, to those in the same rooms', async () => {
  await bob.ok('POST', `/join/${roomId}`);
  await sync(bob);
  const { next } = await sync(alice);
  await app.context.profiles.set(bob.userId, 'avatar_url', 'mxc://localhost/face');
  await bob.ok('PUT', `/profile/${bob.userId}/displayname`, { displayname: 'Bobby' });
  const later = await sync(alice, { since: next });
  expect(later.presence.filter(({ sender }) => sender === bob.userId)).toMatchObject([
    { content: { presence: 'online', displayname: 'Bobby', avatar_url: 'mxc://localhost/face' } },
  ]);
  // What others are not shown in member events they are not told of here.
  await bob.ok('PUT', `/profile/${bob.userId}/org.example.mood`, { 'org.example.mood': 'fine' });
  expect((await sync(alice, { since: later.next })).presence).toEqual([]);
});

test('a poll is woken by what somebody says of themselves, and told once', async () => {
  await bob.ok('POST', `/join/${roomId}`);
  const { next } = await sync(alice);
  const waiting = sync(alice, { since: next, timeout: '60000' });
  await bob.ok('PUT', status(bob.userId), { presence: 'unavailable', status_msg: 'at lunch' });
  const woken = await waiting;
  expect(woken.presence).toEqual([
    {
      type: 'm.presence',
      sender: bob.userId,
      content: { presence: 'unavailable', last_active_ago: expect.any(Number), status_msg: 'at lunch' },
    },
  ]);
  const after = await sync(alice, { since: woken.next });
  expect(after.body).not.toHaveProperty('presence');
});

test('somebody elsewhere does not make a sync look for news', async () => {
  const { next } = await sync(alice);
  await sync(bob);
  const { body } = await sync(alice, { since: next });
  expect(Object.keys(body).sort()).toEqual([
    'device_one_time_keys_count',
    'device_unused_fallback_key_types',
    'next_batch',
  ]);
});

test('who comes into a room is shown to those in it, and those in it to who comes', async () => {
  const alices = await sync(alice);
  const bobs = await sync(bob);
  await bob.ok('POST', `/join/${roomId}`);
  expect(senders(await sync(alice, { since: alices.next }))).toEqual([bob.userId]);
  expect(senders(await sync(bob, { since: bobs.next }))).toEqual([alice.userId, bob.userId]);
});

test('in many rooms people are found too, and strangers are not', async () => {
  for (let count = 0; count < 70; count += 1) await alice.ok('POST', '/createRoom', {});
  await bob.ok('POST', `/join/${roomId}`);
  const stranger = await app.register('stranger');
  const { next } = await sync(alice);
  await sync(bob);
  await sync(stranger);
  expect(senders(await sync(alice, { since: next }))).toEqual([bob.userId]);
  expect(senders(await sync(alice))).toEqual([alice.userId, bob.userId]);
});

test('a filter decides whose presence is wanted', async () => {
  await bob.ok('POST', `/join/${roomId}`);
  await sync(bob);
  const filtered = async (presence: object) => senders(await sync(alice, { filter: JSON.stringify({ presence }) }));
  expect(await filtered({ types: ['m.presence'] })).toEqual([alice.userId, bob.userId]);
  expect(await filtered({ types: [] })).toEqual([]);
  expect(await filtered({ not_senders: [alice.userId] })).toEqual([bob.userId]);
  expect(await filtered({ limit: 1 })).toHaveLength(1);
});

test('who syncs as offline is not shown', async () => {
  const hidden = await sync(alice, { set_presence: 'offline' });
  expect(hidden.presence).toEqual([]);
  expect(await alice.ok('GET', status(alice.userId))).toEqual({ presence: 'offline' });
  expect(errorOf(await alice.call('GET', '/sync?set_presence=asleep'))).toBe('400 M_INVALID_PARAM');
});

test('what people do makes them active, what their clients do does not', async () => {
  await sync(alice);
  app.advance(120_000);
  app.context.presence.sweep();
  const idle = await alice.ok('GET', status(alice.userId));
  // Nobody asked for news for two minutes.
  expect(idle).toMatchObject({ presence: 'offline' });
  await sync(alice);
  app.advance(20_000);
  await alice.ok('GET', '/account/whoami');
  expect((await alice.ok('GET', status(alice.userId))).last_active_ago).toBeGreaterThanOrEqual(20_000);
  await alice.ok('PUT', `/rooms/${roomId}/send/m.room.message/1`, { msgtype: 'm.text', body: 'here' });
  expect((await alice.ok('GET', status(alice.userId))).last_active_ago).toBeLessThan(20_000);
});

test('only those who share a room may ask, and only oneself may say', async () => {
  expect(errorOf(await bob.call('GET', status(alice.userId)))).toBe('403 M_FORBIDDEN');
  expect(errorOf(await bob.call('GET', status('@nobody:localhost')))).toBe('403 M_FORBIDDEN');
  await bob.ok('POST', `/join/${roomId}`);
  expect(await bob.ok('GET', status(alice.userId))).toEqual({ presence: 'offline' });
  expect(errorOf(await bob.call('PUT', status(alice.userId), { presence: 'online' }))).toBe('403 M_FORBIDDEN');
  expect(errorOf(await bob.call('PUT', status(bob.userId), { presence: 'asleep' }))).toBe('400 M_BAD_JSON');
  const long = { presence: 'online', status_msg: 'x'.repeat(1_001) };
  expect(errorOf(await bob.call('PUT', status(bob.userId), long))).toBe('400 M_INVALID_PARAM');
});

test('it can be turned off', async () => {
  await app.close();
  await start({ presence: { enabled: false } });
  await alice.ok('PUT', status(alice.userId), { presence: 'online', status_msg: 'hello' });
  expect((await sync(alice)).body).not.toHaveProperty('presence');
  expect(await alice.ok('GET', status(alice.userId))).toEqual({ presence: 'offline' });
});
