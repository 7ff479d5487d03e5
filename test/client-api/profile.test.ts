/** Profiles over HTTP, and what rooms see of them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterAll(() => app.close());

const profile = (user: TestClient, field = '') =>
  `/profile/${encodeURIComponent(user.userId)}${field && `/${encodeURIComponent(field)}`}`;

describe('a profile', () => {
  it('has what its user sets, for anybody to see', async () => {
    await alice.ok('PUT', profile(alice, 'displayname'), { displayname: 'Alice' });
    await alice.ok('PUT', profile(alice, 'avatar_url'), { avatar_url: 'mxc://localhost/abc' });
    await alice.ok('PUT', profile(alice, 'm.tz'), { 'm.tz': 'Europe/Berlin' });
    await alice.ok('PUT', profile(alice, 'org.example.thing'), { 'org.example.thing': { a: [null] } });
    expect((await request(app.http, 'GET', profile(alice))).body).toEqual({
      displayname: 'Alice',
      avatar_url: 'mxc://localhost/abc',
      'm.tz': 'Europe/Berlin',
      'org.example.thing': { a: [null] },
    });
    expect((await request(app.http, 'GET', profile(alice, 'displayname'))).body).toEqual({ displayname: 'Alice' });
  });

  it('loses what is deleted, or emptied as clients of old do', async () => {
    await alice.ok('PUT', profile(alice, 'org.example.gone'), { 'org.example.gone': null });
    expect(await alice.ok('GET', profile(alice, 'org.example.gone'))).toEqual({ 'org.example.gone': null });
    await alice.ok('DELETE', profile(alice, 'org.example.gone'));
    await alice.ok('DELETE', profile(alice, 'org.example.gone'));
    expect((await alice.call('GET', profile(alice, 'org.example.gone'))).body).toMatchObject({
      errcode: 'M_NOT_FOUND',
    });
    await alice.ok('PUT', profile(alice, 'avatar_url'), { avatar_url: '' });
    expect(await alice.ok('GET', profile(alice, 'avatar_url'))).toEqual({});
  });

  it('of nobody is not found', async () => {
    expect(await alice.call('GET', '/profile/@nobody:localhost')).toMatchObject({
      status: 404,
      body: { errcode: 'M_NOT_FOUND' },
    });
    expect((await alice.call('GET', '/profile/@a:elsewhere.invalid/displayname')).status).toBe(502);
    expect((await alice.call('GET', '/profile/nobody')).body).toMatchObject({ errcode: 'M_INVALID_PARAM' });
    expect(await alice.ok('GET', profile(bob))).toEqual({});
  });

  it.each([
    ['displayname', {}, 400, 'M_MISSING_PARAM'],
    ['displayname', { displayname: 7 }, 400, 'M_BAD_JSON'],
    ['displayname', { displayname: 'x'.repeat(257) }, 400, 'M_INVALID_PARAM'],
    ['displayname', '{"displayname":"half \\ud83d"}', 400, 'M_BAD_JSON'],
    ['avatar_url', { avatar_url: ['x'] }, 400, 'M_BAD_JSON'],
    ['nonamespace', { nonamespace: 1 }, 400, 'M_INVALID_PARAM'],
    ['Org.Example', { 'Org.Example': 1 }, 400, 'M_INVALID_PARAM'],
    ['__proto__', '{"__proto__":1}', 400, 'M_INVALID_PARAM'],
    [`org.${'x'.repeat(255)}`, {}, 400, 'M_KEY_TOO_LARGE'],
    ['org.example.big', { 'org.example.big': 'x'.repeat(65_536) }, 400, 'M_PROFILE_TOO_LARGE'],
    ['displayname', '[]', 400, 'M_BAD_JSON'],
  ] as const)('refuses %s: %j', async (field, body, status, errcode) => {
    expect(await alice.call('PUT', profile(alice, field), body)).toMatchObject({ status, body: { errcode } });
  });

  it('is for its user to change', async () => {
    expect(await bob.call('PUT', profile(alice, 'displayname'), { displayname: 'Mallory' })).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect((await bob.call('DELETE', profile(alice, 'displayname'))).status).toBe(403);
  });
});

describe('the rooms of a user', () => {
  const member = (roomId: string) =>
    alice.ok('GET', `/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(bob.userId)}`);

  it('show the new name when it is answered, and only where the user is', async () => {
    const rooms: string[] = [];
    for (let n = 0; n < 20; n += 1) {
      const { room_id: roomId } = await alice.ok('POST', '/createRoom', { preset: 'public_chat' });
      rooms.push(String(roomId));
      await bob.ok('POST', `/join/${encodeURIComponent(String(roomId))}`, {});
    }
    const [left = '', ...joined] = rooms;
    await bob.ok('POST', `/rooms/${encodeURIComponent(left)}/leave`, {});
    await bob.ok('PUT', profile(bob, 'displayname'), { displayname: 'Bob' });
    for (const roomId of joined) expect(await member(roomId)).toEqual({ membership: 'join', displayname: 'Bob' });
    expect(await member(left)).toMatchObject({ membership: 'leave' });
    await Promise.all([
      bob.ok('PUT', profile(bob, 'displayname'), { displayname: 'Bobby' }),
      bob.ok('PUT', profile(bob, 'avatar_url'), { avatar_url: 'mxc://localhost/b' }),
    ]);
    for (const roomId of joined) {
      expect(await member(roomId)).toEqual({
        membership: 'join',
        displayname: 'Bobby',
        avatar_url: 'mxc://localhost/b',
      });
    }
  });

  it('get no event for a change that is none, or that they do not show', async () => {
    const before = app.log.head();
    await bob.ok('PUT', profile(bob, 'displayname'), { displayname: 'Bobby' });
    expect(app.log.head()).toBe(before);
    await bob.ok('PUT', profile(bob, 'm.tz'), { 'm.tz': 'Asia/Tokyo' });
    expect(app.log.head()).toBe(before + 1);
  });
});
