import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { everything, type SlidingAnswer, slide, slidingCall } from './sliding-sync-client.ts';
import { createRoom, sayIn } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let roomId: string;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  roomId = await createRoom(alice, { preset: 'public_chat' });
  await bob.ok('POST', `/rooms/${roomId}/join`, {});
});

afterEach(async () => {
  await app.close();
});

function withExtensions(extensions: object): object {
  return { ...everything(5), extensions };
}

describe('messages to devices', () => {
  let sent = 0;

  async function send(content: object): Promise<void> {
    sent += 1;
    await bob.ok('PUT', `/sendToDevice/m.test/t${sent}`, {
      messages: { [alice.userId]: { [alice.deviceId]: content } },
    });
  }

  async function receive(since?: string, limit?: number, pos?: string): Promise<SlidingAnswer> {
    return slide(
      alice,
      { extensions: { to_device: { enabled: true, since, limit } } },
      pos === undefined ? {} : { pos },
    );
  }

  function numbers({ extensions }: SlidingAnswer): unknown[] {
    return extensions.to_device?.events.map(({ content }) => content.number) ?? [];
  }

  it('come until their token is given back, whatever the connection', async () => {
    await send({ number: 1 });
    const first = await receive();
    expect(numbers(first)).toEqual([1]);
    expect(numbers(await receive())).toEqual([1]);
    const next = await receive(first.extensions.to_device?.next_batch);
    expect(numbers(next)).toEqual([]);
    await app.context.acknowledgements.flush();
    expect(numbers(await receive())).toEqual([]);
  });

  it('come in parts where there are more than were asked for', async () => {
    for (let number = 1; number <= 5; number++) await send({ number });
    const first = await receive(undefined, 2);
    expect(numbers(first)).toEqual([1, 2]);
    const second = await receive(first.extensions.to_device?.next_batch, 2, first.pos);
    expect(numbers(second)).toEqual([3, 4]);
    const third = await receive(second.extensions.to_device?.next_batch, 2, second.pos);
    expect(numbers(third)).toEqual([5]);
  });

  it('wake who waits', async () => {
    const first = await receive();
    const body = { extensions: { to_device: { enabled: true, since: first.extensions.to_device?.next_batch } } };
    const waiting = slide(alice, body, { pos: first.pos, timeout: 60_000 });
    await send({ number: 7 });
    expect(numbers(await waiting)).toEqual([7]);
  });

  it('are not to be had with a token that is none', async () => {
    const { status, body } = await slidingCall(alice, { extensions: { to_device: { enabled: true, since: 'x' } } });
    expect([status, body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
  });

  it('are not told of where the extension is off', async () => {
    await send({ number: 1 });
    const answer = await slide(alice, { extensions: { to_device: { enabled: false } } });
    expect(answer.extensions).toEqual({});
  });
});

it('tells whose devices changed, and how many keys are left', async () => {
  const first = await slide(alice, withExtensions({ e2ee: { enabled: true } }));
  expect(first.extensions.e2ee).toEqual({
    device_one_time_keys_count: { signed_curve25519: 0 },
    device_unused_fallback_key_types: [],
  });
  const keys = { algorithms: [], device_id: bob.deviceId, user_id: bob.userId, keys: {}, signatures: {} };
  await bob.ok('POST', '/keys/upload', { device_keys: keys });
  const second = await slide(alice, withExtensions({ e2ee: { enabled: true } }), { pos: first.pos });
  expect(second.extensions.e2ee?.device_lists?.changed).toEqual([bob.userId]);
});

describe('account data', () => {
  const enabled = { account_data: { enabled: true } };

  it('comes whole at first, and then as it changes', async () => {
    await alice.ok('PUT', `/user/${alice.userId}/account_data/org.example.one`, { n: 1 });
    await alice.ok('PUT', `/user/${alice.userId}/rooms/${roomId}/account_data/org.example.room`, { n: 1 });
    const first = await slide(alice, withExtensions(enabled));
    const types = first.extensions.account_data?.global.map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(['m.push_rules', 'org.example.one']));
    expect(first.extensions.account_data?.rooms[roomId]).toEqual([{ type: 'org.example.room', content: { n: 1 } }]);
    const quiet = await slide(alice, withExtensions(enabled), { pos: first.pos });
    expect(quiet.extensions).toEqual({});
    await alice.ok('PUT', `/user/${alice.userId}/account_data/org.example.one`, { n: 2 });
    await alice.ok('PUT', `/user/${alice.userId}/rooms/${roomId}/account_data/org.example.room`, { n: 2 });
    const second = await slide(alice, withExtensions(enabled), { pos: quiet.pos });
    expect(second.extensions.account_data).toEqual({
      global: [{ type: 'org.example.one', content: { n: 2 } }],
      rooms: { [roomId]: [{ type: 'org.example.room', content: { n: 2 } }] },
    });
  });

  it('of a room that is not in the window comes when the room does', async () => {
    const other = await createRoom(alice);
    const extensions = { account_data: { enabled: true } };
    const both = withExtensions(enabled);
    const top = { lists: { all: { ranges: [[0, 0]], timeline_limit: 1, required_state: [] } }, extensions };
    const first = await slide(alice, both);
    await alice.ok('PUT', `/user/${alice.userId}/rooms/${roomId}/account_data/org.example.room`, { n: 1 });
    await sayIn(alice, other, 'on top');
    const narrow = await slide(alice, top, { pos: first.pos });
    expect(narrow.extensions.account_data).toBeUndefined();
    const wide = await slide(alice, both, { pos: narrow.pos });
    expect(wide.extensions.account_data?.rooms).toEqual({
      [roomId]: [{ type: 'org.example.room', content: { n: 1 } }],
    });
  });

  it('of rooms comes for the lists and rooms that are named', async () => {
    await alice.ok('PUT', `/user/${alice.userId}/rooms/${roomId}/account_data/org.example.room`, { n: 1 });
    const roomsWith = async (scope: object): Promise<string[]> => {
      const answer = await slide(alice, withExtensions({ account_data: { enabled: true, ...scope } }));
      return Object.keys(answer.extensions.account_data?.rooms ?? {});
    };
    expect(await roomsWith({ lists: ['all'] })).toEqual([roomId]);
    expect(await roomsWith({ lists: ['*'] })).toEqual([roomId]);
    expect(await roomsWith({ lists: [] })).toEqual([]);
    expect(await roomsWith({ lists: [], rooms: [roomId] })).toEqual([roomId]);
  });
});

describe('receipts', () => {
  const enabled = { receipts: { enabled: true } };

  it('come at first for what is shown, and then as they are sent', async () => {
    const old = await sayIn(alice, roomId, 'old');
    await bob.ok('POST', `/rooms/${roomId}/receipt/m.read/${old}`, {});
    const shown = { lists: { all: { ranges: [[0, 9]], timeline_limit: 1, required_state: [] } }, extensions: enabled };
    expect((await slide(alice, shown)).extensions.receipts?.rooms[roomId]?.content).toMatchObject({
      [old]: { 'm.read': { [bob.userId]: {} } },
    });
    await sayIn(alice, roomId, 'new');
    const first = await slide(alice, shown);
    expect(first.extensions.receipts).toBeUndefined();
    const newest = await sayIn(alice, roomId, 'newest');
    await bob.ok('POST', `/rooms/${roomId}/receipt/m.read/${newest}`, {});
    const second = await slide(alice, shown, { pos: first.pos });
    expect(Object.keys(second.extensions.receipts?.rooms[roomId]?.content ?? {})).toEqual([newest]);
    expect((await slide(alice, shown, { pos: second.pos })).extensions).toEqual({});
  });

  it('that are private are shown to nobody else', async () => {
    const eventId = await sayIn(alice, roomId, 'hello');
    const first = await slide(alice, withExtensions(enabled));
    await bob.ok('POST', `/rooms/${roomId}/receipt/m.read.private/${eventId}`, {});
    expect((await slide(alice, withExtensions(enabled), { pos: first.pos })).extensions).toEqual({});
  });
});

it('tells who is typing, and who has stopped', async () => {
  const enabled = withExtensions({ typing: { enabled: true } });
  const first = await slide(alice, enabled);
  const waiting = slide(alice, enabled, { pos: first.pos, timeout: 60_000 });
  await bob.ok('PUT', `/rooms/${roomId}/typing/${bob.userId}`, { typing: true, timeout: 30_000 });
  const second = await waiting;
  expect(second.extensions.typing?.rooms[roomId]?.content).toEqual({ user_ids: [bob.userId] });
  await bob.ok('PUT', `/rooms/${roomId}/typing/${bob.userId}`, { typing: false });
  const third = await slide(alice, enabled, { pos: second.pos });
  expect(third.extensions.typing?.rooms[roomId]?.content).toEqual({ user_ids: [] });
  expect((await slide(alice, enabled, { pos: third.pos })).extensions).toEqual({});
});

it('tells a new connection who is typing', async () => {
  await bob.ok('PUT', `/rooms/${roomId}/typing/${bob.userId}`, { typing: true, timeout: 30_000 });
  const first = await slide(alice, withExtensions({ typing: { enabled: true } }));
  expect(first.extensions.typing?.rooms[roomId]?.content).toEqual({ user_ids: [bob.userId] });
});
