/** Tokens that act as another user: what administrators do and see with them is on record as theirs. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuditQuery, auditPage, type FoundEntry } from '#projections/audit/queries.ts';
import { WINDOW_MS } from '#src/audit/lent-uses.ts';
import { startApplication, type TestApplication, TestClient } from '#test/support/application.ts';
import { createRoom, sayIn, sync } from '../client-api/sync-client.ts';

let app: TestApplication;
let admin: TestClient;
let bob: TestClient;
let lent: TestClient;
let pub: string;
let den: string;

beforeAll(async () => {
  app = await startApplication();
  [admin, bob] = [await app.register('admin'), await app.register('bob')];
  await app.context.accounts.setAdmin(admin.userId, true);
  [pub, den] = [await createRoom(bob), await createRoom(bob)];
  await sayIn(bob, pub, 'hello');
  await sayIn(bob, den, 'hello');
  const body = { reason: 'bob is missing', case_id: 'C-7' };
  const made = await admin.ok('POST', `/_synapse/admin/v1/users/${bob.userId}/login`, body);
  lent = new TestClient(app.http, bob.userId, '', String(made['access_token']));
});
afterAll(() => app.close());

const entries = (query: AuditQuery): readonly FoundEntry[] =>
  auditPage(app.engine.reader, query, { limit: 500 }).entries;
const reads = (room: string) => entries({ action: 'content.read', room });

it('each room that is shown is on record, once in a while and not with each sync', async () => {
  const first = await sync(lent);
  expect(Object.keys(first.rooms?.join ?? {})).toHaveLength(2);
  for (const room of [pub, den]) {
    expect(reads(room)).toMatchObject([
      {
        actor: { kind: 'user', userId: admin.userId, actingAs: bob.userId },
        target: { kind: 'user', id: bob.userId },
        reason: 'bob is missing',
        caseId: 'C-7',
        after: { operation: 'GET /_matrix/client/v3/sync' },
      },
    ]);
  }
  await sayIn(bob, pub, 'more');
  const second = await sync(lent, { since: first.next_batch });
  expect(Object.keys(second.rooms?.join ?? {})).toEqual([pub]);
  await lent.ok('GET', `/rooms/${pub}/messages?dir=b`);
  expect(reads(pub)).toHaveLength(1);
  app.advance(WINDOW_MS);
  await sayIn(bob, pub, 'later');
  await sync(lent, { since: second.next_batch });
  expect([reads(pub).length, reads(den).length]).toEqual([2, 1]);
  await lent.ok('GET', `/rooms/${den}/messages?dir=b`);
  expect(reads(den)).toHaveLength(2);
});

it('the other ways to a room count as well: search, notifications, sliding sync', async () => {
  const ways: [string, () => Promise<unknown>][] = [
    ['search', () => lent.ok('POST', '/search', { search_categories: { room_events: { search_term: 'hello' } } })],
    [
      'sliding sync',
      () =>
        lent.ok('POST', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', {
          lists: { all: { ranges: [[0, 9]], timeline_limit: 1, required_state: [] } },
        }),
    ],
    ['one event', async () => lent.ok('GET', `/rooms/${den}/event/${await sayIn(bob, den, 'one')}`)],
    ['members', () => lent.ok('GET', `/rooms/${den}/members`)],
    ['initial sync', () => lent.ok('GET', '/initialSync?limit=1')],
  ];
  for (const [way, take] of ways) {
    app.advance(WINDOW_MS);
    const before = reads(den).length;
    await take();
    expect([way, reads(den).length]).toEqual([way, before + 1]);
  }
});

it('what is done is on record each time, before it is done; what only asks once in a while', async () => {
  app.advance(WINDOW_MS);
  const done = () => entries({ actor: admin.userId, action: 'user.act_as' });
  const before = done().length;
  await sayIn(lent, den, 'it was not bob');
  await sayIn(lent, den, 'nor was this');
  await lent.ok('GET', '/devices');
  await lent.ok('GET', '/devices');
  expect(done().slice(before)).toMatchObject([
    { roomId: den, after: { operation: 'PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}' } },
    { roomId: den, caseId: 'C-7', reason: 'bob is missing', actor: { actingAs: bob.userId } },
    { target: { kind: 'user', id: bob.userId }, after: { operation: 'GET /_matrix/client/v3/devices' } },
  ]);
});

it('a file is on record by its address', async () => {
  const uploaded = await app.http.inject({
    method: 'POST',
    url: '/_matrix/media/v3/upload',
    headers: { authorization: `Bearer ${bob.accessToken}`, 'content-type': 'text/plain' },
    payload: 'a file',
  });
  const uri = String(uploaded.json().content_uri);
  expect((await lent.call('GET', `/_matrix/client/v1/media/download/${uri.slice('mxc://'.length)}`)).status).toBe(200);
  expect(entries({ action: 'media.read', target: uri })).toMatchObject([{ actor: { userId: admin.userId } }]);
});

it('the user themselves leaves no such entries', async () => {
  app.advance(WINDOW_MS);
  const before = entries({}).length;
  await sync(bob);
  await bob.ok('GET', `/rooms/${den}/messages?dir=b`);
  expect(entries({})).toHaveLength(before);
});
