/** The server itself through Synapse's administration API: registration tokens, other servers, figures, redactions of all that a user sent. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const ADMIN = '/_synapse/admin/v1';
const TOKENS = `${ADMIN}/registration_tokens`;
const DESTINATIONS = `${ADMIN}/federation/destinations`;

let app: TestApplication;
let admin: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [admin, bob] = [await app.register('admin'), await app.register('bob')];
  await app.context.accounts.setAdmin(admin.userId, true);
});
afterAll(() => app.close());

it('says what it is to anybody', async () => {
  const answer = await app.http.inject({ url: `${ADMIN}/server_version` });
  expect(answer.json()).toEqual({ server_version: expect.stringMatching(/^Stele \d/) });
});

describe('registration tokens', () => {
  it('are made, listed, changed and taken away', async () => {
    const made = await admin.ok('POST', `${TOKENS}/new`, { token: 'spring', uses_allowed: 1 });
    expect(made).toEqual({ token: 'spring', uses_allowed: 1, pending: 0, completed: 0, expiry_time: null });
    const random = await admin.ok('POST', `${TOKENS}/new`, {});
    expect(random).toMatchObject({ token: expect.stringMatching(/^[A-Za-z0-9._~-]{16,}$/), uses_allowed: null });
    await admin.ok('PUT', `${TOKENS}/spring`, { uses_allowed: 0 });
    const list = async (query: string) =>
      ((await admin.ok('GET', `${TOKENS}${query}`))['registration_tokens'] as unknown as { token: string }[]).map(
        ({ token }) => token,
      );
    expect(await list('?valid=false')).toEqual(['spring']);
    expect(await list('')).toHaveLength(2);
    const expiry = app.context.clock() + 60_000;
    expect(await admin.ok('PUT', `${TOKENS}/spring`, { uses_allowed: null, expiry_time: expiry })).toMatchObject({
      uses_allowed: null,
      expiry_time: expiry,
    });
    expect(await list('?valid=false')).toEqual([]);
    await admin.ok('DELETE', `${TOKENS}/spring`);
    expect((await admin.call('GET', `${TOKENS}/spring`)).status).toBe(404);
    expect((await admin.call('DELETE', `${TOKENS}/spring`)).status).toBe(404);
    expect(await admin.call('POST', `${TOKENS}/new`, { token: 'a b' })).toMatchObject({ status: 400 });
    expect(await admin.call('POST', `${TOKENS}/new`, { expiry_time: 1 })).toMatchObject({ status: 400 });
    expect((await bob.call('GET', TOKENS)).status).toBe(403);
  });
});

describe('other servers', () => {
  it('in trouble are listed with what is known of it, and tried again when that is asked for', async () => {
    const { destinations } = app.context.federation;
    destinations.failed('down.example.org', destinations.begin('down.example.org', false));
    const trouble = destinations.troubleOf('down.example.org');
    expect(await admin.ok('GET', `${DESTINATIONS}/down.example.org`)).toEqual({
      destination: 'down.example.org',
      retry_last_ts: expect.any(Number),
      retry_interval: trouble?.intervalMs,
      failure_ts: trouble?.sinceMs,
      last_successful_stream_ordering: null,
    });
    expect(await admin.ok('GET', `${DESTINATIONS}/down.example.org/rooms`)).toEqual({ rooms: [], total: 0 });
    await admin.ok('POST', `${DESTINATIONS}/down.example.org/reset_connection`, {});
    expect(destinations.troubleOf('down.example.org')).toBeUndefined();
    expect((await admin.call('GET', `${DESTINATIONS}/never.example.org`)).status).toBe(404);
    expect(await admin.ok('GET', DESTINATIONS)).toMatchObject({ destinations: [], total: 0 });
  });
});

describe('figures', () => {
  it('tell who has uploaded how much', async () => {
    await app.http.inject({
      method: 'POST',
      url: '/_matrix/media/v3/upload',
      headers: { authorization: `Bearer ${bob.accessToken}`, 'content-type': 'text/plain' },
      payload: 'twelve bytes',
    });
    expect(await admin.ok('GET', `${ADMIN}/statistics/users/media`)).toEqual({
      users: [{ user_id: bob.userId, displayname: null, media_count: 1, media_length: 12 }],
      total: 1,
    });
    expect(await admin.ok('GET', `${ADMIN}/statistics/users/media?search_term=nobody`)).toEqual({
      users: [],
      total: 0,
    });
  });
});

describe('what a user sent', () => {
  it('is redacted in all rooms, or in some, as many of the newest as are asked for', async () => {
    const room = String((await bob.ok('POST', '/createRoom', {}))['room_id']);
    for (const body of ['one', 'two', 'three']) {
      await bob.ok('PUT', `/rooms/${room}/send/m.room.message/${body}`, { msgtype: 'm.text', body });
    }
    const redact = async (body: object) => {
      const { redact_id: id } = await admin.ok('POST', `${ADMIN}/user/${bob.userId}/redact`, body);
      await app.context.tasks.settled();
      expect(await admin.ok('GET', `${ADMIN}/user/redact_status/${String(id)}`)).toEqual({
        status: 'complete',
        failed_redactions: {},
      });
      const filter = encodeURIComponent('{"types":["m.room.message"]}');
      const { chunk } = await bob.ok('GET', `/rooms/${room}/messages?dir=b&filter=${filter}`);
      return (chunk as unknown as { content: { body?: string } }[]).map(({ content }) => content.body);
    };
    expect(await redact({ rooms: [room], limit: 1, reason: 'spam' })).toEqual([undefined, 'two', 'one']);
    const until = app.now();
    app.advance(1000);
    await bob.ok('PUT', `/rooms/${room}/send/m.room.message/four`, { msgtype: 'm.text', body: 'four' });
    expect(await redact({ rooms: [], after_ts: until + 500, before_ts: until + 600 })).toEqual([
      'four',
      undefined,
      'two',
      'one',
    ]);
    expect(await redact({ rooms: [], after_ts: until + 500 })).toEqual([undefined, undefined, 'two', 'one']);
    expect(await redact({ rooms: [] })).toEqual([undefined, undefined, undefined, undefined]);
    expect((await admin.call('GET', `${ADMIN}/user/redact_status/none`)).status).toBe(404);
  });
});
