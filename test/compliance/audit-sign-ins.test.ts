/** Sign-ins, failures of them, and changes of what lets people in, are on record. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AuditQuery, auditPage, type FoundEntry } from '#projections/audit/queries.ts';
import { MAX_KINDS } from '#src/audit/repeats.ts';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sayIn } from '../client-api/sync-client.ts';

const PASSWORD = 'correct horse battery staple';
let app: TestApplication;
let alice: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
});
afterEach(() => app.close());

const entries = (query: AuditQuery): readonly FoundEntry[] =>
  auditPage(app.engine.reader, query, { limit: 5000 }).entries;
const login = (user: string, password: string) =>
  request(app.http, 'POST', '/login', {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password,
    device_id: 'SECOND',
  });
const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: PASSWORD };

test('a sign-in says who, with which device, and from where', async () => {
  expect((await login('alice', PASSWORD)).status).toBe(200);
  expect(entries({ actor: alice.userId })).toMatchObject([
    { action: 'user.register', after: { device_id: alice.deviceId, was_guest: false } },
    {
      action: 'session.start',
      actor: { deviceId: 'SECOND' },
      ip: '127.0.0.1',
      target: { kind: 'user', id: alice.userId },
    },
  ]);
});

test('failures are on record once a minute for each account, with a count of the rest, and never what was typed', async () => {
  for (let times = 0; times < 4; times += 1) expect((await login('alice', 'wrong password')).status).toBe(403);
  expect((await login('my secret password', 'alice')).status).toBe(403);
  const failed = { action: 'session.fail', outcome: 'refused', actor: { kind: 'stranger' }, ip: '127.0.0.1' };
  const first = entries({ action: 'session.fail' });
  expect(first).toMatchObject([
    { ...failed, target: { id: alice.userId }, why: expect.stringContaining('M_FORBIDDEN') },
    { ...failed, why: expect.stringContaining('no such account') },
  ]);
  expect(first[1]).not.toHaveProperty('target');
  app.advance(61_000);
  await login('alice', 'wrong password');
  expect(entries({ action: 'session.fail', target: alice.userId })).toMatchObject([
    failed,
    { ...failed, count: 3 },
    failed,
  ]);
  expect(JSON.stringify(entries({}))).not.toMatch(/secret|wrong password|correct horse/);
});

test('whoever tries many accounts does not fill the log', async () => {
  const before = app.log.head();
  const attempts = Array.from({ length: MAX_KINDS + 50 }, (_, index) =>
    app.context.repeats.note({ actor: { kind: 'stranger' }, action: 'session.fail', ip: '192.0.2.1' }, `user ${index}`),
  );
  await Promise.all(attempts);
  expect(app.log.head() - before).toBe(MAX_KINDS);
  await app.context.repeats.flush(app.now() + 61_000);
  expect(app.log.head() - before).toBe(MAX_KINDS + 1);
  expect(entries({ action: 'session.fail' }).at(-1)).toMatchObject({ actor: { kind: 'stranger' }, count: 50 });
});

test('a changed password, removed devices and a closed account are on record before they are so', async () => {
  await login('alice', PASSWORD);
  await alice.ok('DELETE', '/devices/SECOND', { auth });
  await alice.ok('POST', '/account/password', { auth, new_password: 'another good password', logout_devices: false });
  const wrong = await alice.call('POST', '/account/deactivate', { auth });
  expect(wrong.status).toBe(401);
  await alice.ok('POST', '/account/deactivate', { auth: { ...auth, password: 'another good password' }, erase: true });
  expect(entries({ target: alice.userId }).slice(2)).toMatchObject([
    { action: 'device.delete', before: { device_ids: ['SECOND'] }, actor: { deviceId: alice.deviceId } },
    { action: 'user.password', after: { logout_devices: false } },
    { action: 'session.fail', outcome: 'refused', after: { operation: 'POST /_matrix/client/v3/account/deactivate' } },
    { action: 'user.deactivate', after: { erase: true } },
  ]);
});

test('a password is not changed where that cannot be put on record', async () => {
  app.log.refuseWrites('the disk is full');
  const { status } = await alice.call('POST', '/account/password', { auth, new_password: 'another good password' });
  app.log.refuseWrites(undefined);
  expect(status).toBe(503);
  expect((await login('alice', PASSWORD)).status).toBe(200);
});

test('a moderator who is shown what a redaction took away is on record with the event', async () => {
  const bob = await app.register('bob');
  const roomId = await createRoom(alice, { preset: 'public_chat' });
  await bob.ok('POST', `/join/${roomId}`);
  const eventId = await sayIn(bob, roomId, 'something rude');
  await alice.ok('PUT', `/rooms/${roomId}/redact/${eventId}/1`, {});
  const at = `/rooms/${roomId}/event/${eventId}?fi.mau.msc2815.include_unredacted_content=true`;
  expect((await bob.call('GET', at)).status).toBe(403);
  expect(await alice.ok('GET', at)).toMatchObject({ content: { body: 'something rude' } });
  expect(entries({ action: 'content.read' })).toMatchObject([
    { actor: { userId: alice.userId }, target: { kind: 'event', id: eventId }, roomId, ip: '127.0.0.1' },
  ]);
});

test('sending messages is not on record: it costs nothing', async () => {
  const roomId = await createRoom(alice);
  const before = entries({}).length;
  await sayIn(alice, roomId, 'hello');
  expect(entries({})).toHaveLength(before);
});
