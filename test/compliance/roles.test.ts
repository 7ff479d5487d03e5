/** Who may do what: roles, what limits them, scoped tokens, and what two people open for a while. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type AuditQuery, auditPage, type FoundEntry } from '#projections/audit/queries.ts';
import type { Context } from '#src/context.ts';
import { createHttpApp } from '#src/http/app.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { silentLog } from '#src/log/logger.ts';
import { CAPABILITIES, type Capability, ROLES, type Role, roleHas } from '#src/roles/capabilities.ts';
import { RoleGuard } from '#src/roles/guard.ts';
import {
  request,
  startApplication,
  type TestAnswer,
  type TestApplication,
  TestClient,
} from '#test/support/application.ts';
import { createRoom } from '../client-api/sync-client.ts';

let app: TestApplication;
let admin: TestClient;
let other: TestClient;
let officer: TestClient;
let mod: TestClient;
let room: string;
let elsewhere: string;

const ROLES_AT = '/_stele/admin/roles';
const TOKENS_AT = '/_stele/admin/tokens';
const HOUR_MS = 3_600_000;

beforeAll(async () => {
  app = await startApplication();
  [admin, other, officer, mod] = [
    await app.register('admin'),
    await app.register('other'),
    await app.register('officer'),
    await app.register('mod'),
  ];
  await app.context.accounts.setAdmin(admin.userId, true);
  [room, elsewhere] = [await createRoom(officer), await createRoom(officer)];
});
afterAll(() => app.close());

const entries = (query: AuditQuery): readonly FoundEntry[] =>
  auditPage(app.engine.reader, query, { limit: 500 }).entries;
const grant = async (user: TestClient, role: string, more: object = {}): Promise<string> => {
  const body = { user_id: user.userId, role, reason: 'test', ...more };
  return String((await admin.ok('POST', ROLES_AT, body))['grant_id']);
};
const revoke = (grantId: string) => admin.ok('DELETE', `${ROLES_AT}/${grantId}`);
const bearer = (token: string) => new TestClient(app.http, 'x', 'x', token);

/** Endpoints as others will declare them: content of a room, a list, a case. */
const readRoom = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}/messages',
  auth: 'admin',
  may: 'content.read',
  rateLimit: 'none',
  audit: { action: 'content.read' },
  handler: ({ requester }) => ({ ...standingOf(requester) }),
});
const readCase = endpoint({
  method: 'GET',
  path: '/_synapse/admin/cases/{caseId}',
  auth: 'admin',
  may: 'evidence.read',
  rateLimit: 'none',
  audit: { action: 'evidence.read', describe: ({ params }) => ({ caseId: params.caseId }) },
  handler: ({ requester }) => ({ ...standingOf(requester) }),
});
const writeUser = endpoint({
  method: 'PUT',
  path: '/_synapse/admin/users/{userId}',
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({}),
  audit: { action: 'user.modify' },
  handler: ({ requester }) => ({ ...standingOf(requester) }),
});

async function ask(
  client: TestClient,
  url: string,
  headers: Record<string, string> = {},
  { asksForReasons = true, method = 'GET' as 'GET' | 'PUT' } = {},
): Promise<TestAnswer> {
  const { context, engine } = app;
  const { roles, audit, repeats } = context;
  const http = createHttpApp<Context>({
    endpoints: [readRoom, readCase, writeUser],
    context,
    authenticate: context.accounts.authenticate,
    guard: new RoleGuard({ roles, audit, repeats, reader: engine.reader, asksForReasons, logger: silentLog() }),
    log: silentLog(),
    closing: new AbortController().signal,
  });
  const raw = await http.inject({
    method,
    url,
    headers: { authorization: `Bearer ${client.accessToken}`, ...headers },
    ...(method === 'PUT' && { payload: {} }),
  });
  await http.close();
  return { status: raw.statusCode, body: raw.json(), raw };
}
const messages = (of = room) => `/_synapse/admin/v1/rooms/${of}/messages`;
const WHY = { 'x-stele-reason': 'complaint', 'x-stele-case': 'C-1' };

describe('the table of roles', () => {
  it.each(Object.keys(ROLES) as Role[])('%s has capabilities that there are', (role) => {
    for (const capability of ROLES[role].capabilities) expect(CAPABILITIES).toHaveProperty([capability]);
  });

  it('an auditor sees nothing that people wrote, and changes nothing', () => {
    const content: Capability[] = ['content.read', 'evidence.read', 'search.all', 'exports.write', 'users.impersonate'];
    for (const capability of content) expect(roleHas('auditor', capability)).toBe(false);
    const changes = ROLES.auditor.capabilities.filter((capability) => capability.endsWith('.write'));
    expect(changes).toEqual(['tokens.write']);
  });

  it('holds, exports and erasures are for others than server administrators', () => {
    for (const capability of ['holds.write', 'exports.write', 'search.all', 'erasures.write'] as const) {
      expect(roleHas('admin', capability)).toBe(false);
    }
    expect(roleHas('compliance_officer', 'holds.write')).toBe(true);
    expect(roleHas('data_protection_officer', 'erasures.write')).toBe(true);
  });
});

describe('a role', () => {
  it('lets a user do what it covers, and nothing else, until it is taken back', async () => {
    expect((await other.call('GET', '/_stele/admin/audit')).status).toBe(403);
    const grantId = await grant(other, 'auditor');
    expect((await other.ok('GET', '/_stele/admin/audit?action=role.grant'))['entries']).toMatchObject([
      {
        action: 'role.grant',
        actor: { user_id: admin.userId, role: 'admin' },
        target: { id: other.userId },
        reason: 'test',
        after: { role: 'auditor' },
      },
    ]);
    expect((await other.call('PUT', `/_matrix/client/v1/admin/lock/${mod.userId}`, { locked: true })).status).toBe(403);
    expect((await ask(other, messages(), WHY)).status).toBe(403);
    expect((await other.call('POST', ROLES_AT, { user_id: mod.userId, role: 'auditor', reason: 'x' })).status).toBe(
      403,
    );
    await revoke(grantId);
    expect((await other.call('GET', '/_stele/admin/audit')).status).toBe(403);
    expect(entries({ action: 'role.revoke' })).toMatchObject([{ before: { grant_id: grantId, role: 'auditor' } }]);
  });

  it('ends by itself', async () => {
    await grant(other, 'auditor', { expires_in_ms: HOUR_MS });
    expect((await other.call('GET', '/_stele/admin/audit')).status).toBe(200);
    app.advance(HOUR_MS);
    expect((await other.call('GET', '/_stele/admin/audit')).status).toBe(403);
    const listed: { in_force: boolean }[] = (await admin.ok('GET', ROLES_AT))['grants'] ?? [];
    expect(listed.map(({ in_force: isInForce }) => isInForce)).toEqual([false]);
  });

  it.each([
    [{ role: 'king' }, 400, 'M_INVALID_PARAM'],
    [{ role: 'break_glass' }, 400, 'M_INVALID_PARAM'],
    [{ role: 'moderator' }, 400, 'M_MISSING_PARAM'],
    [{ role: 'moderator', rooms: ['nonsense'] }, 400, 'M_INVALID_PARAM'],
    [{ role: 'reviewer' }, 400, 'M_MISSING_PARAM'],
    [{ role: 'auditor', rooms: ['!a:b'] }, 400, 'M_INVALID_PARAM'],
    [{ role: 'auditor', reason: ' ' }, 400, 'M_MISSING_PARAM'],
    [{ role: 'auditor', user_id: '@nobody:localhost' }, 404, 'M_NOT_FOUND'],
    [{ role: 'auditor', user_id: `@${'x'.repeat(5000)}:localhost` }, 400, 'M_BAD_JSON'],
  ])('%j is not given', async (wish, status, errcode) => {
    const answer = await admin.call('POST', ROLES_AT, { user_id: other.userId, reason: 'test', ...wish });
    expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
  });

  it('is not given to oneself', async () => {
    const answer = await admin.call('POST', ROLES_AT, {
      user_id: admin.userId,
      role: 'compliance_officer',
      reason: 'x',
    });
    expect(answer.status).toBe(403);
    expect(entries({ action: 'role.grant', target: admin.userId })).toMatchObject([{}, { outcome: 'failed' }]);
  });
});

describe('reading what people wrote', () => {
  it('needs a reason and a case of who is not in the room, and says what to send', async () => {
    const refused = await ask(admin, messages());
    expect([refused.status, refused.body['error']]).toEqual([403, expect.stringContaining('X-Stele-Reason')]);
    expect((await ask(admin, messages(), { 'x-stele-reason': 'complaint' })).status).toBe(403);
    const allowed = await ask(admin, messages(), WHY);
    expect(allowed.body).toMatchObject({ role: 'admin', reason: 'complaint', caseId: 'C-1' });
    expect(entries({ room, action: 'content.read' })).toMatchObject([
      { actor: { userId: admin.userId }, reason: 'complaint', caseId: 'C-1', target: { kind: 'room', id: room } },
    ]);
  });

  it('needs none where the configuration says so, and is on record all the same', async () => {
    const before = entries({ room, action: 'content.read' }).length;
    expect((await ask(admin, messages(), {}, { asksForReasons: false })).status).toBe(200);
    expect(entries({ room, action: 'content.read' })).toHaveLength(before + 1);
  });
});

describe('a moderator', () => {
  it('is held to the rooms of the role', async () => {
    const grantId = await grant(mod, 'moderator', { rooms: [room] });
    expect((await ask(mod, messages(room), WHY)).status).toBe(200);
    expect((await ask(mod, messages(elsewhere), WHY)).status).toBe(403);
    expect((await ask(mod, '/_synapse/admin/cases/C-1', WHY)).status).toBe(403);
    expect((await ask(mod, `/_synapse/admin/users/${other.userId}`, {}, { method: 'PUT' })).status).toBe(403);
    await revoke(grantId);
  });
});

describe('a reviewer', () => {
  it('is held to the case, and to its rooms', async () => {
    const grantId = await grant(mod, 'reviewer', { case_id: 'C-7', rooms: [room] });
    const why = { 'x-stele-reason': 'review' };
    expect((await ask(mod, '/_synapse/admin/cases/C-7', why)).body).toMatchObject({ role: 'reviewer', caseId: 'C-7' });
    expect((await ask(mod, '/_synapse/admin/cases/C-8', why)).status).toBe(403);
    expect((await ask(mod, messages(room), why)).body).toMatchObject({ caseId: 'C-7', reason: 'review' });
    expect((await ask(mod, messages(room), { ...why, 'x-stele-case': 'C-8' })).status).toBe(403);
    expect((await ask(mod, messages(elsewhere), why)).status).toBe(403);
    await revoke(grantId);
  });
});

describe('a scoped token', () => {
  const make = async (client: TestClient, wish: object) =>
    client.call('POST', TOKENS_AT, { reason: 'nightly check', expires_in_ms: HOUR_MS, ...wish });

  it('acts in its role, for its reason and under its case, and for nothing else', async () => {
    const made = await make(admin, { role: 'admin', case_id: 'C-9' });
    const token = String(made.body['token']);
    const tool = bearer(token);
    const read = await ask(tool, messages());
    expect(read.body).toMatchObject({ role: 'admin', reason: 'nightly check', caseId: 'C-9' });
    expect(entries({ caseId: 'C-9', action: 'content.read' })).toMatchObject([
      {
        actor: { userId: admin.userId, tokenId: made.body['token_id'], grantId: made.body['token_id'], role: 'admin' },
      },
    ]);
    expect((await ask(tool, messages(), { 'x-stele-case': 'C-10' })).status).toBe(403);
    expect(await tool.ok('GET', '/account/whoami')).toMatchObject({ user_id: admin.userId });
    for (const [method, at] of [
      ['GET', '/sync'],
      ['GET', '/devices'],
      ['POST', '/createRoom'],
    ] as const) {
      expect([at, (await tool.call(method, at, method === 'POST' ? {} : undefined)).status]).toEqual([at, 403]);
    }
    expect((await make(tool, { role: 'admin' })).status).toBe(403);
    expect(JSON.stringify(entries({}))).not.toContain(token);
  });

  it('is over at its end, when it is taken back, and when the role of its owner is', async () => {
    const whoami = async (token: unknown) => (await bearer(String(token)).call('GET', '/account/whoami')).status;
    const short = (await make(admin, { role: 'admin', expires_in_ms: 1_000 })).body['token'];
    expect(await whoami(short)).toBe(200);
    app.advance(1_000);
    expect(await whoami(short)).toBe(401);

    const grantId = await grant(mod, 'moderator', { rooms: [room, elsewhere] });
    const first = await make(mod, { role: 'moderator', rooms: [room] });
    expect((await ask(bearer(String(first.body['token'])), messages(elsewhere), WHY)).status).toBe(403);
    const second = await make(mod, { role: 'moderator' });
    expect((await mod.ok('GET', TOKENS_AT))['tokens']).toHaveLength(2);
    await mod.ok('DELETE', `${TOKENS_AT}/${first.body['token_id']}`);
    expect([await whoami(first.body['token']), await whoami(second.body['token'])]).toEqual([401, 200]);
    await revoke(grantId);
    expect(await whoami(second.body['token'])).toBe(401);
    expect(await whoami(`stele_st_${'x'.repeat(10_000)}`)).toBe(401);
  });

  it.each([
    [{ role: 'compliance_officer' }, 403],
    [{ role: 'king' }, 403],
    [{ role: 'admin', expires_in_ms: 365 * 24 * HOUR_MS }, 400],
    [{ role: 'admin', expires_in_ms: 0 }, 400],
    [{ role: 'admin', reason: '' }, 400],
  ])('is not made for %j', async (wish, status) => {
    expect((await make(admin, wish)).status).toBe(status);
  });

  it('of somebody else is not taken back by who may not give roles', async () => {
    const made = await make(admin, { role: 'admin' });
    const grantId = await grant(other, 'auditor');
    expect((await other.call('DELETE', `${TOKENS_AT}/${made.body['token_id']}`)).status).toBe(403);
    await revoke(grantId);
    await app.context.accounts.moderation.setLocked(other.userId, false);
  });
});

describe('breaking the glass', () => {
  const AT = '/_stele/admin/break_glass';

  it('takes two people, and is over at its end', async () => {
    const officerGrant = await grant(officer, 'compliance_officer');
    const dpoGrant = await grant(other, 'data_protection_officer');
    const asked = { reason: 'threat to life', case_id: 'E-1', duration_ms: HOUR_MS };
    const { grant_id: id } = await officer.ok('POST', AT, asked);
    expect((await officer.call('POST', `${AT}/${id}/approve`, {})).status).toBe(403);
    const onTheCommandLine = app.context.roles.approveBreakGlass(String(id), 'operator:officer as root');
    await expect(onTheCommandLine).rejects.toThrow('Somebody else');
    expect((await ask(officer, `/_synapse/admin/users/${mod.userId}`, {}, { method: 'PUT' })).status).toBe(403);
    await other.ok('POST', `${AT}/${id}/approve`, {});
    expect((await other.call('POST', `${AT}/${id}/approve`, {})).status).toBe(404);
    const done = await ask(officer, `/_synapse/admin/users/${mod.userId}`, {}, { method: 'PUT' });
    expect(done.body).toMatchObject({ role: 'break_glass', reason: 'threat to life', caseId: 'E-1' });
    expect(entries({ action: 'user.modify' }).at(-1)).toMatchObject({ actor: { grantId: id }, caseId: 'E-1' });
    expect((await officer.call('POST', ROLES_AT, { user_id: mod.userId, role: 'admin', reason: 'x' })).status).toBe(
      403,
    );
    app.advance(HOUR_MS);
    expect((await ask(officer, `/_synapse/admin/users/${mod.userId}`, {}, { method: 'PUT' })).status).toBe(403);
    await revoke(officerGrant);
    await revoke(dpoGrant);
  });

  it('waits for a second person for a day at most, and opens nothing for longer than that', async () => {
    const { grant_id: id } = await admin.ok('POST', AT, { reason: 'x', case_id: 'E-2', duration_ms: HOUR_MS });
    app.advance(24 * HOUR_MS);
    await expect(app.context.roles.approveBreakGlass(String(id), 'operator:root')).rejects.toThrow('No such request');
    const long = await admin.call('POST', AT, { reason: 'x', case_id: 'E-3', duration_ms: 25 * HOUR_MS });
    expect(long.status).toBe(400);
  });
});

it('requests without a token, or with one that is none, get no further', async () => {
  expect((await request(app.http, 'GET', ROLES_AT)).status).toBe(401);
  expect((await request(app.http, 'GET', ROLES_AT, undefined, 'stele_st_guess')).status).toBe(401);
});
