/** Who can do which work of compliance over HTTP: every role against every endpoint, as a table. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPage, type FoundEntry } from '#projections/audit/queries.ts';
import type { Role } from '#src/roles/capabilities.ts';
import { startApplication, type TestApplication, TestClient } from '#test/support/application.ts';
import { createRoom, sayIn } from '../client-api/sync-client.ts';

type Method = 'GET' | 'POST' | 'DELETE';
type GrantedRole = Exclude<Role, 'break_glass'>;

const CASE = 'C-17';
const DAY_MS = 24 * 3_600_000;
/** Refusals of the same request are counted in one entry until then. */
const WINDOW_MS = 61_000;
const EVERY_ROLE: readonly GrantedRole[] = [
  'admin',
  'moderator',
  'compliance_officer',
  'reviewer',
  'auditor',
  'data_protection_officer',
];

/** What may not be answered with 403, and by whom; ids in paths are those of nothing unless the name says otherwise. */
const TABLE: readonly (readonly [Method, string, object | undefined, readonly GrantedRole[]])[] = [
  [
    'GET',
    '/_stele/admin/holds',
    undefined,
    ['admin', 'compliance_officer', 'reviewer', 'auditor', 'data_protection_officer'],
  ],
  [
    'POST',
    '/_stele/admin/holds',
    { scope: { user_id: '@x:localhost' }, case_id: CASE, reason: 'r' },
    ['compliance_officer'],
  ],
  ['POST', '/_stele/admin/holds/none/release', { reason: 'r' }, ['compliance_officer']],
  ['GET', '/_stele/admin/erasures', undefined, ['admin', 'compliance_officer', 'auditor', 'data_protection_officer']],
  ['POST', '/_stele/admin/erasures', { user_id: '@nobody:localhost', reason: 'r' }, ['data_protection_officer']],
  [
    'GET',
    '/_stele/admin/erasures/none',
    undefined,
    ['admin', 'compliance_officer', 'auditor', 'data_protection_officer'],
  ],
  [
    'GET',
    '/_stele/admin/retention/policy',
    undefined,
    ['admin', 'compliance_officer', 'auditor', 'data_protection_officer'],
  ],
  ['POST', '/_stele/admin/retention/plan', {}, ['admin', 'compliance_officer', 'auditor', 'data_protection_officer']],
  ['POST', '/_stele/admin/retention/run', {}, ['admin']],
  [
    'GET',
    '/_stele/admin/retention/tasks/none',
    undefined,
    ['admin', 'compliance_officer', 'auditor', 'data_protection_officer'],
  ],
  ['GET', '/_stele/admin/exports', undefined, ['admin', 'compliance_officer', 'reviewer']],
  ['POST', '/_stele/admin/exports', { case_id: CASE, reason: 'r', everything: true }, ['compliance_officer']],
  ['GET', '/_stele/admin/exports/none', undefined, ['admin', 'compliance_officer', 'reviewer']],
  ['GET', '/_stele/admin/exports/none/archive', undefined, ['admin', 'compliance_officer', 'reviewer']],
  ['DELETE', '/_stele/admin/exports/none', undefined, ['compliance_officer']],
  ['POST', '/_stele/admin/search', { search_term: 'secret' }, ['compliance_officer']],
  ['GET', '/_stele/admin/audit', undefined, ['admin', 'auditor', 'data_protection_officer']],
  ['GET', '/_stele/admin/evidence', undefined, ['admin', 'moderator', 'compliance_officer', 'reviewer']],
  ['GET', '/_stele/admin/evidence/REPORTED', undefined, ['admin', 'moderator', 'compliance_officer', 'reviewer']],
  ['GET', '/_stele/admin/evidence/ELSEWHERE', undefined, ['admin', 'compliance_officer']],
  ['GET', '/_stele/admin/reports', undefined, ['admin', 'moderator', 'compliance_officer']],
  ['GET', '/_synapse/admin/v1/rooms/ROOM/messages', undefined, ['admin', 'moderator', 'compliance_officer']],
  ['GET', '/_synapse/admin/v1/rooms/OTHER_ROOM/messages', undefined, ['admin', 'compliance_officer']],
  ['GET', '/_synapse/admin/v1/rooms/OTHER_ROOM/members', undefined, ['admin', 'compliance_officer']],
  [
    'GET',
    '/_synapse/admin/v2/users/@alice:localhost',
    undefined,
    ['admin', 'compliance_officer', 'data_protection_officer'],
  ],
  ['POST', '/_synapse/admin/v1/users/@alice:localhost/login', {}, ['admin']],
  ['GET', '/_stele/admin/roles', undefined, ['admin', 'auditor']],
];

let app: TestApplication;
let admin: TestClient;
const tokens = new Map<GrantedRole, { readonly token: string; readonly userId: string }>();
const names = new Map<string, string>();
/** Words of paths that stand for ids. */
const NAMES = /[A-Z_]{4,}/g;
const nameOf = (word: string): string => names.get(word) ?? word;

beforeAll(async () => {
  app = await startApplication();
  admin = await app.register('boss');
  await app.context.accounts.setAdmin(admin.userId, true);
  const [alice, bob] = [await app.register('alice'), await app.register('bob')];
  const [room, other] = [
    await createRoom(alice, { preset: 'public_chat' }),
    await createRoom(bob, { preset: 'public_chat' }),
  ];
  for (const [client, at, name] of [
    [alice, room, 'REPORTED'],
    [bob, other, 'ELSEWHERE'],
  ] as const) {
    const eventId = await sayIn(client, at, 'a secret');
    await client.ok('POST', `/rooms/${at}/report/${eventId}`, { reason: 'rude' });
    const { evidence } = await admin.ok('GET', `/_stele/admin/evidence?about=${eventId}`);
    names.set(name, String((evidence as unknown as { id: number }[])[0]?.id));
  }
  names.set('OTHER_ROOM', other).set('ROOM', room);
  // What Alice wrote is of the case: the reviewer is shown evidence with it, and no other.
  await app.context.compliance.holds.add({
    scope: { userId: alice.userId },
    caseId: CASE,
    reason: 'r',
    by: 'operator:x',
  });
  for (const role of EVERY_ROLE) {
    const user = await app.register(role);
    const limits = role === 'moderator' ? { rooms: [room] } : role === 'reviewer' ? { case_id: CASE } : {};
    await admin.ok('POST', '/_stele/admin/roles', { user_id: user.userId, role, reason: 'test', ...limits });
    const made = await user.ok('POST', '/_stele/admin/tokens', { role, reason: 'test', expires_in_ms: 30 * DAY_MS });
    tokens.set(role, { token: String(made['token']), userId: user.userId });
  }
});
afterAll(() => app.close());

const refusals = (actor: string): readonly FoundEntry[] =>
  auditPage(app.engine.reader, { actor, action: 'access.refuse' }, { limit: 500 }).entries;

async function ask(role: GrantedRole, method: Method, at: string, body?: object, headers: Record<string, string> = {}) {
  const url = at.replaceAll(NAMES, nameOf);
  const answer = await app.http.inject({
    method,
    url,
    headers: { authorization: `Bearer ${tokens.get(role)?.token}`, ...headers },
    ...(body !== undefined && { payload: body }),
  });
  return { status: answer.statusCode, body: answer.json() as Record<string, unknown> };
}
const WHY = { 'x-stele-reason': 'inquiry', 'x-stele-case': CASE };

describe.each(TABLE)('%s %s', (method, at, body, allowed) => {
  it.each(EVERY_ROLE)('%s', async (role) => {
    const userId = tokens.get(role)?.userId ?? '';
    app.advance(WINDOW_MS);
    const before = refusals(userId).length;
    const answer = await ask(role, method, at, body, WHY);
    expect([answer.status === 403, answer.body['error']]).toEqual([
      !allowed.includes(role),
      allowed.includes(role) ? answer.body['error'] : expect.any(String),
    ]);
    expect(answer.status).not.toBe(500);
    const after = refusals(userId);
    expect(after.length - before).toBe(allowed.includes(role) ? 0 : 1);
    if (allowed.includes(role)) return;
    const operation = `${method} ${at.split('?')[0]?.replaceAll(NAMES, nameOf)}`;
    const { operation: pattern } = (after.at(-1)?.after ?? {}) as { readonly operation?: string };
    expect(operation).toMatch(new RegExp(`^${pattern?.replaceAll(/\{\w+\}/g, '[^/]+')}$`));
    expect(after.at(-1)).toMatchObject({ outcome: 'refused', actor: { userId, role } });
  });
});

it('content that is asked for without saying why is refused, and that is on record with what was asked for', async () => {
  const [room] = [names.get('OTHER_ROOM') ?? ''];
  const token = String(
    (await admin.ok('POST', '/_stele/admin/tokens', { role: 'admin', reason: 'x', expires_in_ms: 30 * DAY_MS }))[
      'token'
    ],
  );
  const answer = await new TestClient(app.http, admin.userId, '', token).call(
    'GET',
    `/_synapse/admin/v1/rooms/${room}/messages`,
  );
  expect(answer.status).toBe(403);
  expect(refusals(admin.userId).at(-1)).toMatchObject({
    roomId: room,
    target: { kind: 'room', id: room },
    reason: 'x',
    why: expect.stringContaining('a reason and a case: Reading what people wrote'),
    after: { operation: 'GET /_synapse/admin/v1/rooms/{roomId}/messages' },
  });
});

it('a reviewer is shown the holds and the evidence of their case, and nothing of others', async () => {
  const { holds } = app.context.compliance;
  await holds.add({ scope: { roomId: names.get('OTHER_ROOM') ?? '' }, caseId: 'C-99', reason: 'r', by: 'operator:x' });
  const listed = (await ask('reviewer', 'GET', '/_stele/admin/holds')).body['holds'] as { case_id: string }[];
  expect(new Set(listed.map(({ case_id }) => case_id))).toEqual(new Set([CASE]));
  expect((await ask('reviewer', 'GET', '/_stele/admin/holds?case_id=C-99')).status).toBe(403);
  const evidence = (await ask('reviewer', 'GET', '/_stele/admin/evidence')).body['evidence'] as { id: number }[];
  expect(evidence.map(({ id }) => String(id))).toEqual([names.get('REPORTED')]);
});
