/** Notifications on their way from events to push gateways. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pushersOf } from '#projections/pushers/projection.ts';
import { silentLog } from '#src/log/logger.ts';
import { MAX_PER_GATEWAY } from '#src/push/sender/deliveries.ts';
import { GatewayFailed } from '#src/push/sender/gateway.ts';
import { PushSender, RECORD_INTERVAL_MS } from '#src/push/sender/push-sender.ts';
import { MAX_AGE_MS, MAX_WAITING } from '#src/push/sender/pusher-queue.ts';
import { createRoom, sayIn } from '#test/client-api/sync-client.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { settled, TestGateway, TestTimers } from './gateway.test-support.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let room: string;
let gateway: TestGateway;
let timers: TestTimers;
let sender: PushSender;

beforeEach(async () => {
  app = await startApplication({ push: { enabled: false } });
  alice = await app.register('alice');
  bob = await app.register('bob');
  await alice.ok('PUT', `/profile/${alice.userId}/displayname`, { displayname: 'Alice' });
  room = await createRoom(alice, { preset: 'public_chat', name: 'Cellar' });
  await bob.ok('POST', `/join/${room}`);
  gateway = new TestGateway();
  timers = new TestTimers();
  sender = start();
});

afterEach(async () => {
  await sender.stop();
  await app.close();
});

function start(): PushSender {
  const { reader, commands, newRecordId, push } = app.context;
  const started = new PushSender({
    reader,
    onAdvance: (listener) => app.engine.onAdvance(listener),
    commands,
    newRecordId,
    profiles: push.profiles,
    unread: push.unread,
    gateway,
    logger: silentLog(),
    clock: () => timers.nowMs,
    random: () => 1,
    schedule: timers.schedule,
  });
  started.start();
  return started;
}

const setPusher = (by: TestClient, changes: object = {}, data: object = {}) =>
  by.ok('POST', '/pushers/set', {
    app_id: 'org.example.app',
    pushkey: 'key',
    kind: 'http',
    app_display_name: 'App',
    device_display_name: 'Phone',
    lang: 'en',
    data: { url: 'https://push.example.org/_matrix/push/v1/notify', custom: 1, ...data },
    ...changes,
  });

/** Everything that has come about is on its way. */
async function quiet(): Promise<void> {
  await sender.caughtUp();
  await settled();
}

async function sent(): Promise<unknown[]> {
  await quiet();
  return gateway.all.map(({ notification }) => notification['event_id']);
}

describe('a notification', () => {
  it('tells of the event, its room and sender, and what is unread', async () => {
    await setPusher(bob);
    const event = await sayIn(alice, room, 'Good evening');
    const { url, notification } = await gateway.next();
    expect(url).toBe('https://push.example.org/_matrix/push/v1/notify');
    expect(notification).toEqual({
      id: event,
      event_id: event,
      room_id: room,
      type: 'm.room.message',
      sender: alice.userId,
      sender_display_name: 'Alice',
      room_name: 'Cellar',
      prio: 'high',
      content: { msgtype: 'm.text', body: 'Good evening' },
      counts: { unread: 1 },
      devices: [
        {
          app_id: 'org.example.app',
          pushkey: 'key',
          pushkey_ts: expect.any(Number),
          data: { custom: 1 },
          tweaks: { sound: 'default' },
        },
      ],
    });
    const { devices } = notification as { devices: [{ pushkey_ts: number }] };
    expect(devices[0].pushkey_ts).toBeLessThan(timers.nowMs / 100);
  });

  it('tells only of the event id where that is wanted', async () => {
    await setPusher(bob, {}, { format: 'event_id_only' });
    const event = await sayIn(alice, room, 'secret');
    expect((await gateway.next()).notification).toEqual({
      event_id: event,
      room_id: room,
      prio: 'high',
      counts: { unread: 1 },
      devices: [{ ...device(), data: { custom: 1, format: 'event_id_only' } }],
    });
  });

  it('tells of an invitation, and what is unread then', async () => {
    await setPusher(bob);
    const invited = await createRoom(alice, { invite: [bob.userId], topic: 'x' });
    expect((await gateway.next()).notification).toMatchObject({
      room_id: invited,
      type: 'm.room.member',
      membership: 'invite',
      user_is_target: true,
      counts: { unread: 1 },
    });
    await sayIn(alice, invited, 'not for bob yet');
    await quiet();
    expect(gateway.unseen).toEqual([]);
    await bob.ok('POST', `/rooms/${invited}/leave`);
    expect((await gateway.next()).notification).toEqual({ counts: { unread: 0 }, devices: [device()] });
  });

  it('is in no hurry where nothing sounds or stands out', async () => {
    await setPusher(bob);
    const carol = await app.register('carol');
    await carol.ok('POST', `/join/${room}`);
    await sayIn(alice, room, 'by the way');
    expect((await gateway.next()).notification).toMatchObject({ prio: 'low', devices: [{ tweaks: {} }] });
    await alice.ok('PUT', `/rooms/${room}/send/m.room.encrypted/1`, { algorithm: 'x', ciphertext: 'y' });
    expect((await gateway.next()).notification).toMatchObject({ prio: 'high', type: 'm.room.encrypted' });
    await alice.ok('PUT', `/rooms/${room}/send/m.room.message/2`, {
      msgtype: 'm.text',
      body: 'x',
      'm.mentions': { user_ids: [bob.userId] },
    });
    expect((await gateway.next()).notification).toMatchObject({
      prio: 'high',
      devices: [{ tweaks: { highlight: true, sound: 'default' } }],
    });
  });

  it('is not sent of what one did oneself, what the rules silence, or before the pusher was set', async () => {
    await sayIn(alice, room, 'before');
    await setPusher(bob);
    await sayIn(bob, room, 'mine');
    await alice.ok('PUT', `/rooms/${room}/send/m.room.message/3`, { msgtype: 'm.notice', body: 'bot' });
    await bob.ok('PUT', `/user/${bob.userId}/account_data/m.ignored_user_list`, {
      ignored_users: { [alice.userId]: {} },
    });
    await sayIn(alice, room, 'ignored');
    await quiet();
    expect(gateway.all.filter(({ notification }) => 'event_id' in notification)).toEqual([]);
  });

  it('goes to each pusher of each user who is in the room, and to nobody who is not', async () => {
    const carol = await app.register('carol');
    await carol.ok('POST', `/join/${room}`);
    await setPusher(bob);
    await setPusher(bob, { pushkey: 'tablet' });
    await setPusher(carol, { pushkey: 'carol' });
    await sayIn(alice, room, 'one');
    await quiet();
    const told = (pushkey: string) => {
      const events = gateway.all.filter(({ notification }) => 'event_id' in notification);
      return events.filter(({ notification }) => JSON.stringify(notification['devices']).includes(`"${pushkey}"`))
        .length;
    };
    expect(['key', 'tablet', 'carol'].map(told)).toEqual([1, 1, 1]);
    await carol.ok('POST', `/rooms/${room}/leave`);
    await sayIn(alice, room, 'two');
    await quiet();
    expect(['key', 'tablet', 'carol'].map(told)).toEqual([2, 2, 1]);
    await carol.ok('POST', `/join/${room}`);
    await sayIn(alice, room, 'three');
    await quiet();
    expect(['key', 'tablet', 'carol'].map(told)).toEqual([3, 3, 2]);
  });
});

describe('what is unread', () => {
  it('is told when it becomes less, once', async () => {
    await setPusher(bob);
    const first = await sayIn(alice, room, 'one');
    await gateway.next();
    const second = await sayIn(alice, room, 'two');
    expect((await gateway.next()).notification).toMatchObject({ counts: { unread: 2 } });
    await bob.ok('POST', `/rooms/${room}/receipt/m.read/${first}`);
    expect((await gateway.next()).notification).toEqual({ counts: { unread: 1 }, devices: [device()] });
    await bob.ok('POST', `/rooms/${room}/receipt/m.read.private/${second}`);
    expect((await gateway.next()).notification).toEqual({ counts: { unread: 0 }, devices: [device()] });
    await bob.ok('POST', `/rooms/${room}/receipt/m.read/${second}`);
    await sayIn(bob, room, 'mine');
    await quiet();
    expect(gateway.unseen).toEqual([]);
  });

  it('is of all rooms together', async () => {
    const other = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${other}`);
    await sayIn(alice, other, 'elsewhere');
    await setPusher(bob);
    await sayIn(alice, room, 'here');
    expect((await gateway.next()).notification).toMatchObject({ counts: { unread: 2 } });
    await sayIn(bob, other, 'answered');
    expect((await gateway.next()).notification).toEqual({ counts: { unread: 1 }, devices: [device()] });
  });

  it('is not told to clients that count for themselves', async () => {
    await setPusher(bob, {}, { 'org.matrix.msc4076.disable_badge_count': true });
    const event = await sayIn(alice, room, 'one');
    expect((await gateway.next()).notification['counts']).toBeUndefined();
    await bob.ok('POST', `/rooms/${room}/receipt/m.read/${event}`);
    await quiet();
    expect(gateway.unseen).toEqual([]);
  });
});

const device = () => ({
  app_id: 'org.example.app',
  pushkey: 'key',
  pushkey_ts: expect.any(Number),
  data: { custom: 1 },
  tweaks: {},
});

describe('a gateway', () => {
  it('that rejects a pushkey gets nothing more for it', async () => {
    await setPusher(bob);
    gateway.answers = false;
    await sayIn(alice, room, 'one');
    (await gateway.next()).answer({ rejected: ['another', 'key'] });
    await quiet();
    expect(pushersOf(app.context.reader, bob.userId)).toEqual([]);
    await sayIn(alice, room, 'two');
    await quiet();
    expect(gateway.unseen).toEqual([]);
  });

  it('that fails is tried again after ever longer pauses, with nothing lost', async () => {
    await setPusher(bob);
    gateway.failure = new GatewayFailed('down');
    const first = await sayIn(alice, room, 'one');
    await quiet();
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      pauses.push(timers.nextInMs);
      timers.advance(timers.nextInMs);
      await quiet();
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000]);
    expect(gateway.all).toHaveLength(6);
    const second = await sayIn(alice, room, 'two');
    await quiet();
    expect(gateway.all).toHaveLength(6);
    gateway.failure = undefined;
    timers.advance(32_000);
    expect((await sent()).slice(6)).toEqual([first, second]);
  });

  it('that asks for time gets it, within bounds', async () => {
    await setPusher(bob);
    gateway.failure = new GatewayFailed('busy', { retryAfterMs: 90_000 });
    await sayIn(alice, room, 'one');
    await quiet();
    expect(timers.nextInMs).toBe(90_000);
    gateway.failure = new GatewayFailed('busy', { retryAfterMs: 10 * 24 * 3_600_000 });
    timers.advance(90_000);
    await quiet();
    // What is recorded now and then has its own timer.
    expect(Math.max(...[...timers.pending].map(({ atMs }) => atMs - timers.nowMs))).toBe(3_600_000);
  });

  it('is told nothing that the user has read meanwhile, or that was redacted', async () => {
    await setPusher(bob);
    gateway.answers = false;
    await sayIn(alice, room, 'one');
    const stuck = await gateway.next();
    const second = await sayIn(alice, room, 'two');
    const third = await sayIn(alice, room, 'three');
    const fourth = await sayIn(alice, room, 'four');
    await bob.ok('POST', `/rooms/${room}/receipt/m.read/${second}`);
    await alice.ok('PUT', `/rooms/${room}/redact/${third}/r`, {});
    gateway.answers = true;
    stuck.answer();
    expect((await gateway.next()).notification).toMatchObject({ event_id: fourth, counts: { unread: 1 } });
  });

  it('that is slow keeps nobody else waiting', async () => {
    const users: TestClient[] = [];
    for (let count = 0; count < MAX_PER_GATEWAY + 2; count += 1) {
      const user = await app.register(`user${count}`);
      await user.ok('POST', `/join/${room}`);
      await setPusher(user, { pushkey: `slow${count}` });
      users.push(user);
    }
    await setPusher(bob, {}, { url: 'https://fast.example.org/_matrix/push/v1/notify' });
    gateway.answers = false;
    await sayIn(alice, room, 'all of you');
    await quiet();
    const slow = gateway.all.filter(({ url }) => url.includes('push.example.org'));
    expect(slow).toHaveLength(MAX_PER_GATEWAY);
    expect(gateway.all.filter(({ url }) => url.includes('fast.example.org'))).toHaveLength(1);
    for (const one of slow) one.answer();
    await quiet();
    expect(gateway.all.filter(({ url }) => url.includes('push.example.org'))).toHaveLength(users.length);
  });

  it('that is away for long is told of the newest, and of nothing that is a day old', async () => {
    await setPusher(bob);
    gateway.failure = new GatewayFailed('down');
    const old = await sayIn(alice, room, 'old');
    await quiet();
    timers.nowMs += MAX_AGE_MS;
    const events: string[] = [];
    for (let count = 0; count < MAX_WAITING + 5; count += 1) events.push(await sayIn(alice, room, `message ${count}`));
    await sender.caughtUp();
    gateway.failure = undefined;
    timers.advance(3_600_000);
    const told = (await sent()).slice(1);
    expect(told).not.toContain(old);
    expect(told).toEqual(events.slice(-told.length));
    expect(told.length).toBeGreaterThanOrEqual(MAX_WAITING - 1);
  });
});

describe('after a restart', () => {
  it('what came meanwhile is sent, and nothing twice', async () => {
    await setPusher(bob);
    const before = await sayIn(alice, room, 'before');
    await quiet();
    await sender.stop();
    const meanwhile = await sayIn(alice, room, 'meanwhile');
    timers.nowMs = app.now();
    sender = start();
    const after = await sayIn(alice, room, 'after');
    expect(await sent()).toEqual([before, meanwhile, after]);
  });

  it('that was no clean one, only what came since it was last recorded is sent again', async () => {
    await setPusher(bob);
    await sayIn(alice, room, 'one');
    await quiet();
    timers.nowMs = app.now();
    timers.advance(RECORD_INTERVAL_MS);
    await quiet();
    const second = await sayIn(alice, room, 'two');
    await quiet();
    // The first one goes on, as if the process had ended before it could record anything.
    const other = start();
    await other.caughtUp();
    expect((await sent()).slice(2)).toEqual([second]);
    await other.stop();
  });

  it('a gateway that has failed for long is not tried at once', async () => {
    await setPusher(bob);
    gateway.failure = new GatewayFailed('down');
    const event = await sayIn(alice, room, 'one');
    await quiet();
    timers.advance(60_000);
    await quiet();
    await sender.stop();
    const tried = gateway.all.length;
    gateway.failure = undefined;
    timers.nowMs = app.now() + 10_000;
    sender = start();
    await quiet();
    expect(gateway.all).toHaveLength(tried);
    timers.advance(3_600_000);
    expect((await sent()).slice(tried)).toEqual([event]);
  });
});
