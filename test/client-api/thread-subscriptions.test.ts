/** Threads that users follow (MSC4306), and how they hear of it (MSC4308). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isSubscribed, subscriptionCount } from '#projections/thread-subscriptions/projection.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';
import { slide } from './sliding-sync-client.ts';
import { createRoom, sayIn, sync } from './sync-client.ts';

const EXTENSION = 'io.element.msc4308.thread_subscriptions';
const CONFLICT = '409 IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
let root: string;
let serial = 0;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  roomId = await createRoom(alice, { preset: 'public_chat' });
  await bob.ok('POST', `/join/${roomId}`, {});
  root = await sayIn(alice, roomId, 'what do you think?');
});
afterEach(() => app.close());

const at = (thread = root) =>
  `/_matrix/client/unstable/io.element.msc4306/rooms/${roomId}/thread/${encodeURIComponent(thread)}/subscription`;
const subscribe = (client = alice, body: object = {}, thread = root) => client.call('PUT', at(thread), body);

/** Somebody answers in a thread. */
async function reply(client: TestClient, more: object = {}, thread = root): Promise<string> {
  serial += 1;
  const content = {
    msgtype: 'm.text',
    body: 'so',
    'm.relates_to': { rel_type: 'm.thread', event_id: thread },
    ...more,
  };
  const sent = await client.ok('PUT', `/rooms/${roomId}/send/m.room.message/reply${serial}`, content);
  return String(sent['event_id']);
}

describe('a thread', () => {
  it('is followed, and followed no more', async () => {
    expect(errorOf(await alice.call('GET', at()))).toBe('404 M_NOT_FOUND');
    expect((await subscribe()).body).toEqual({});
    expect(await alice.ok('GET', at())).toEqual({ automatic: false });
    expect(errorOf(await bob.call('GET', at()))).toBe('404 M_NOT_FOUND');
    expect(await alice.ok('DELETE', at())).toEqual({});
    expect(await alice.ok('DELETE', at())).toEqual({});
    expect(errorOf(await alice.call('GET', at()))).toBe('404 M_NOT_FOUND');
  });

  it('has to be one that the user can see', async () => {
    const carol = await app.register('carol');
    const hidden = await createRoom(alice);
    const secret = await sayIn(alice, hidden, 'psst');
    const path = `/_matrix/client/unstable/io.element.msc4306/rooms/${hidden}/thread/${secret}/subscription`;
    for (const method of ['PUT', 'GET', 'DELETE'] as const) {
      expect(errorOf(await carol.call(method, path, method === 'PUT' ? {} : undefined))).toBe('404 M_NOT_FOUND');
      expect(errorOf(await alice.call(method, at('$nothing'), method === 'PUT' ? {} : undefined))).toBe(
        '404 M_NOT_FOUND',
      );
    }
  });

  it('is not followed anew by a device that did not hear that it is followed no more', async () => {
    const cause = await reply(bob);
    expect((await subscribe(alice, { automatic: cause })).status).toBe(200);
    expect(await alice.ok('GET', at())).toEqual({ automatic: true });
    await alice.ok('DELETE', at());
    expect(errorOf(await subscribe(alice, { automatic: cause }))).toBe(CONFLICT);
    const later = await reply(bob);
    expect((await subscribe(alice, { automatic: later })).status).toBe(200);
    // What the user does themselves counts always, and is not made automatic again.
    expect((await subscribe()).status).toBe(200);
    expect((await subscribe(alice, { automatic: later })).status).toBe(200);
    expect(await alice.ok('GET', at())).toEqual({ automatic: false });
  });

  it('is followed for what is in it only', async () => {
    const elsewhere = await sayIn(bob, roomId, 'beside');
    const answer = await subscribe(alice, { automatic: elsewhere });
    expect(errorOf(answer)).toBe('400 IO.ELEMENT.MSC4306.M_NOT_IN_THREAD');
    expect(errorOf(await alice.call('GET', at()))).toBe('404 M_NOT_FOUND');
  });
});

describe('what notifies', () => {
  interface Unread {
    readonly unread_notifications: { readonly notification_count: number };
    readonly unread_thread_notifications: Record<string, { notification_count: number; highlight_count: number }>;
  }
  const unread = async (client: TestClient) => {
    const { rooms } = await sync(client, { filter: { room: { timeline: { unread_thread_notifications: true } } } });
    const room = rooms?.join?.[roomId] as unknown as Unread;
    return { main: room.unread_notifications.notification_count, threads: room.unread_thread_notifications };
  };

  it('goes by the room for who never followed a thread, whose rules are as ever', async () => {
    await reply(bob);
    expect((await unread(alice)).threads).toEqual({ [root]: { notification_count: 1, highlight_count: 0 } });
    const { global } = await alice.ok('GET', '/pushrules/');
    expect(global).not.toHaveProperty('postcontent');
    const rule = '/pushrules/global/postcontent/.io.element.msc4306.rule.subscribed_thread';
    expect(errorOf(await alice.call('GET', rule))).toBe('404 M_NOT_FOUND');
    expect(errorOf(await alice.call('PUT', `${rule}/enabled`, { enabled: false }))).toBe('404 M_NOT_FOUND');
  });

  it('is the threads that one follows and mentions, from the first one on', async () => {
    const other = await sayIn(alice, roomId, 'another');
    const { next_batch: since } = await sync(alice);
    await subscribe();
    const { account_data: data } = await sync(alice, { since });
    expect(data?.events.map(({ type }) => type)).toContain('m.push_rules');
    await reply(bob);
    await reply(bob, {}, other);
    expect(await unread(alice)).toEqual({
      main: 0,
      threads: { [root]: { notification_count: 1, highlight_count: 0 } },
    });
    await reply(bob, { 'm.mentions': { user_ids: [alice.userId] } }, other);
    expect((await unread(alice)).threads[other]).toEqual({ notification_count: 1, highlight_count: 1 });
    // Though the room is silent.
    await alice.ok('PUT', `/pushrules/global/room/${roomId}`, { actions: [] });
    expect((await unread(alice)).threads[root]).toEqual({ notification_count: 1, highlight_count: 0 });
    await alice.ok('DELETE', at());
    expect((await unread(alice)).threads).not.toHaveProperty([root]);
    // Bob's are as they were.
    await reply(alice);
    expect((await unread(bob)).threads[root]).toEqual({ notification_count: 1, highlight_count: 0 });
  });

  it('can be changed by the user, who can make no such rules', async () => {
    await subscribe();
    const rule = '/pushrules/global/postcontent/.io.element.msc4306.rule.unsubscribed_thread';
    await alice.ok('PUT', `${rule}/enabled`, { enabled: false });
    const other = await sayIn(alice, roomId, 'another');
    await reply(bob, {}, other);
    expect((await unread(alice)).threads[other]).toEqual({ notification_count: 1, highlight_count: 0 });
    const own = await alice.call('PUT', '/pushrules/global/postcontent/mine', { actions: ['notify'], conditions: [] });
    expect(errorOf(own)).toBe('400 M_INVALID_PARAM');
  });
});

describe('sliding sync', () => {
  interface Changes {
    readonly subscribed?: Record<string, Record<string, { automatic: boolean; bump_stamp: number }>>;
    readonly unsubscribed?: Record<string, Record<string, { bump_stamp: number }>>;
    readonly prev_batch?: string;
  }
  const look = async (
    pos?: string,
    limit?: number,
    timeout = 0,
  ): Promise<{ pos: string; changes: Changes | undefined }> => {
    const body = { extensions: { [EXTENSION]: { enabled: true, limit } } };
    const answer = await slide(alice, body, pos === undefined ? {} : { pos, timeout });
    return { pos: answer.pos, changes: (answer.extensions as Record<string, Changes>)[EXTENSION] };
  };

  it('tells what is followed, and then what changed', async () => {
    const first = await look();
    expect(first.changes).toBeUndefined();
    await subscribe();
    const stamp = { automatic: false, bump_stamp: expect.any(Number) };
    const anew = { conn_id: 'new', extensions: { [EXTENSION]: { enabled: true } } };
    const { extensions } = await slide(alice, anew);
    expect(extensions).toEqual({ [EXTENSION]: { subscribed: { [roomId]: { [root]: stamp } } } });
    const second = await look(first.pos);
    expect(second.changes).toEqual({ subscribed: { [roomId]: { [root]: stamp } } });
    expect((await look(second.pos)).changes).toBeUndefined();
    await alice.ok('DELETE', at());
    const third = await look(second.pos);
    expect(third.changes).toEqual({ unsubscribed: { [roomId]: { [root]: { bump_stamp: expect.any(Number) } } } });
    const later = third.changes?.unsubscribed?.[roomId]?.[root]?.bump_stamp ?? 0;
    expect(later).toBeGreaterThan(second.changes?.subscribed?.[roomId]?.[root]?.bump_stamp ?? 0);
  });

  it('wakes who waits', async () => {
    const { pos } = await look();
    const waiting = look(pos, undefined, 60_000);
    await subscribe();
    expect((await waiting).changes?.subscribed?.[roomId]).toHaveProperty([root]);
  });

  it('leaves to paging what it has no room for', async () => {
    const { pos } = await look();
    const roots = [root];
    for (let count = 0; count < 4; count += 1) roots.push(await sayIn(alice, roomId, `${count}`));
    for (const thread of roots) await subscribe(alice, {}, thread);
    const { changes } = await look(pos, 2);
    const found = Object.keys(changes?.subscribed?.[roomId] ?? {});
    expect(found.sort()).toEqual(roots.slice(-2).sort());
    let end = changes?.prev_batch;
    for (let pages = 0; end !== undefined; pages += 1) {
      expect(pages).toBeLessThan(3);
      const query = new URLSearchParams({ dir: 'b', from: end, to: pos, limit: '2' });
      const page: Changes & { end?: string } = await alice.ok(
        'GET',
        `/_matrix/client/unstable/io.element.msc4308/thread_subscriptions?${query}`,
      );
      found.push(...Object.keys(page.subscribed?.[roomId] ?? {}));
      end = page.end;
    }
    expect(found.sort()).toEqual([...roots].sort());
    const bad = await alice.call(
      'GET',
      '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions?dir=b&from=x',
    );
    expect(errorOf(bad)).toBe('400 M_INVALID_PARAM');
  });
});

it('a closed account follows nothing', async () => {
  await subscribe();
  const identifier = { type: 'm.id.user', user: alice.userId };
  const auth = { type: 'm.login.password', identifier, password: 'correct horse battery staple' };
  await alice.ok('POST', '/account/deactivate', { auth });
  expect(subscriptionCount(app.context.reader, alice.userId)).toBe(0);
  expect(isSubscribed(app.context.reader, alice.userId, roomId, root)).toBe(false);
});
