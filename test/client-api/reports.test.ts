/** Reporting rooms, events and users; and the rooms that two people share. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findReport, type Report, reportIds } from '#projections/reports/projection.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sayIn } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [alice, bob] = [await app.register('alice'), await app.register('bob')];
});
afterAll(() => app.close());

const reports = (isReversed: boolean, about?: string): Report[] =>
  reportIds(app.engine.reader, { about, isReversed, limit: 1_000 }).flatMap(
    (id) => findReport(app.engine.reader, id) ?? [],
  );
const newestFirst = (about?: string): Report[] => reports(true, about);

describe('a report', () => {
  it('of a room, an event or a user is there for moderators, the newest first', async () => {
    const { reader } = app.engine;
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    const eventId = await sayIn(alice, roomId, 'rude');
    await bob.ok('POST', `/rooms/${roomId}/report`, { reason: 'the name' });
    await bob.ok('POST', `/join/${roomId}`);
    await bob.ok('POST', `/rooms/${roomId}/report/${eventId}`, { reason: 'rude', score: -100 });
    await bob.ok('POST', `/users/${alice.userId}/report`, { reason: '' });
    await bob.ok('POST', '/users/@troll:elsewhere.example/report', { reason: 'spam' });
    const all = newestFirst();
    expect(all).toMatchObject([
      { reporter: bob.userId, target: { kind: 'user', userId: '@troll:elsewhere.example' }, reason: 'spam' },
      { target: { kind: 'user', userId: alice.userId }, reason: null },
      { target: { kind: 'event', roomId, eventId, sender: alice.userId }, reason: 'rude' },
      { target: { kind: 'room', roomId }, reason: 'the name', receivedAtMs: expect.any(Number) },
    ]);
    const [, aboutAlice, aboutEvent, aboutRoom] = all;
    expect(newestFirst(roomId)).toEqual([aboutEvent, aboutRoom]);
    expect(newestFirst(alice.userId)).toEqual([aboutAlice, aboutEvent]);
    expect(newestFirst('x')).toEqual([]);
    expect(reports(false)).toEqual(all.toReversed());
    expect(findReport(reader, aboutRoom?.id ?? -1)).toEqual(aboutRoom);
  });

  it('of an event is for those who are in its room and see it', async () => {
    const before = newestFirst();
    const roomId = await createRoom(alice, {
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
    });
    const other = await createRoom(bob);
    const eventId = await sayIn(alice, roomId, 'private');
    const report = (room: string, event: string) => bob.call('POST', `/rooms/${room}/report/${event}`, {});
    expect((await report(roomId, eventId)).body.errcode).toBe('M_NOT_FOUND');
    await bob.ok('POST', `/join/${roomId}`);
    expect((await report(roomId, eventId)).status).toBe(404);
    expect((await report(other, eventId)).status).toBe(404);
    expect((await report(roomId, '$none')).status).toBe(404);
    expect(newestFirst()).toEqual(before);
  });

  it.each([
    ['/rooms/!none:localhost/report', { reason: '' }, 404, 'M_NOT_FOUND'],
    ['/rooms/!none:localhost/report', {}, 400, 'M_MISSING_PARAM'],
    ['/rooms/!none:localhost/report', { reason: 5 }, 400, 'M_BAD_JSON'],
    ['/rooms/!none:localhost/report/$x', {}, 404, 'M_NOT_FOUND'],
    ['/users/@none:localhost/report', { reason: '' }, 404, 'M_NOT_FOUND'],
    ['/users/none/report', { reason: '' }, 400, 'M_INVALID_PARAM'],
    ['/users/@bob:localhost/report', { reason: 'x'.repeat(20_000) }, 413, 'M_TOO_LARGE'],
  ])('%s with %j is refused', async (at, body, status, errcode) => {
    expect(await alice.call('POST', at, body)).toMatchObject({ status, body: { errcode } });
  });
});

describe('mutual rooms', () => {
  const mutual = (by: TestClient, query: string) => by.call('GET', `/_matrix/client/v1/mutual_rooms?${query}`);

  it('are those in which both are, in pages', async () => {
    const [carol, dave] = [await app.register('carol'), await app.register('dave')];
    const shared: string[] = [];
    for (let index = 0; index < 102; index += 1) {
      const roomId = await createRoom(carol, { preset: 'public_chat' });
      await dave.ok('POST', `/join/${roomId}`);
      shared.push(roomId);
    }
    const left = shared.pop() ?? '';
    await dave.ok('POST', `/rooms/${left}/leave`);
    await createRoom(carol, { invite: [dave.userId] });
    const first = (await mutual(carol, `user_id=${dave.userId}`)).body;
    expect(first).toMatchObject({ joined: shared.slice(0, 100), count: 101, next_batch: expect.any(String) });
    const second = (await mutual(carol, `user_id=${dave.userId}&from=${first['next_batch']}`)).body;
    expect(second).toEqual({ joined: shared.slice(100), count: 101 });
    expect((await mutual(carol, 'user_id=@nobody:localhost')).body).toEqual({ joined: [], count: 0 });
  });

  it.each(['', 'user_id=bob', 'user_id=@alice:localhost', 'user_id=@bob:localhost&from=xyz'])(
    'cannot be asked with %j',
    async (query) => {
      const { status, body } = await mutual(alice, query);
      expect([status, body.errcode]).toEqual([400, query === '' ? 'M_MISSING_PARAM' : 'M_INVALID_PARAM']);
    },
  );
});
