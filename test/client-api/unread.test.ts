/** Unread counts as clients see them in sync. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, type RoomAnswer, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let room: string;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  room = await createRoom(alice, { preset: 'public_chat' });
  await bob.ok('POST', `/join/${room}`);
});

afterEach(() => app.close());

interface Unread extends RoomAnswer {
  readonly unread_thread_notifications?: Record<string, unknown>;
}

const THREADS = { room: { timeline: { unread_thread_notifications: true } } };
let transaction = 0;

async function send(by: TestClient, content: object, type = 'm.room.message'): Promise<string> {
  transaction += 1;
  return String((await by.ok('PUT', `/rooms/${room}/send/${type}/${transaction}`, content)).event_id);
}

const text = (body: string, more: object = {}) => ({ msgtype: 'm.text', body, 'm.mentions': {}, ...more });
const inThread = (root: string) => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: root } });
const read = (by: TestClient, event: string, thread?: string, type = 'm.read') =>
  by.ok('POST', `/rooms/${room}/receipt/${type}/${encodeURIComponent(event)}`, thread ? { thread_id: thread } : {});

async function unread(by: TestClient, filter: object = {}): Promise<Unread> {
  return (await sync(by, { filter })).rooms?.join?.[room] as Unread;
}

async function counts(by: TestClient): Promise<[notifications: number, highlights: number]> {
  const { unread_notifications: of } = await unread(by);
  return [of?.['notification_count'] ?? -1, of?.['highlight_count'] ?? -1];
}

describe('unread counts', () => {
  it('are of what others said since one came in', async () => {
    expect(await counts(bob)).toEqual([0, 0]);
    await send(alice, text('one'));
    await send(alice, text('hello bob', { 'm.mentions': { user_ids: [bob.userId] } }));
    await send(alice, { ...text('quiet'), msgtype: 'm.notice' });
    await send(alice, {}, 'org.example.other');
    expect(await counts(bob)).toEqual([2, 1]);
    expect(await counts(alice)).toEqual([0, 0]);
  });

  it('look for mentions in the body only where the event does not say whom it mentions', async () => {
    await send(alice, { msgtype: 'm.text', body: 'Bob, are you there?' });
    await send(alice, { msgtype: 'm.text', body: 'bobsleigh' });
    await send(alice, { msgtype: 'm.text', body: 'bob', 'm.mentions': {} });
    await send(alice, { msgtype: 'm.text', body: 'hey @room' });
    expect(await counts(bob)).toEqual([4, 2]);
    await send(bob, { msgtype: 'm.text', body: 'hey @room, alice has the power and bob does not' });
    expect(await counts(alice)).toEqual([1, 1]);
    await send(bob, text('x', { 'm.mentions': { room: true } }));
    expect(await counts(alice)).toEqual([2, 1]);
  });

  it('go down with a receipt, in the next sync of all devices, whatever these leave out', async () => {
    const first = await send(alice, text('one'));
    const second = await send(alice, text('two'));
    const plain = await sync(bob);
    const filter = { room: { timeline: { types: [] }, ephemeral: { types: [] }, state: { types: [] } } };
    await read(bob, first);
    for (const client of [{}, { filter }]) {
      const answer = await sync(bob, { since: plain.next_batch, ...client });
      expect(answer.rooms?.join?.[room]?.unread_notifications).toEqual({ notification_count: 1, highlight_count: 0 });
    }
    const before = await sync(bob, { filter });
    await read(bob, second, undefined, 'm.read.private');
    const after = await sync(bob, { filter, since: before.next_batch });
    expect(after.rooms?.join?.[room]?.unread_notifications).toEqual({ notification_count: 0, highlight_count: 0 });
    await read(bob, second);
    await read(alice, second);
    const third = await send(alice, text('three'));
    expect(await counts(bob)).toEqual([1, 0]);
    const quiet = await sync(bob, { filter });
    await read(alice, third);
    expect((await sync(bob, { filter, since: quiet.next_batch })).rooms).toBeUndefined();
  });

  it('come with the event itself to whoever waits', async () => {
    const { next_batch: since } = await sync(bob);
    const waiting = sync(bob, { since, timeout: 30_000 });
    await send(alice, text('now'));
    const told = (await waiting).rooms?.join?.[room];
    expect(told?.timeline.events).toHaveLength(1);
    expect(told?.unread_notifications).toEqual({ notification_count: 1, highlight_count: 0 });
  });

  it('are divided by thread for those who ask, and added up for others', async () => {
    const root = await send(alice, text('root'));
    const reply = await send(alice, text('reply', inThread(root)));
    await send(alice, text('see above', { 'm.relates_to': { rel_type: 'm.reference', event_id: reply } }));
    await send(alice, text('in main'));
    expect(await counts(bob)).toEqual([4, 0]);
    expect(await unread(bob, THREADS)).toMatchObject({
      unread_notifications: { notification_count: 2, highlight_count: 0 },
      unread_thread_notifications: { [root]: { notification_count: 2, highlight_count: 0 } },
    });
    await read(bob, reply, root);
    expect((await unread(bob, THREADS)).unread_thread_notifications).toEqual({
      [root]: { notification_count: 1, highlight_count: 0 },
    });
    const last = await send(alice, text('last'));
    await read(bob, last, 'main');
    expect(await counts(bob)).toEqual([1, 0]);
    await read(bob, last);
    expect((await unread(bob, THREADS)).unread_thread_notifications).toEqual({});
  });

  it('end where one has said something oneself, in that thread', async () => {
    const root = await send(alice, text('root'));
    await send(alice, text('reply', inThread(root)));
    await send(bob, text('mine'));
    expect(await unread(bob, THREADS)).toMatchObject({
      unread_notifications: { notification_count: 0 },
      unread_thread_notifications: { [root]: { notification_count: 1 } },
    });
    await send(bob, text('mine', inThread(root)));
    expect(await counts(bob)).toEqual([0, 0]);
  });

  it('leave out what was redacted, before or after it was counted', async () => {
    const first = await send(alice, text('one'));
    const second = await send(alice, text('two'));
    await alice.ok('PUT', `/rooms/${room}/redact/${first}/r1`, {});
    expect(await counts(bob)).toEqual([1, 0]);
    await alice.ok('PUT', `/rooms/${room}/redact/${second}/r2`, {});
    expect(await counts(bob)).toEqual([0, 0]);
  });

  it('begin anew for whoever comes back, not for whoever takes another name', async () => {
    await send(alice, text('one'));
    await bob.ok('PUT', `/profile/${bob.userId}/displayname`, { displayname: 'Robert' });
    expect(await counts(bob)).toEqual([1, 0]);
    await send(alice, { msgtype: 'm.text', body: 'robert?' });
    expect(await counts(bob)).toEqual([2, 1]);
    await bob.ok('POST', `/rooms/${room}/leave`);
    await send(alice, text('gone'));
    await bob.ok('POST', `/join/${room}`);
    expect(await counts(bob)).toEqual([0, 0]);
    await send(alice, text('back'));
    expect(await counts(bob)).toEqual([1, 0]);
  });

  it('leave alone what a user marks as unread', async () => {
    const { next_batch: since } = await sync(bob);
    await bob.ok('PUT', `/user/${bob.userId}/rooms/${room}/account_data/m.marked_unread`, { unread: true });
    const told = (await sync(bob, { since })).rooms?.join?.[room];
    expect(told?.account_data?.events).toEqual([{ type: 'm.marked_unread', content: { unread: true } }]);
    expect(told?.unread_notifications).toEqual({ notification_count: 0, highlight_count: 0 });
  });

  it('follow the rules of the user and leave out whom the user ignores', async () => {
    await send(alice, text('one'));
    await send(alice, text('hi', { 'm.mentions': { user_ids: [bob.userId] } }));
    expect(await counts(bob)).toEqual([2, 1]);
    await bob.ok('PUT', `/pushrules/global/room/${room}`, { actions: ['dont_notify'] });
    expect(await counts(bob)).toEqual([1, 1]);
    await bob.ok('DELETE', `/pushrules/global/room/${room}`);
    await bob.ok('PUT', `/user/${bob.userId}/account_data/m.ignored_user_list`, {
      ignored_users: { [alice.userId]: {} },
    });
    expect(await counts(bob)).toEqual([0, 0]);
  });

  it('are told when other rules count, in the rooms in which that makes a difference', async () => {
    await send(alice, text('one'));
    const quiet = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${quiet}`);
    const { next_batch: since } = await sync(bob);
    await bob.ok('PUT', `/pushrules/global/room/${room}`, { actions: [] });
    const muted = await sync(bob, { since });
    expect(Object.keys(muted.rooms?.join ?? {})).toEqual([room]);
    expect(muted.rooms?.join?.[room]?.unread_notifications).toEqual({ notification_count: 0, highlight_count: 0 });
    await bob.ok('PUT', '/pushrules/global/content/x', { pattern: 'never said', actions: [] });
    expect((await sync(bob, { since: muted.next_batch })).rooms).toBeUndefined();
  });

  it('are the same for rooms of two, where other rules apply', async () => {
    await bob.ok('PUT', '/pushrules/global/underride/.m.rule.message/enabled', { enabled: false });
    await sayIn(alice, room, 'for two');
    expect(await counts(bob)).toEqual([1, 0]);
    const carol = await app.register('carol');
    await carol.ok('POST', `/join/${room}`);
    await sayIn(alice, room, 'for three');
    expect(await counts(bob)).toEqual([1, 0]);
    await carol.ok('POST', `/rooms/${room}/leave`);
    await sayIn(alice, room, 'for two again');
    expect(await counts(bob)).toEqual([2, 0]);
    // A count that begins at the end of it all comes to the same.
    await bob.ok('PUT', '/pushrules/global/content/x', { pattern: 'never said', actions: [] });
    expect(await counts(bob)).toEqual([2, 0]);
  });
});
