/** What clients of old do: sending without transaction ids, and joining with words of their own. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

let app: TestApplication;
let alice: TestClient;
let roomId: string;
beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  roomId = String((await alice.ok('POST', '/createRoom', {})).room_id);
});
afterAll(() => app.close());

test('a message is sent as often as it is asked for, and redacted the same way', async () => {
  const send = () => alice.ok('POST', `/rooms/${roomId}/send/m.room.message`, { msgtype: 'm.text', body: 'again' });
  const one = String((await send()).event_id);
  const two = String((await send()).event_id);
  expect(one).not.toBe(two);
  await alice.ok('POST', `/rooms/${roomId}/redact/${encodeURIComponent(one)}`, { reason: 'twice' });
  const event = (eventId: string) => alice.ok('GET', `/rooms/${roomId}/event/${encodeURIComponent(eventId)}`);
  expect(await event(one)).toMatchObject({
    content: {},
    unsigned: { redacted_because: { content: { reason: 'twice' } } },
  });
  expect(await event(two)).toMatchObject({ content: { body: 'again' } });
});

test('what is no event is refused', async () => {
  for (const body of ['{"n":1.5}', '{"n":9007199254740992}']) {
    expect(errorOf(await alice.call('POST', `/rooms/${roomId}/send/org.example.x`, body))).toBe('400 M_BAD_JSON');
  }
  const long = { body: 'x'.repeat(70_000) };
  expect(errorOf(await alice.call('POST', `/rooms/${roomId}/send/m.room.message`, long))).toBe('413 M_TOO_LARGE');
});

test('who joins may say more in the member event, but not who vouches for them, or what they are', async () => {
  const open = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' })).room_id);
  for (const [index, at] of ['/join/ROOM', '/rooms/ROOM/join'].entries()) {
    const bob = await app.register(`bob${index}`);
    const body = {
      foo: 'bar',
      membership: 'ban',
      join_authorised_via_users_server: alice.userId,
      third_party_invite: {},
    };
    await bob.ok('POST', at.replace('ROOM', open), body);
    expect(await bob.ok('GET', `/rooms/${open}/state/m.room.member/${bob.userId}`)).toEqual({
      foo: 'bar',
      membership: 'join',
    });
  }
});

test('a token in the query counts as one in the header, unless the configuration says otherwise', async () => {
  const whoami = (at: TestApplication, token: string) =>
    request(at.http, 'GET', `/account/whoami?access_token=${encodeURIComponent(token)}`);
  expect((await whoami(app, alice.accessToken)).body).toMatchObject({ user_id: alice.userId });
  const strict = await startApplication({ access_token_in_query: false });
  const carol = await strict.register('carol');
  expect(errorOf(await whoami(strict, carol.accessToken))).toBe('401 M_MISSING_TOKEN');
  await carol.ok('GET', '/account/whoami');
  await strict.close();
});

test('a parameter without a value counts as none where it is optional', async () => {
  for (const path of [
    '/sync?since=&filter=',
    `/rooms/${roomId}/messages?dir=b&from=&to=&filter=`,
    `/rooms/${roomId}/members?at=`,
    '/publicRooms?since=&server=',
    '/notifications?from=&only=',
    `/_matrix/client/v1/rooms/${roomId}/hierarchy?from=`,
    `/_matrix/client/v1/rooms/${roomId}/threads?from=`,
    '/events?from=&timeout=0',
  ]) {
    expect([path, (await alice.call('GET', path)).status]).toEqual([path, 200]);
  }
});
