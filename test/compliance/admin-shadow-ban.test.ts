/** Shadow bans: what the banned user is told, what others see of it, and what is on record. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { auditPage } from '#projections/audit/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const EVENT_ID = /^\$[A-Za-z0-9_-]{43}$/;

let app: TestApplication;
let admin: TestClient;
let bob: TestClient;
let eve: TestClient;
let room: string;
const ban = () => `/_synapse/admin/v1/users/${eve.userId}/shadow_ban`;

beforeAll(async () => {
  app = await startApplication();
  [admin, bob, eve] = [await app.register('admin'), await app.register('bob'), await app.register('eve')];
  await app.context.accounts.setAdmin(admin.userId, true);
});
afterAll(() => app.close());

beforeEach(async () => {
  room = String((await eve.ok('POST', '/createRoom', { preset: 'public_chat', invite: [bob.userId] }))['room_id']);
  await bob.ok('POST', `/rooms/${room}/join`, {});
  await admin.ok('POST', ban(), {});
  return async () => {
    await admin.ok('DELETE', ban(), {});
  };
});

/** What Bob sees of the room, by type. */
async function seen(type: string): Promise<unknown[]> {
  const { chunk } = await bob.ok('GET', `/rooms/${room}/messages?dir=b&limit=100`);
  return (chunk as unknown as { type: string; content: unknown }[])
    .filter((event) => event.type === type)
    .map(({ content }) => content);
}
const invited = async () =>
  Object.keys(((await bob.ok('GET', '/sync')) as unknown as { rooms?: { invite?: object } }).rooms?.invite ?? {});

describe('a shadow-banned user', () => {
  it('is told that messages were sent, which nobody gets', async () => {
    const send = (txn: string) =>
      eve.ok('PUT', `/rooms/${room}/send/m.room.message/${txn}`, { msgtype: 'm.text', body: 'spam' });
    const first = await send('one');
    expect(first).toEqual({ event_id: expect.stringMatching(EVENT_ID) });
    expect(await send('one')).toEqual(first);
    expect(await send('two')).not.toEqual(first);
    expect(await seen('m.room.message')).toEqual([]);
    expect(await eve.call('PUT', `/rooms/${room}/send/m.room.message/three`, '{"cut')).toMatchObject({ status: 400 });
  });

  it('changes nothing of a room, removes nobody, brings nobody, and replaces no room', async () => {
    const state = await eve.ok('PUT', `/rooms/${room}/state/m.room.topic`, { topic: 'spam' });
    expect(state).toEqual({ event_id: expect.stringMatching(EVENT_ID) });
    expect(await seen('m.room.topic')).toEqual([]);
    for (const action of ['kick', 'ban', 'unban', 'invite']) {
      expect(await eve.ok('POST', `/rooms/${room}/${action}`, { user_id: bob.userId })).toEqual({});
    }
    expect(
      await eve.ok('PUT', `/rooms/${room}/state/m.room.member/${bob.userId}`, { membership: 'ban' }),
    ).toHaveProperty('event_id');
    await bob.ok('PUT', `/rooms/${room}/send/m.room.message/here`, { msgtype: 'm.text', body: 'still here' });
    expect(await eve.ok('POST', `/rooms/${room}/upgrade`, { new_version: '11' })).toEqual({
      replacement_room: expect.stringMatching(/^!/),
    });
    expect(await seen('m.room.tombstone')).toEqual([]);
    const { event_id: sent } = await bob.ok('PUT', `/rooms/${room}/send/m.room.message/safe`, {
      msgtype: 'm.text',
      body: 'safe',
    });
    expect(await eve.ok('PUT', `/rooms/${room}/redact/${String(sent)}/r1`, {})).toHaveProperty('event_id');
    expect(await seen('m.room.message')).toContainEqual({ msgtype: 'm.text', body: 'safe' });
  });

  it('makes rooms to which nobody is invited, and shows a new name to nobody but themselves', async () => {
    await eve.ok('POST', '/createRoom', { invite: [bob.userId] });
    expect(await invited()).toEqual([]);
    await eve.ok('PUT', `/profile/${eve.userId}/displayname`, { displayname: 'Buy now' });
    expect(await eve.ok('GET', `/profile/${eve.userId}/displayname`)).toEqual({ displayname: 'Buy now' });
    expect(JSON.stringify(await seen('m.room.member'))).not.toContain('Buy now');
    await eve.ok('PUT', `/rooms/${room}/typing/${eve.userId}`, { typing: true, timeout: 30_000 });
    expect(app.context.typing.lately(room) ?? []).toEqual([]);
  });

  it('leaves and joins as before, and is heard again when the ban is lifted', async () => {
    await eve.ok('PUT', `/rooms/${room}/state/m.room.member/${eve.userId}`, { membership: 'leave' });
    await eve.ok('POST', `/rooms/${room}/join`, {});
    expect(await eve.ok('GET', '/joined_rooms')).toMatchObject({ joined_rooms: expect.arrayContaining([room]) });
    await admin.ok('DELETE', ban(), {});
    await eve.ok('PUT', `/rooms/${room}/send/m.room.message/sorry`, { msgtype: 'm.text', body: 'sorry' });
    expect(await seen('m.room.message')).toEqual([{ msgtype: 'm.text', body: 'sorry' }]);
  });

  it('is listed as such, which is on record, and only administrators do it, to others than administrators', async () => {
    expect(await admin.ok('GET', `/_synapse/admin/v2/users/${eve.userId}`)).toMatchObject({ shadow_banned: true });
    const { users } = await admin.ok('GET', '/_synapse/admin/v2/users?user_id=eve');
    expect(users).toMatchObject([{ name: eve.userId, shadow_banned: true }]);
    const { entries } = auditPage(app.engine.reader, { action: 'user.shadow_ban', target: eve.userId }, { limit: 1 });
    expect(entries[0]).toMatchObject({ before: { shadow_banned: false }, after: { shadow_banned: true } });
    expect((await bob.call('POST', ban(), {})).status).toBe(403);
    expect((await eve.call('DELETE', ban(), {})).status).toBe(403);
    expect((await admin.call('POST', `/_synapse/admin/v1/users/${admin.userId}/shadow_ban`, {})).status).toBe(403);
    expect((await admin.call('POST', '/_synapse/admin/v1/users/@nobody:localhost/shadow_ban', {})).status).toBe(404);
    expect((await admin.call('POST', '/_synapse/admin/v1/users/@a:elsewhere.org/shadow_ban', {})).status).toBe(400);
  });
});
