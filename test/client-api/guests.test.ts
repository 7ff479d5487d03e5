/** Guests: how they come, where they get in, what they may do, and how they become users. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { request, startApplication, type TestApplication, TestClient } from '#test/support/application.ts';
import { createRoom, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
});
afterAll(() => app.close());

async function newGuest(application: TestApplication = app): Promise<TestClient> {
  const asked = { initial_device_display_name: 'Phone', username: 'wish', password: 'ignored', device_id: 'IGNORED' };
  const { status, body } = await request(application.http, 'POST', '/register?kind=guest', asked);
  expect(status).toBe(200);
  return new TestClient(
    application.http,
    String(body['user_id']),
    String(body['device_id']),
    String(body['access_token']),
  );
}

const admitGuests = (roomId: string, guest_access: string) =>
  alice.ok('PUT', `/rooms/${roomId}/state/m.room.guest_access`, { guest_access });

async function openRoom(options: object = {}): Promise<string> {
  const roomId = await createRoom(alice, { preset: 'public_chat', ...options });
  await admitGuests(roomId, 'can_join');
  return roomId;
}

describe('a guest', () => {
  it('gets a name and a device from the server, whatever was asked', async () => {
    const guest = await newGuest();
    expect(guest.userId).toMatch(/^@[a-z0-9]+:localhost$/);
    expect(guest.userId).not.toContain('wish');
    expect(guest.deviceId).not.toBe('IGNORED');
    expect(await guest.ok('GET', '/account/whoami')).toEqual({
      user_id: guest.userId,
      device_id: guest.deviceId,
      is_guest: true,
    });
    expect(await guest.ok('GET', `/devices/${guest.deviceId}`)).toMatchObject({ display_name: 'Phone' });
    const login = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: guest.userId },
      password: 'ignored',
    };
    expect((await request(app.http, 'POST', '/login', login)).status).toBe(403);
  });

  it.each(['join', 'put', 'alias'])('comes only into rooms that admit guests (%s)', async (way) => {
    const guest = await newGuest();
    const roomId = await createRoom(alice, { preset: 'public_chat', room_alias_name: `for-guests-${way}` });
    const enter = () =>
      way === 'join'
        ? guest.call('POST', `/rooms/${roomId}/join`)
        : way === 'alias'
          ? guest.call('POST', `/join/${encodeURIComponent(`#for-guests-${way}:localhost`)}`)
          : guest.call('PUT', `/rooms/${roomId}/state/m.room.member/${guest.userId}`, { membership: 'join' });
    expect(await enter()).toMatchObject({ status: 403, body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } });
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.guest_access`, {});
    expect((await enter()).status).toBe(403);
    await admitGuests(roomId, 'can_join');
    expect((await enter()).status).toBe(200);
    await sayIn(guest, roomId, 'hello');
    expect((await sync(guest)).rooms?.join?.[roomId]).toBeDefined();
  });

  it('cannot come in by an invite where no guests are admitted', async () => {
    const guest = await newGuest();
    const roomId = await createRoom(alice, { invite: [guest.userId] });
    await admitGuests(roomId, 'forbidden');
    expect((await guest.call('POST', `/join/${roomId}`)).status).toBe(403);
    await admitGuests(roomId, 'can_join');
    await guest.ok('POST', `/join/${roomId}`);
  });

  it('has to go when the room admits guests no more, and only guests do', async () => {
    const [guest, bob] = [await newGuest(), await app.register('bob')];
    const [roomId, other] = [await openRoom(), await openRoom()];
    for (const user of [guest, bob]) for (const room of [roomId, other]) await user.ok('POST', `/join/${room}`);
    let since = (await sync(bob)).next_batch;
    await admitGuests(roomId, 'forbidden');
    let left: unknown;
    while (left === undefined) {
      const answer = await sync(bob, { since, timeout: 10_000 });
      since = answer.next_batch;
      left = answer.rooms?.join?.[roomId]?.timeline.events.find(({ state_key }) => state_key === guest.userId);
    }
    expect(left).toMatchObject({ sender: guest.userId, content: { membership: 'leave' } });
    expect((await bob.ok('GET', '/joined_rooms'))['joined_rooms']).toEqual(expect.arrayContaining([roomId, other]));
    expect((await guest.ok('GET', '/joined_rooms'))['joined_rooms']).toEqual([other]);
  });

  it('may read what the world may read, by every way of reading', async () => {
    const guest = await newGuest();
    const readable = await createRoom(alice, {
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }],
    });
    const eventId = await sayIn(alice, readable, 'public');
    const closed = await createRoom(alice, { preset: 'public_chat' });
    const hidden = await sayIn(alice, closed, 'private');
    const ways = (roomId: string, event: string): string[] => [
      `/rooms/${roomId}/state`,
      `/rooms/${roomId}/state/m.room.create/`,
      `/rooms/${roomId}/messages?dir=b`,
      `/rooms/${roomId}/context/${event}`,
      `/rooms/${roomId}/event/${event}`,
      `/rooms/${roomId}/members`,
    ];
    for (const way of ways(readable, eventId)) expect([way, (await guest.call('GET', way)).status]).toEqual([way, 200]);
    for (const way of ways(closed, hidden)) {
      expect((await guest.call('GET', way)).body.errcode).toMatch(/^M_(FORBIDDEN|NOT_FOUND)$/);
    }
    expect((await guest.call('PUT', `/rooms/${readable}/send/m.room.message/1`, {})).status).toBe(403);
  });

  it.each([
    ['POST', '/createRoom', {}],
    ['POST', '/rooms/!x:localhost/invite', { user_id: '@a:localhost' }],
    ['POST', '/rooms/!x:localhost/upgrade', { new_version: '12' }],
    ['POST', '/knock/!x:localhost', {}],
    ['PUT', '/directory/room/%23x:localhost', { room_id: '!x:localhost' }],
    ['PUT', '/profile/SELF/avatar_url', { avatar_url: 'mxc://a/b' }],
    ['DELETE', '/profile/SELF/avatar_url', undefined],
    ['GET', '/_matrix/client/v1/rooms/!x:localhost/hierarchy', undefined],
  ] as const)('may not %s %s', async (method, at, body) => {
    const guest = await newGuest();
    const answer = await guest.call(method, at.replace('SELF', guest.userId), body);
    expect(answer).toMatchObject({ status: 403, body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } });
  });

  it('has a display name', async () => {
    const guest = await newGuest();
    await guest.ok('PUT', `/profile/${guest.userId}/displayname`, { displayname: 'Visitor' });
    expect(await guest.ok('GET', `/profile/${guest.userId}/displayname`)).toEqual({ displayname: 'Visitor' });
    await guest.ok('PUT', `/devices/${guest.deviceId}`, { display_name: 'Tablet' });
    expect((await guest.ok('GET', '/devices'))['devices']).toMatchObject([{ display_name: 'Tablet' }]);
  });
});

describe('a guest who registers', () => {
  const PASSWORD = 'correct horse battery staple';
  const register = (guest: TestClient, username: string, more: object = {}) =>
    request(app.http, 'POST', '/register', {
      username,
      password: PASSWORD,
      guest_access_token: guest.accessToken,
      auth: { type: 'm.login.dummy' },
      ...more,
    });
  const nameOf = ({ userId }: TestClient): string => userId.slice(1, userId.indexOf(':'));

  it('keeps name and rooms, and is a user like any other', async () => {
    const guest = await newGuest();
    const roomId = await openRoom();
    await guest.ok('POST', `/join/${roomId}`);
    const unauthorised = await register(guest, nameOf(guest), { auth: undefined });
    expect(unauthorised).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.dummy'] }] } });
    const { status, body } = await register(guest, nameOf(guest));
    expect([status, body['user_id']]).toEqual([200, guest.userId]);
    const user = new TestClient(app.http, guest.userId, String(body['device_id']), String(body['access_token']));
    for (const client of [user, guest]) {
      expect((await client.ok('GET', '/account/whoami'))['is_guest']).toBe(false);
    }
    expect((await user.ok('GET', '/joined_rooms'))['joined_rooms']).toEqual([roomId]);
    await createRoom(user);
    const identifier = { type: 'm.id.user', user: guest.userId };
    const login = await request(app.http, 'POST', '/login', {
      type: 'm.login.password',
      identifier,
      password: PASSWORD,
    });
    expect(login.status).toBe(200);
    // Who is no guest stays where guests have to go, and registers no second time.
    await admitGuests(roomId, 'forbidden');
    await sayIn(user, roomId, 'still here');
    expect((await register(guest, nameOf(guest))).status).toBe(403);
  });

  it('cannot take the name of somebody else', async () => {
    const [one, two] = [await newGuest(), await newGuest()];
    for (const [guest, name] of [
      [one, nameOf(two)],
      [one, 'alice'],
      [one, 'free_name'],
      [alice, 'alice'],
      [new TestClient(app.http, one.userId, '', 'nonsense'), nameOf(one)],
    ] as const) {
      expect(await register(guest, name)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
    }
    expect((await register(one, nameOf(one), { guest_access_token: undefined })).body.errcode).toBe('M_USER_IN_USE');
    expect((await register(one, nameOf(one), { password: 'x' })).body.errcode).toBe('M_WEAK_PASSWORD');
    expect((await one.ok('GET', '/account/whoami'))['is_guest']).toBe(true);
  });
});

describe('whether there are guests', () => {
  it.each([
    [{ open: false }, false],
    [{ open: true, token_required: true }, false],
    [{ open: true, token_required: false, guests: false }, false],
    [{ open: false, guests: true }, true],
  ])('with %j: %s', async (registration, hasGuests) => {
    const other = await startApplication({ registration });
    try {
      const { status, body } = await request(other.http, 'POST', '/register?kind=guest', {});
      expect([status, body.errcode]).toEqual(hasGuests ? [200, undefined] : [403, 'M_GUEST_ACCESS_FORBIDDEN']);
    } finally {
      await other.close();
    }
  });
});
