/** Suspending and locking accounts, and what administrators see of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sendEvent } from '#src/client-api/rooms/send-event.ts';
import { RATE_LIMITS, RateLimiter } from '#src/http/rate-limit.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

let app: TestApplication;
let admin: TestClient;
let alice: TestClient;
let bob: TestClient;
let roomId: string;

beforeAll(async () => {
  app = await startApplication();
  admin = await app.register('admin');
  await app.context.accounts.setAdmin(admin.userId, true);
  alice = await app.register('alice');
  bob = await app.register('bob');
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' })).room_id);
  await bob.ok('POST', `/join/${roomId}`);
});
afterAll(() => app.close());

const at = (what: 'suspend' | 'lock', userId: string) =>
  `/_matrix/client/v1/admin/${what}/${encodeURIComponent(userId)}`;
const send = (who: TestClient, txn: string) =>
  who.call('PUT', `/rooms/${roomId}/send/m.room.message/${txn}`, { msgtype: 'm.text', body: 'hello' });

test('who is suspended reads, leaves and redacts their own, but sends nothing', async () => {
  const mine = String((await send(alice, 'mine')).body.event_id);
  const bobs = String((await send(bob, 'bobs')).body.event_id);
  expect(await admin.ok('GET', at('suspend', alice.userId))).toEqual({ suspended: false });
  expect(await admin.ok('PUT', at('suspend', alice.userId), { suspended: true })).toEqual({ suspended: true });
  expect(await admin.ok('GET', at('suspend', alice.userId))).toEqual({ suspended: true });

  const refused = [
    await send(alice, 'more'),
    await alice.call('POST', '/createRoom', {}),
    await alice.call('POST', `/rooms/${roomId}/invite`, { user_id: admin.userId }),
    await alice.call('PUT', `/profile/${alice.userId}/displayname`, { displayname: 'Al' }),
    await alice.call('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'no' }),
    await alice.call('PUT', `/rooms/${roomId}/redact/${encodeURIComponent(bobs)}/r1`, {}),
  ];
  expect(refused.map(errorOf)).toEqual(refused.map(() => '403 M_USER_SUSPENDED'));
  await alice.ok('GET', '/sync');
  await alice.ok('PUT', `/rooms/${roomId}/redact/${encodeURIComponent(mine)}/r2`, {});
  expect(errorOf(await send(bob, 'bob goes on'))).toBe('200');

  await admin.ok('PUT', at('suspend', alice.userId), { suspended: false });
  expect(errorOf(await send(alice, 'again'))).toBe('200');
});

test.each(['suspend', 'lock'] as const)('what somebody scheduled before %s comes is not sent', async (what) => {
  const dora = await app.register(`dora-${what}`);
  await dora.ok('POST', `/join/${roomId}`);
  const late = `/rooms/${roomId}/send/m.room.message/late?org.matrix.msc4140.delay=60000`;
  const scheduled: Record<string, unknown>[] = [];
  for (const number of [1, 2])
    scheduled.push(await dora.ok('PUT', late.replace('late', `late${number}`), { body: 'late' }));
  const act = (index: number) =>
    dora.call(
      'POST',
      `/_matrix/client/unstable/org.matrix.msc4140/delayed_events/${String(scheduled[index]?.delay_id)}/send`,
      {},
    );
  const bodies = async () =>
    (
      (await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=50`)).chunk as unknown as {
        sender: string;
        content: { body?: string };
      }[]
    )
      .filter(({ sender }) => sender === dora.userId)
      .map(({ content }) => content.body);
  await admin.ok('PUT', at(what, dora.userId), { suspended: true, locked: true });
  expect(errorOf(await act(0))).toBe('403 M_USER_SUSPENDED');
  expect(await bodies()).toEqual([undefined]);
  await admin.ok('PUT', at(what, dora.userId), { suspended: false, locked: false });
  expect(errorOf(await act(1))).toBe('200');
  expect(await bodies()).toEqual(['late', undefined]);
});

test('who is locked can only log out, and keeps the session for when it is over', async () => {
  await admin.ok('PUT', at('lock', bob.userId), { locked: true });
  expect(await admin.ok('GET', at('lock', bob.userId))).toEqual({ locked: true });
  for (const answer of [await bob.call('GET', '/sync'), await bob.call('GET', '/account/whoami')]) {
    expect(answer.status).toBe(401);
    expect(answer.body).toMatchObject({ errcode: 'M_USER_LOCKED', soft_logout: true });
  }
  const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' } };
  expect(errorOf(await alice.call('POST', '/login', { ...login, password: 'wrong password' }))).toBe('403 M_FORBIDDEN');
  expect(errorOf(await alice.call('POST', '/login', { ...login, password: 'correct horse battery staple' }))).toBe(
    '401 M_USER_LOCKED',
  );
  await admin.ok('PUT', at('lock', bob.userId), { locked: false });
  await bob.ok('GET', '/sync');
  await admin.ok('PUT', at('lock', bob.userId), { locked: true });
  await bob.ok('POST', '/logout');
  await admin.ok('PUT', at('lock', bob.userId), { locked: false });
  expect(errorOf(await bob.call('GET', '/sync'))).toBe('401 M_UNKNOWN_TOKEN');
});

test('a poll that waits learns that its account was locked', async () => {
  const carol = await app.register('carol');
  const { next_batch: since } = await carol.ok('GET', '/sync');
  const waiting = carol.call('GET', `/sync?since=${String(since)}&timeout=60000`);
  await admin.ok('PUT', at('lock', carol.userId), { locked: true });
  expect(errorOf(await waiting)).toBe('401 M_USER_LOCKED');
});

test('it is for administrators, about users of this server who are no administrators', async () => {
  const other = await app.register('other-admin');
  await app.context.accounts.setAdmin(other.userId, true);
  const gone = await app.register('gone');
  await app.context.accounts.deactivate(gone.userId, { isErased: false });
  for (const what of ['suspend', 'lock'] as const) {
    const body = { suspended: true, locked: true };
    const put = async (who: TestClient, userId: string) => errorOf(await who.call('PUT', at(what, userId), body));
    expect(await put(alice, '@nobody:localhost')).toBe('403 M_FORBIDDEN');
    expect(await put(admin, '@nobody:localhost')).toBe('404 M_NOT_FOUND');
    expect(await put(admin, gone.userId)).toBe('404 M_NOT_FOUND');
    expect(await put(admin, '@alice:elsewhere.example')).toBe('400 M_INVALID_PARAM');
    expect(await put(admin, 'alice')).toBe('400 M_INVALID_PARAM');
    expect(await put(admin, other.userId)).toBe('403 M_FORBIDDEN');
    expect(await put(admin, admin.userId)).toBe('403 M_FORBIDDEN');
    expect(errorOf(await alice.call('GET', at(what, alice.userId)))).toBe('403 M_FORBIDDEN');
  }
  const { capabilities } = await admin.ok('GET', '/capabilities');
  expect(capabilities).toMatchObject({ 'm.account_moderation': { suspend: true, lock: true } });
  expect((await alice.ok('GET', '/capabilities')).capabilities).not.toHaveProperty(['m.account_moderation']);
});

test('whois says from where somebody was last seen, to them and to administrators', async () => {
  const seen = { ip: '127.0.0.1', last_seen: expect.any(Number), user_agent: expect.any(String) };
  const expected = {
    user_id: alice.userId,
    devices: { [alice.deviceId]: { sessions: [{ connections: [seen] }] } },
  };
  const path = `/admin/whois/${alice.userId}`;
  expect(await alice.ok('GET', path)).toEqual(expected);
  expect(await admin.ok('GET', path)).toEqual(expected);
  const dave = await app.register('dave');
  expect(errorOf(await dave.call('GET', path))).toBe('403 M_FORBIDDEN');
  expect(errorOf(await admin.call('GET', '/admin/whois/@nobody:localhost'))).toBe('404 M_NOT_FOUND');
});

test('administrators can let a user send as much as they like, or little', async () => {
  const erin = await app.register('erin');
  const path = `/_synapse/admin/v1/users/${erin.userId}/override_ratelimit`;
  const limiter = new RateLimiter({ now: () => 0 });
  const sends = () => {
    const { userId, allowance, isUnlimited } = app.context.accounts.authenticate(erin.accessToken, {
      ip: '127.0.0.1',
      userAgent: undefined,
      endpoint: sendEvent,
    });
    if (isUnlimited === true) return Number.POSITIVE_INFINITY;
    let count = 0;
    while (count < 1_000 && limiter.take('write', `${userId}${JSON.stringify(allowance)}`, '', allowance) === 0)
      count += 1;
    return count;
  };
  expect(await admin.ok('GET', path)).toEqual({});
  expect(sends()).toBe(RATE_LIMITS.write.perUser.burst);
  await admin.ok('POST', path, { messages_per_second: 1, burst_count: 3 });
  expect(await admin.ok('GET', path)).toEqual({ messages_per_second: 1, burst_count: 3 });
  expect(sends()).toBe(3);
  await admin.ok('POST', path, {});
  expect(sends()).toBe(Number.POSITIVE_INFINITY);
  await admin.ok('DELETE', path);
  expect(await admin.ok('GET', path)).toEqual({});
  expect(errorOf(await erin.call('POST', path, {}))).toBe('403 M_FORBIDDEN');
  expect(errorOf(await admin.call('POST', path, { messages_per_second: -1 }))).toBe('400 M_BAD_JSON');
});

test('administrators can take an upload away', async () => {
  const uploaded = await app.http.inject({
    method: 'POST',
    url: '/_matrix/media/v3/upload',
    headers: { authorization: `Bearer ${admin.accessToken}` },
    payload: 'bad',
  });
  const id = String(uploaded.json().content_uri).slice('mxc://'.length);
  const path = `/_synapse/admin/v1/media/${id}`;
  expect(errorOf(await alice.call('DELETE', path))).toBe('403 M_FORBIDDEN');
  expect(await admin.ok('DELETE', path)).toEqual({ deleted_media: [id.split('/')[1]], total: 1 });
  expect(errorOf(await admin.call('GET', `/_matrix/client/v1/media/download/${id}`))).toBe('404 M_NOT_FOUND');
  expect(errorOf(await admin.call('DELETE', path))).toBe('404 M_NOT_FOUND');
});
