/** Receipts, read markers and typing over HTTP, and what sync gets to see of them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { latestReceipt, receiptContentsSince, receiptsOf } from '#projections/receipts/queries.ts';
import { roomTopic, userTopic } from '#src/bus/bus.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let stranger: TestClient;
let room: string;
let at: string;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  stranger = await app.register('stranger');
  room = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' })).room_id);
  at = `/rooms/${encodeURIComponent(room)}`;
  await bob.ok('POST', `/join/${encodeURIComponent(room)}`, {});
});

afterAll(() => app.close());

let transaction = 0;

async function say(body: string, relation?: object): Promise<string> {
  transaction += 1;
  const content = { msgtype: 'm.text', body, ...(relation && { 'm.relates_to': relation }) };
  return String((await alice.ok('PUT', `${at}/send/m.room.message/${transaction}`, content)).event_id);
}

const receipt = (type: string, eventId: string) => `${at}/receipt/${type}/${encodeURIComponent(eventId)}`;
const seenBy = (user: TestClient, since: number) => receiptContentsSince(app.context.reader, room, since, user.userId);

describe('receipts', () => {
  it('are seen by the others, private ones by their sender only', async () => {
    const event = await say('one');
    const since = app.context.reader.frontier;
    await bob.ok('POST', receipt('m.read', event), {});
    await bob.ok('POST', receipt('m.read.private', event));
    const ts = expect.any(Number);
    expect(seenBy(alice, since)).toEqual([{ [event]: { 'm.read': { [bob.userId]: { ts } } } }]);
    expect(seenBy(bob, since)).toEqual([
      { [event]: { 'm.read': { [bob.userId]: { ts } }, 'm.read.private': { [bob.userId]: { ts } } } },
    ]);
    expect(seenBy(alice, app.context.reader.frontier)).toEqual([]);
  });

  it('replace the one before, and never go back', async () => {
    const [first, second] = [await say('1'), await say('2')];
    await bob.ok('POST', receipt('m.read', second), {});
    const head = app.log.head();
    await bob.ok('POST', receipt('m.read', first), {});
    await bob.ok('POST', receipt('m.read', second), {});
    expect(app.log.head()).toBe(head);
    const contents = seenBy(alice, BEFORE_FIRST);
    expect(contents.flatMap((content) => Object.keys(content))).toEqual([second]);
    expect(latestReceipt(app.context.reader, room, bob.userId, 'm.read')?.eventId).toBe(second);
  });

  it('are kept for each thread', async () => {
    const root = await say('root');
    const reply = await say('reply', { rel_type: 'm.thread', event_id: root });
    const reaction = await say('reaction', { rel_type: 'm.annotation', event_id: reply });
    const since = app.context.reader.frontier;
    await bob.ok('POST', receipt('m.read', root), { thread_id: 'main' });
    await bob.ok('POST', receipt('m.read', reaction), { thread_id: root });
    await bob.ok('POST', receipt('m.read', reaction));
    const mine = (thread: string | undefined) => ({ [bob.userId]: { ts: expect.any(Number), thread_id: thread } });
    expect(seenBy(alice, since)).toEqual([
      { [root]: { 'm.read': mine('main') }, [reaction]: { 'm.read': mine(root) } },
      { [reaction]: { 'm.read': { [bob.userId]: { ts: expect.any(Number) } } } },
    ]);
    const threads = [...receiptsOf(app.context.reader, room, bob.userId)].map(({ type, threadId }) => [type, threadId]);
    expect(threads).toEqual(
      expect.arrayContaining([
        ['m.read', undefined],
        ['m.read', 'main'],
        ['m.read', root],
      ]),
    );
    for (const [event, thread] of [
      [reply, 'main'],
      [root, reply],
      [await say('elsewhere'), root],
    ] as const) {
      expect(await bob.call('POST', receipt('m.read', event), { thread_id: thread })).toMatchObject({
        status: 400,
        body: { errcode: 'M_INVALID_PARAM' },
      });
    }
  });

  it.each([[''], [7], [null], ['thread']])('refuse %j for a thread', async (threadId) => {
    const answer = await bob.call('POST', receipt('m.read', await say('x')), { thread_id: threadId });
    expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } });
  });

  it('refuse other types, other events and other people', async () => {
    const event = await say('x');
    expect((await bob.call('POST', receipt('m.unread', event))).body).toMatchObject({ errcode: 'M_INVALID_PARAM' });
    expect(await bob.call('POST', receipt('m.read', `$${'x'.repeat(43)}`))).toMatchObject({ status: 404 });
    expect((await bob.call('POST', receipt('m.read', 'nonsense'))).status).toBe(404);
    expect(await stranger.call('POST', receipt('m.read', event))).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect((await bob.call('POST', `/rooms/${'x'.repeat(3000)}/receipt/m.read/${event}`)).status).toBe(403);
    expect((await bob.call('POST', receipt('m.fully_read', event), { thread_id: 'main' })).body).toMatchObject({
      errcode: 'M_INVALID_PARAM',
    });
  });

  it('wake the room, private ones their sender', async () => {
    const event = await say('x');
    const woken: string[] = [];
    const stop = [
      app.context.bus.subscribe([roomTopic(room)], () => woken.push('room')),
      app.context.bus.subscribe([userTopic(bob.userId)], () => woken.push('bob')),
    ];
    await bob.ok('POST', receipt('m.read.private', event));
    await bob.ok('POST', receipt('m.read', event));
    for (const unsubscribe of stop) unsubscribe();
    expect(woken).toEqual(['bob', 'room']);
  });
});

describe('read markers', () => {
  it('move the fully read marker and the receipts together', async () => {
    const [first, second] = [await say('1'), await say('2')];
    await bob.ok('POST', `${at}/read_markers`, { 'm.fully_read': first, 'm.read': second, 'm.read.private': second });
    const marker = `/user/${encodeURIComponent(bob.userId)}${at}/account_data/m.fully_read`;
    expect(await bob.ok('GET', marker)).toEqual({ event_id: first });
    expect(latestReceipt(app.context.reader, room, bob.userId, 'm.read.private')?.eventId).toBe(second);
    await bob.ok('POST', receipt('m.fully_read', second));
    await bob.ok('POST', `${at}/read_markers`, { 'm.fully_read': first });
    await bob.ok('POST', `${at}/read_markers`, {});
    expect(await bob.ok('GET', marker)).toEqual({ event_id: second });
  });

  it('set all or nothing', async () => {
    const event = await say('x');
    const head = app.log.head();
    const answer = await bob.call('POST', `${at}/read_markers`, { 'm.fully_read': event, 'm.read': '$unknown' });
    expect(answer).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    expect(app.log.head()).toBe(head);
    expect((await bob.call('POST', `${at}/read_markers`, { 'm.read': 7 })).body).toMatchObject({
      errcode: 'M_BAD_JSON',
    });
  });
});

describe('typing', () => {
  const typing = (user: TestClient) => `${at}/typing/${encodeURIComponent(user.userId)}`;

  it('begins and ends, and leaves nothing in the log', async () => {
    const head = app.log.head();
    const { serial } = app.context.typing;
    await alice.ok('PUT', typing(alice), { typing: true, timeout: 30_000 });
    await bob.ok('PUT', typing(bob), { typing: true });
    expect(app.context.typing.typingSince(room, serial)).toEqual([alice.userId, bob.userId]);
    await alice.ok('PUT', typing(alice), { typing: false });
    expect(app.context.typing.usersIn(room)).toEqual([bob.userId]);
    expect(app.log.head()).toBe(head);
  });

  it('is for oneself, in rooms one is in', async () => {
    expect(await alice.call('PUT', typing(bob), { typing: true })).toMatchObject({ status: 403 });
    expect(await stranger.call('PUT', typing(stranger), { typing: true })).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect((await alice.call('PUT', typing(alice), {})).body).toMatchObject({ errcode: 'M_MISSING_PARAM' });
    expect((await alice.call('PUT', typing(alice), { typing: 'yes' })).body).toMatchObject({ errcode: 'M_BAD_JSON' });
    const nowhere = `/rooms/${'x'.repeat(3000)}/typing/${encodeURIComponent(alice.userId)}`;
    expect((await alice.call('PUT', nowhere, { typing: true })).status).toBe(403);
  });
});
