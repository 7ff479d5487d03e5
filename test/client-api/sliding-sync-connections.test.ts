import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { request, startApplication, type TestApplication, TestClient } from '#test/support/application.ts';
import { everything, SLIDING_SYNC, slide, slidingCall } from './sliding-sync-client.ts';
import { createRoom, sayIn } from './sync-client.ts';

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

describe('a position', () => {
  it('is good for its user, device and connection only', async () => {
    const { pos } = await slide(alice, everything());
    const login = await request(app.http, 'POST', '/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: 'correct horse battery staple',
    });
    const { device_id: deviceId, access_token: token } = login.body;
    const tablet = new TestClient(app.http, alice.userId, String(deviceId), String(token));
    await slide(tablet, everything());
    await slide(bob, everything());
    for (const [client, body] of [
      [bob, everything()],
      [tablet, everything()],
      [alice, { ...everything(), conn_id: 'other' }],
    ] as const) {
      expect((await slidingCall(client, body, { pos })).body.errcode).toBe('M_UNKNOWN_POS');
    }
    expect((await slidingCall(alice, everything(), { pos })).status).toBe(200);
  });

  it('is not known any more once the connection has begun anew', async () => {
    const { pos } = await slide(alice, everything());
    await slide(alice, everything());
    expect((await slidingCall(alice, everything(), { pos })).body.errcode).toBe('M_UNKNOWN_POS');
  });

  it.each(['nonsense', 's1_2_a', 's1_2_a~x', '~', 's1_2_a~b.1.1~c', 's999999999_0_a~b.1.1', 'x'.repeat(5000)])(
    '%s is unknown',
    async (pos) => {
      await slide(alice, everything());
      const { status, body } = await slidingCall(alice, everything(), { pos });
      expect([status, body.errcode]).toEqual([400, 'M_UNKNOWN_POS']);
    },
  );

  it('can be where a page of messages begins', async () => {
    const roomId = await createRoom(alice);
    await sayIn(alice, roomId, 'before');
    const { pos } = await slide(alice, everything());
    await sayIn(alice, roomId, 'after');
    const at = `/rooms/${roomId}/messages?dir=b&limit=1&from=${encodeURIComponent(pos)}`;
    expect((await alice.ok('GET', at)).chunk).toMatchObject([{ content: { body: 'before' } }]);
  });
});

describe('waiting', () => {
  it('ends when something comes into a room of the window', async () => {
    const roomId = await createRoom(alice);
    const first = await slide(alice, everything());
    const waiting = slide(alice, everything(), { pos: first.pos, timeout: 60_000 });
    await sayIn(alice, roomId, 'news');
    expect(Object.keys((await waiting).rooms)).toEqual([roomId]);
  });

  it('ends with nothing when the server stops', async () => {
    const first = await slide(alice, everything());
    const waiting = slide(alice, everything(), { pos: first.pos, timeout: 60_000 });
    app.beginClosing();
    expect((await waiting).rooms).toEqual({});
  });

  it('ends when another request comes on the same connection', async () => {
    const first = await slide(alice, everything());
    const waiting = slide(alice, everything(), { pos: first.pos, timeout: 60_000 });
    await slide(alice, everything(), { pos: first.pos });
    expect((await waiting).rooms).toEqual({});
  });

  it('is refused to a device that is logged out meanwhile', async () => {
    const first = await slide(alice, everything());
    const waiting = slidingCall(alice, everything(), { pos: first.pos, timeout: 60_000 });
    await alice.ok('POST', '/logout', {});
    expect((await waiting).body.errcode).toBe('M_UNKNOWN_TOKEN');
  });
});

describe('what is asked wrongly', () => {
  const rules = (count: number): object =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`!${index}:localhost`, { timeline_limit: 1, required_state: [] }]),
    );

  it.each([
    [{ lists: rules(101) }, 'M_INVALID_PARAM'],
    [{ room_subscriptions: rules(101) }, 'M_INVALID_PARAM'],
    [{ lists: { a: { ranges: [[-1, 5]] } } }, 'M_BAD_JSON'],
    [{ lists: { a: { ranges: [[0]] } } }, 'M_BAD_JSON'],
    [{ lists: { a: { timeline_limit: -1 } } }, 'M_BAD_JSON'],
    [{ lists: { a: { timeline_limit: 1.5 } } }, 'M_BAD_JSON'],
    [{ lists: { a: { required_state: [['only a type']] } } }, 'M_BAD_JSON'],
    [{ lists: [] }, 'M_BAD_JSON'],
    [{ conn_id: 7 }, 'M_BAD_JSON'],
    [{ set_presence: 'asleep' }, 'M_BAD_JSON'],
    [[], 'M_BAD_JSON'],
  ])('%j is answered with %s', async (body, errcode) => {
    const answer = await slidingCall(alice, body);
    expect([answer.status, answer.body.errcode]).toEqual([400, errcode]);
  });

  it('a token is needed', async () => {
    expect((await request(app.http, 'POST', SLIDING_SYNC, {})).body.errcode).toBe('M_MISSING_TOKEN');
  });

  it('subscriptions to rooms that the user may not see are passed over', async () => {
    const secret = await createRoom(bob, { name: 'Secret' });
    const room_subscriptions = {
      [secret]: { timeline_limit: 5, required_state: [['*', '*']] },
      '!nowhere:localhost': { timeline_limit: 5, required_state: [] },
      'not a room': { timeline_limit: 5, required_state: [] },
    };
    const extensions = { account_data: { enabled: true }, receipts: { enabled: true }, typing: { enabled: true } };
    expect((await slide(alice, { room_subscriptions, extensions })).rooms).toEqual({});
  });

  it('names that objects have anyway are names like others', async () => {
    const body = '{"lists":{"__proto__":{"ranges":[[0,9]],"timeline_limit":1},"constructor":{"ranges":[[0,9]]}}}';
    const { status } = await request(app.http, 'POST', SLIDING_SYNC, body, alice.accessToken);
    expect([200, 400]).toContain(status);
  });
});

it('shows nothing of what came while the user was out of the room', async () => {
  const roomId = await createRoom(bob, {
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }],
  });
  await alice.ok('POST', `/rooms/${roomId}/join`, {});
  const first = await slide(alice, everything(50));
  await alice.ok('POST', `/rooms/${roomId}/leave`, {});
  await sayIn(bob, roomId, 'behind her back');
  await bob.ok('PUT', `/rooms/${roomId}/state/m.room.topic/`, { topic: 'hidden' });
  const wide = { lists: { all: { ranges: [[0, 9]], timeline_limit: 50, required_state: [['*', '*']] } } };
  const left = await slide(alice, wide, { pos: first.pos });
  const again = await slide(alice, wide, { pos: left.pos });
  const subscribed = await slide(alice, { room_subscriptions: { [roomId]: wide.lists.all } });
  for (const answer of [left, again, subscribed]) {
    expect(JSON.stringify(answer)).not.toMatch(/behind her back|hidden/);
  }
  expect(subscribed.rooms).toHaveProperty(roomId);
});
