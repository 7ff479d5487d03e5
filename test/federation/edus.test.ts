/** What is not in the history of rooms: who types, reads and is there, keys, and messages to devices, between two servers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { coreProjections } from '#projections/catalogue.ts';
import { deviceKeysOf as deviceKeysIn, remoteListOf } from '#projections/encryption/key-queries.ts';
import { keyTables } from '#projections/encryption/key-tables.ts';
import { outboxProjection, queuedMessages } from '#projections/encryption/outbox-projection.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { AnyTable, Table } from '#projections/engine/table.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type DeviceChange, RemoteDeviceLists } from '#src/encryption/remote-device-lists.ts';
import type { FederationClient } from '#src/federation/client.ts';
import { silentLog } from '#src/log/logger.ts';
import {
  anotherDevice,
  claimOne,
  deviceKeysOf,
  type EncryptionSync,
  query,
  signedKey,
} from '#test/client-api/encryption-client.ts';
import { type EventAnswer, type RoomAnswer, sync } from '#test/client-api/sync-client.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const PATIENCE_MS = 20_000;

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
let names = 0;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
});
afterAll(async () => {
  await one.close();
  await two.close();
});
beforeEach(async () => {
  names += 1;
  alice = await one.register(`alice${names}`);
  bob = await two.register(`bob${names}`);
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
  await until(alice, ({ rooms }) => eventsOf(rooms?.join?.[roomId]).some(({ state_key: key }) => key === bob.userId));
});

const eventsOf = (room: RoomAnswer | undefined): readonly EventAnswer[] => room?.timeline.events ?? [];
const ephemeralOf = (answer: EncryptionSync, type: string): readonly EventAnswer[] =>
  (answer.rooms?.join?.[roomId]?.ephemeral?.events ?? []).filter((event) => event.type === type);
const at = (rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;

/** Syncs, from `since` on, until an answer is as it should be. */
async function until(
  who: TestClient,
  isDone: (answer: EncryptionSync) => boolean,
  since?: string,
): Promise<EncryptionSync> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let from = since; ; ) {
    const answer = (await sync(who, { ...(from !== undefined && { since: from }), timeout: 1000 })) as EncryptionSync;
    if (isDone(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`it never came; last was ${JSON.stringify(answer)}`);
    from = answer.next_batch;
  }
}

/** Resolves when something is recorded on one of the servers. */
function nextRecord(): Promise<void> {
  return new Promise((resolve) => {
    const stops = [one, two].map(({ engine }) => engine.onAdvance(done));
    function done(): void {
      for (const stop of stops) stop();
      resolve();
    }
  });
}

/** Waits for something that no sync tells, and looks whenever something was recorded. */
async function eventually(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (;;) {
    const recorded = nextRecord();
    if (await isSo()) return;
    await recorded;
  }
}

const deferred = () => Promise.withResolvers<JsonObject>();
const changeOf = (streamId: number, deviceId: string): DeviceChange => ({
  userId: bob.userId,
  streamId,
  previousIds: [],
  device: { deviceId, keysJson: '{}', displayName: null },
  isDeleted: false,
});
const listOf = (streamId: number, ...deviceIds: string[]): JsonObject => ({
  user_id: bob.userId,
  stream_id: streamId,
  devices: deviceIds.map((deviceId) => ({ device_id: deviceId, keys: { algorithms: [] } })),
});
/** Lists of the first server, told by a server that answers as a test wishes. */
function listsOf(request: () => Promise<JsonObject>): RemoteDeviceLists {
  const { reader, commands, newRecordId, serverName, clock, federation } = one.context;
  const client = { request } as unknown as FederationClient;
  const { destinations } = federation;
  return new RemoteDeviceLists({
    reader,
    commands,
    client,
    destinations,
    serverName,
    newRecordId,
    clock,
    logger: silentLog(),
  });
}

let edus = 0;
/** Sends EDUs as a server would that may say anything. */
const sendAs = (server: TestServer, to: string, ...list: readonly (readonly [string, JsonObject])[]) =>
  server.context.federation.client.request({
    destination: to,
    method: 'PUT',
    path: `/_matrix/federation/v1/send/edu${++edus}`,
    content: {
      origin: server.name,
      origin_server_ts: 1,
      pdus: [],
      edus: list.map(([type, content]) => ({ edu_type: type, content })),
    },
  });

const uploadKeys = (who: TestClient, identity?: string) =>
  who.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(who, identity) });
const toDevice = (from: TestClient, to: TestClient, content: object, txnId = `t${++edus}`) =>
  from.ok('PUT', `/sendToDevice/m.test/${txnId}`, { messages: { [to.userId]: { [to.deviceId]: content } } });

describe('typing', () => {
  it('is shown on the other server, and that it is over', async () => {
    await bob.ok('PUT', at(`/typing/${bob.userId}`), { typing: true, timeout: 30_000 });
    const typing = await until(alice, (answer) => ephemeralOf(answer, 'm.typing').length > 0);
    expect(ephemeralOf(typing, 'm.typing')[0]?.content).toEqual({ user_ids: [bob.userId] });
    await bob.ok('PUT', at(`/typing/${bob.userId}`), { typing: false });
    const over = await until(alice, (answer) => ephemeralOf(answer, 'm.typing').length > 0, typing.next_batch);
    expect(ephemeralOf(over, 'm.typing')[0]?.content).toEqual({ user_ids: [] });
  });

  it('is believed of nobody but the users of the server that says it, in rooms they are in', async () => {
    const carol = await two.register(`carol${names}`);
    const said = (userId: string): [string, JsonObject] => [
      'm.typing',
      { room_id: roomId, user_id: userId, typing: true },
    ];
    await sendAs(two, 'one.test', said(alice.userId), said(carol.userId), said('@x:three.test'), said(bob.userId));
    expect(one.context.typing.usersIn(roomId)).toEqual([bob.userId]);
  });

  it('of a server that the room shuts out is not shown', async () => {
    await alice.ok('PUT', at('/state/m.room.server_acl'), { allow: ['*'], deny: ['two.test'] });
    await sendAs(two, 'one.test', ['m.typing', { room_id: roomId, user_id: bob.userId, typing: true }]);
    expect(one.context.typing.usersIn(roomId)).toEqual([]);
  });
});

describe('receipts', () => {
  const say = async (who: TestClient, body: string, more: object = {}) =>
    String(
      (await who.ok('PUT', at(`/send/m.room.message/r${++edus}`), { msgtype: 'm.text', body, ...more }))['event_id'],
    );
  const arrives = (who: TestClient, eventId: string) =>
    until(who, ({ rooms }) => eventsOf(rooms?.join?.[roomId]).some((event) => event.event_id === eventId));
  const receiptIn = (answer: EncryptionSync, eventId: string): unknown =>
    (ephemeralOf(answer, 'm.receipt')[0]?.content as JsonObject | undefined)?.[eventId];

  it('reach the other server, also those of a thread, but not private ones', async () => {
    const root = await say(alice, 'root');
    const reply = await say(alice, 'reply', { 'm.relates_to': { rel_type: 'm.thread', event_id: root } });
    await arrives(bob, reply);
    await bob.ok('POST', at(`/receipt/m.read.private/${reply}`), {});
    await bob.ok('POST', at(`/receipt/m.read/${reply}`), { thread_id: root });
    const answer = await until(alice, (one) => receiptIn(one, reply) !== undefined);
    expect(receiptIn(answer, reply)).toEqual({
      'm.read': { [bob.userId]: { ts: expect.any(Number), thread_id: root } },
    });
  });

  it('are taken only from the server of the user, and never go back', async () => {
    const first = await say(alice, 'first');
    const second = await say(alice, 'second');
    const read = (userId: string, eventId: string): [string, JsonObject] => [
      'm.receipt',
      { [roomId]: { 'm.read': { [userId]: { event_ids: [eventId], data: { ts: 5 } } } } },
    ];
    await sendAs(two, 'one.test', read(alice.userId, second), read(bob.userId, second), read(bob.userId, first));
    const answer = await until(alice, (one) => receiptIn(one, second) !== undefined);
    expect(ephemeralOf(answer, 'm.receipt').map(({ content }) => content)).toEqual([
      { [second]: { 'm.read': { [bob.userId]: { ts: 5 } } } },
    ]);
  });

  it('of threads that are not there are not kept', async () => {
    const first = await say(alice, 'first');
    const data = { ts: 5, thread_id: '$made-up' };
    const content = { [roomId]: { 'm.read': { [bob.userId]: { event_ids: [first], data } } } };
    const before = one.log.head();
    await sendAs(two, 'one.test', ['m.receipt', content]);
    expect(one.log.head()).toBe(before);
  });
});

describe('presence', () => {
  const presences = (answer: EncryptionSync): Record<string, unknown> => {
    const { events = [] } = (answer as { presence?: { events: EventAnswer[] } }).presence ?? {};
    return Object.fromEntries(events.map(({ sender, content }) => [sender, content['presence']]));
  };

  it('of users of the other server is shown', async () => {
    await bob.ok('PUT', `/presence/${bob.userId}/status`, { presence: 'unavailable', status_msg: 'tea' });
    await until(alice, (answer) => presences(answer)[bob.userId] === 'unavailable');
    expect(await alice.ok('GET', `/presence/${bob.userId}/status`)).toMatchObject({ status_msg: 'tea' });
  });

  it('is believed of nobody but the users of the server that says it', async () => {
    const said = (userId: string) => ({ user_id: userId, presence: 'online', last_active_ago: 1, status_msg: 'lie' });
    await sendAs(two, 'one.test', ['m.presence', { push: [said(bob.userId), said(alice.userId)] }]);
    expect(one.context.presence.of(bob.userId).statusMsg).toBe('lie');
    expect(one.context.presence.of(alice.userId).statusMsg).toBeUndefined();
    await sendAs(two, 'one.test', ['m.presence', { push: [said('@stranger:two.test')] }]);
    expect(one.context.presence.of('@stranger:two.test').presence).toBe('offline');
  });

  it('that came before the join it came for is not lost', async () => {
    const carol = await two.register(`carol${names}`);
    const push = [{ user_id: carol.userId, presence: 'online', last_active_ago: 1 }];
    await sendAs(two, 'one.test', ['m.presence', { push }]);
    expect(one.context.presence.of(carol.userId).presence).toBe('offline');
    const theirs = String((await carol.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
    await alice.ok('POST', `/join/${encodeURIComponent(theirs)}?via=two.test`, {});
    await until(alice, (answer) => presences(answer)[carol.userId] === 'online');
  });
});

describe('the keys of devices', () => {
  it('are asked for once, kept, and kept up to date', async () => {
    await uploadKeys(bob, 'first');
    const first = await query(alice, bob.userId);
    expect(first.device_keys[bob.userId]?.[bob.deviceId]?.keys[`ed25519:${bob.deviceId}`]).toBe('first');
    const { next_batch: since } = await sync(alice);
    network.setReachable('two.test', false);
    expect((await query(alice, bob.userId)).device_keys[bob.userId]).toEqual(first.device_keys[bob.userId]);
    network.setReachable('two.test', true);
    const phone = await anotherDevice(two, bob);
    await uploadKeys(phone, 'phone');
    await until(alice, ({ device_lists: lists }) => lists?.changed?.includes(bob.userId) ?? false, since);
    network.setReachable('two.test', false);
    const second = await query(alice, bob.userId);
    network.setReachable('two.test', true);
    expect(Object.keys(second.device_keys[bob.userId] ?? {}).sort()).toEqual([bob.deviceId, phone.deviceId].sort());
    expect(second.failures).toEqual({});
    await phone.ok('POST', '/logout', {});
    await eventually(async () => !(phone.deviceId in ((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})));
  });

  it('are asked for anew where a change is missing', async () => {
    await uploadKeys(bob, 'first');
    await query(alice, bob.userId);
    const update = (streamId: number, previous: number[], deviceId: string): [string, JsonObject] => [
      'm.device_list_update',
      {
        user_id: bob.userId,
        device_id: deviceId,
        stream_id: streamId,
        prev_id: previous,
        keys: { user_id: bob.userId, device_id: deviceId, algorithms: [], keys: {} },
      },
    ];
    const known = remoteListOf(one.context.reader, bob.userId)?.streamIds.at(-1) ?? 0;
    await sendAs(two, 'one.test', update(known + 1, [known], 'NEW'));
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {}).sort()).toEqual(
      ['NEW', bob.deviceId].sort(),
    );
    // The device is not in the list that two.test gives when it is asked.
    await sendAs(two, 'one.test', update(known + 3, [known + 2], 'NEWER'));
    await eventually(() => remoteListOf(one.context.reader, bob.userId)?.isOutdated === false);
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})).toEqual([bob.deviceId]);
  });

  it('that go several at once are gone on the other server, without a question', async () => {
    const [second, third] = [await anotherDevice(two, bob), await anotherDevice(two, bob)];
    for (const device of [bob, second, third]) await uploadKeys(device);
    await eventually(
      async () => Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {}).length === 3,
    );
    network.setReachable('two.test', false);
    await bob.ok('POST', '/delete_devices', {
      devices: [second.deviceId, third.deviceId],
      auth: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: bob.userId },
        password: 'correct horse battery staple',
      },
    });
    await eventually(
      async () => Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {}).length === 1,
    );
    network.setReachable('two.test', true);
    expect(remoteListOf(one.context.reader, bob.userId)?.isOutdated).toBe(false);
  });

  it('are asked for once by many, and again where one changed while they were on their way', async () => {
    const answers = [deferred(), deferred()];
    let asked = 0;
    const lists = listsOf(() => answers[asked++]?.promise ?? Promise.reject(new Error('asked too often')));
    const waiting = [lists.refresh(bob.userId), lists.refresh(bob.userId)];
    await lists.change(changeOf(7, 'NEW'));
    answers[0]?.resolve(listOf(6));
    await eventually(() => asked === 2);
    answers[1]?.resolve(listOf(7, 'NEW'));
    expect(await Promise.all(waiting)).toEqual([true, true]);
    expect([...deviceKeysIn(one.context.reader, bob.userId)].map(({ deviceId }) => deviceId)).toEqual(['NEW']);
    expect(asked).toBe(2);
    await lists.close();
  });

  it('are not kept where the list makes no sense, and clients are told to ask', async () => {
    const { next_batch: since } = await sync(alice);
    for (const answer of [
      { ...listOf(1), user_id: alice.userId },
      { ...listOf(1), stream_id: 'one' },
      { ...listOf(1), devices: {} },
      listOf(1, ...Array.from({ length: 3000 }, (_, n) => `${'LONG'.repeat(40)}${n}`)),
    ]) {
      const lists = listsOf(() => Promise.resolve(answer));
      await lists.change(changeOf(1, 'NEW'));
      expect(await lists.refresh(bob.userId)).toBe(false);
      expect(lists.isCurrent(bob.userId)).toBe(false);
      await lists.close();
    }
    await until(alice, ({ device_lists: news }) => news?.changed?.includes(bob.userId) ?? false, since);
    // Asked directly, the user's server says what there is.
    await uploadKeys(bob);
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})).toEqual([bob.deviceId]);
  });

  it('of other servers’ users, or of strangers, are not taken', async () => {
    const content = (userId: string) => ({ user_id: userId, device_id: 'EVIL', stream_id: 1, keys: {} });
    const before = one.log.head();
    await sendAs(
      two,
      'one.test',
      ['m.device_list_update', content(alice.userId)],
      ['m.device_list_update', content('@x:three.test')],
      ['m.device_list_update', content('@stranger:two.test')],
      ['m.signing_key_update', { user_id: alice.userId }],
    );
    expect(one.log.head()).toBe(before);
  });

  it('are let go of when nobody shares a room any more', async () => {
    await uploadKeys(bob, 'first');
    await query(alice, bob.userId);
    expect(remoteListOf(one.context.reader, bob.userId)).toBeDefined();
    const { next_batch: since } = await sync(alice);
    await alice.ok('POST', at('/leave'), {});
    expect(remoteListOf(one.context.reader, bob.userId)).toBeUndefined();
    const { device_lists: lists } = (await sync(alice, { since })) as EncryptionSync;
    expect(lists?.left).toContain(bob.userId);
    // They can be asked for all the same.
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})).toEqual([bob.deviceId]);
    expect(remoteListOf(one.context.reader, bob.userId)).toBeUndefined();
  });

  it('that sign others reach the other server', async () => {
    await query(alice, bob.userId);
    const { next_batch: since } = await sync(alice);
    const key = Buffer.alloc(32, names).toString('base64').replace(/=+$/, '');
    const master = { user_id: bob.userId, usage: ['master'], keys: { [`ed25519:${key}`]: key } };
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: bob.userId },
      password: 'correct horse battery staple',
    };
    await bob.ok('POST', '/keys/device_signing/upload', { master_key: master, auth });
    await until(alice, ({ device_lists: lists }) => lists?.changed?.includes(bob.userId) ?? false, since);
    expect((await query(alice, bob.userId)).master_keys[bob.userId]).toEqual(master);
  });

  it('are claimed from the other server, and one that is away is named', async () => {
    const keys = { 'signed_curve25519:a': signedKey(bob, 'once') };
    await bob.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(bob), one_time_keys: keys });
    expect(await claimOne(alice, bob)).toEqual({ name: 'signed_curve25519:a', key: signedKey(bob, 'once') });
    expect(await claimOne(alice, bob)).toBeUndefined();
    const wanted = { '@nobody:three.test': { DEVICE: 'signed_curve25519' } };
    const failures = (await alice.ok('POST', '/keys/claim', { one_time_keys: wanted }))[
      'failures'
    ] as unknown as object;
    expect(Object.keys(failures)).toEqual(['three.test']);
    expect((await query(alice, '@nobody:three.test')).failures).toHaveProperty(['three.test']);
  });
});

describe('messages to devices', () => {
  const messagesOf = ({ to_device: toDeviceEvents }: EncryptionSync): unknown[] =>
    (toDeviceEvents?.events ?? []).map(({ content }) => content['n']);

  it('reach the other server, each once and in order', async () => {
    for (let n = 0; n < 5; n += 1) await toDevice(alice, bob, { n }, `order${names}-${n}`);
    await toDevice(alice, bob, { n: 0 }, `order${names}-0`);
    await toDevice(alice, bob, { n: 'last' });
    const heard: unknown[] = [];
    await until(bob, (answer) => heard.push(...messagesOf(answer)) > 0 && heard.includes('last'));
    expect(heard).toEqual([0, 1, 2, 3, 4, 'last']);
  });

  it('wait for a server that is away', async () => {
    network.setReachable('two.test', false);
    for (let n = 0; n < 3; n += 1) await toDevice(alice, bob, { n });
    expect([...queuedMessages(one.context.reader, 'two.test', -1)].length).toBeGreaterThanOrEqual(3);
    network.setReachable('two.test', true);
    // A sign of life.
    await bob.ok('PUT', at(`/send/m.room.message/life${names}`), { msgtype: 'm.text', body: 'here I am' });
    const heard: unknown[] = [];
    await until(bob, (answer) => heard.push(...messagesOf(answer)) >= 3);
    expect(heard).toEqual([0, 1, 2]);
  });

  it('are delivered once however often they come, and only from users of their server', async () => {
    const message = (sender: string, n: number): [string, JsonObject] => [
      'm.direct_to_device',
      { sender, type: 'm.test', message_id: `id${n}`, messages: { [alice.userId]: { '*': { n } } } },
    ];
    await sendAs(two, 'one.test', message(bob.userId, 1), message(alice.userId, 2), message('@x:three.test', 3));
    await sendAs(two, 'one.test', message(bob.userId, 1), message(bob.userId, 4));
    expect(messagesOf((await sync(alice)) as EncryptionSync)).toEqual([1, 4]);
  });

  it('that cannot be signed are refused at once', async () => {
    const { status } = await alice.call('PUT', '/sendToDevice/m.test/float', {
      messages: { [bob.userId]: { '*': { half: 0.5 } } },
    });
    expect(status).toBe(400);
  });
});

it('a replay of the log gives the same tables', async () => {
  await uploadKeys(bob);
  await query(alice, bob.userId);
  const dir = await mkdtemp(path.join(tmpdir(), 'stele-edus-'));
  const rebuilt = await ProjectionEngine.open({ dir, log: one.log, projections: coreProjections, safeCopies: false });
  const rowsOf = (reader: Reader, table: AnyTable) => [...reader.range(table as Table<readonly unknown[], unknown>)];
  try {
    await rebuilt.waitFor(one.context.reader.frontier);
    for (const table of [...keyTables, ...outboxProjection.tables]) {
      expect(rowsOf(rebuilt.reader, table), table.name).toEqual(rowsOf(one.context.reader, table));
    }
    expect(keyTables.some((table) => rowsOf(rebuilt.reader, table).length > 0)).toBe(true);
  } finally {
    await rebuilt.close();
    await rm(dir, { recursive: true, force: true });
  }
});
