/** What is not in the history of rooms, between two servers: who types, reads and is there, and messages to devices. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { queuedMessages } from '#projections/encryption/outbox-projection.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { UNCLEAR_BURST } from '#src/federation/edus/receipt.ts';
import { deviceKeysOf, type EncryptionSync } from '#test/client-api/encryption-client.ts';
import { type EventAnswer, type RoomAnswer, sync } from '#test/client-api/sync-client.ts';
import type { TestClient } from '#test/support/application.ts';
import type { TestNetwork, TestServer } from '#test/support/federation.ts';
import { sendEdusAs, TwoServers, until } from './two-in-a-room.ts';

let servers: TwoServers;
let network: TestNetwork;
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let roomId: string;

beforeAll(async () => {
  servers = await TwoServers.start();
  ({ network, one, two } = servers);
});
afterAll(() => servers.close());
beforeEach(async () => {
  ({ alice, bob, roomId } = await servers.meet());
});

const eventsOf = (room: RoomAnswer | undefined): readonly EventAnswer[] => room?.timeline.events ?? [];
const ephemeralOf = (answer: EncryptionSync, type: string): readonly EventAnswer[] =>
  (answer.rooms?.join?.[roomId]?.ephemeral?.events ?? []).filter((event) => event.type === type);
const at = (rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;
let count = 0;
const toDevice = (from: TestClient, to: TestClient, content: object, txnId = `t${++count}`) =>
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
    const carol = await two.register(`carol${++count}`);
    const said = (userId: string): [string, JsonObject] => [
      'm.typing',
      { room_id: roomId, user_id: userId, typing: true },
    ];
    await sendEdusAs(two, 'one.test', said(alice.userId), said(carol.userId), said('@x:three.test'), said(bob.userId));
    expect(one.context.typing.usersIn(roomId)).toEqual([bob.userId]);
  });

  it('of a server that the room shuts out is not shown', async () => {
    await alice.ok('PUT', at('/state/m.room.server_acl'), { allow: ['*'], deny: ['two.test'] });
    await sendEdusAs(two, 'one.test', ['m.typing', { room_id: roomId, user_id: bob.userId, typing: true }]);
    expect(one.context.typing.usersIn(roomId)).toEqual([]);
  });
});

describe('receipts', () => {
  const say = async (who: TestClient, body: string, more: object = {}) =>
    String(
      (await who.ok('PUT', at(`/send/m.room.message/r${++count}`), { msgtype: 'm.text', body, ...more }))['event_id'],
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
    await sendEdusAs(two, 'one.test', read(alice.userId, second), read(bob.userId, second), read(bob.userId, first));
    const answer = await until(alice, (one) => receiptIn(one, second) !== undefined);
    expect(ephemeralOf(answer, 'm.receipt').map(({ content }) => content)).toEqual([
      { [second]: { 'm.read': { [bob.userId]: { ts: 5 } } } },
    ]);
  });

  it('of events that never came do not go to and fro for ever', async () => {
    const here = await say(alice, 'here');
    const before = one.log.head();
    let number = 0;
    const read = (): [string, JsonObject] => {
      number += 1;
      const eventId = number % 2 === 0 ? here : `$made-up-${number}`;
      return ['m.receipt', { [roomId]: { 'm.read': { [bob.userId]: { event_ids: [eventId], data: { ts: 5 } } } } }];
    };
    for (let round = 0; round < 8; round += 1) await sendEdusAs(two, 'one.test', ...Array.from({ length: 100 }, read));
    expect(one.log.head() - before).toBeGreaterThan(100);
    expect(one.log.head() - before).toBeLessThan(UNCLEAR_BURST + 50);
  });

  it('of threads that are not there are not kept', async () => {
    const first = await say(alice, 'first');
    const data = { ts: 5, thread_id: '$made-up' };
    const content = { [roomId]: { 'm.read': { [bob.userId]: { event_ids: [first], data } } } };
    const before = one.log.head();
    await sendEdusAs(two, 'one.test', ['m.receipt', content]);
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
    await sendEdusAs(two, 'one.test', ['m.presence', { push: [said(bob.userId), said(alice.userId)] }]);
    expect(one.context.presence.of(bob.userId).statusMsg).toBe('lie');
    expect(one.context.presence.of(alice.userId).statusMsg).toBeUndefined();
    await sendEdusAs(two, 'one.test', ['m.presence', { push: [said('@stranger:two.test')] }]);
    expect(one.context.presence.of('@stranger:two.test').presence).toBe('offline');
  });

  it('that came before the join it came for is not lost', async () => {
    const carol = await two.register(`carol${++count}`);
    const push = [{ user_id: carol.userId, presence: 'online', last_active_ago: 1 }];
    await sendEdusAs(two, 'one.test', ['m.presence', { push }]);
    expect(one.context.presence.of(carol.userId).presence).toBe('offline');
    const theirs = String((await carol.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
    await alice.ok('POST', `/join/${encodeURIComponent(theirs)}?via=two.test`, {});
    await until(alice, (answer) => presences(answer)[carol.userId] === 'online');
  });
});

describe('messages to devices', () => {
  const messagesOf = ({ to_device: toDeviceEvents }: EncryptionSync): unknown[] =>
    (toDeviceEvents?.events ?? []).map(({ content }) => content['n']);

  it('reach the other server, each once and in order', async () => {
    for (let n = 0; n < 5; n += 1) await toDevice(alice, bob, { n }, `order${n}`);
    await toDevice(alice, bob, { n: 0 }, `order0`);
    await toDevice(alice, bob, { n: 'last' });
    const heard: unknown[] = [];
    await until(bob, (answer) => heard.push(...messagesOf(answer)) > 0 && heard.includes('last'));
    expect(heard).toEqual([0, 1, 2, 3, 4, 'last']);
  });

  it('wait for a server that is away', async () => {
    network.cutOff('two.test');
    for (let n = 0; n < 3; n += 1) await toDevice(alice, bob, { n });
    expect([...queuedMessages(one.context.reader, 'two.test', -1)].length).toBeGreaterThanOrEqual(3);
    network.setReachable('two.test', true);
    // A sign of life.
    await bob.ok('PUT', at(`/send/m.room.message/life`), { msgtype: 'm.text', body: 'here I am' });
    const heard: unknown[] = [];
    await until(bob, (answer) => heard.push(...messagesOf(answer)) >= 3);
    expect(heard).toEqual([0, 1, 2]);
  });

  it('more than fit into one transaction come in order, and what changed about keys among them', async () => {
    const { next_batch: since } = await sync(bob);
    network.cutOff('two.test');
    const half = Array.from({ length: 70 }, (_, n) => n);
    for (const n of half) await toDevice(alice, bob, { n });
    await alice.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(alice) });
    for (const n of half) await toDevice(alice, bob, { n: n + 70 });
    network.setReachable('two.test', true);
    await bob.ok('PUT', at('/send/m.room.message/more'), { msgtype: 'm.text', body: 'here I am' });
    const heard: unknown[] = [];
    const changed = new Set<string>();
    await until(
      bob,
      (answer) => {
        heard.push(...messagesOf(answer));
        for (const userId of answer.device_lists?.changed ?? []) changed.add(userId);
        return heard.length >= 140 && changed.has(alice.userId);
      },
      since,
    );
    expect(heard).toEqual(Array.from({ length: 140 }, (_, n) => n));
  });

  it('are delivered once however often they come, and only from users of their server', async () => {
    const message = (sender: string, n: number): [string, JsonObject] => [
      'm.direct_to_device',
      { sender, type: 'm.test', message_id: `id${n}`, messages: { [alice.userId]: { '*': { n } } } },
    ];
    await sendEdusAs(two, 'one.test', message(bob.userId, 1), message(alice.userId, 2), message('@x:three.test', 3));
    await sendEdusAs(two, 'one.test', message(bob.userId, 1), message(bob.userId, 4));
    expect(messagesOf((await sync(alice)) as EncryptionSync)).toEqual([1, 4]);
  });

  it('that cannot be signed are refused at once', async () => {
    const { status } = await alice.call('PUT', '/sendToDevice/m.test/float', {
      messages: { [bob.userId]: { '*': { half: 0.5 } } },
    });
    expect(status).toBe(400);
  });
});
