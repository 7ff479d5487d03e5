/** What administrators do is on record before it is answered: who, what, on whom, from where, why, before and after. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditQuery, auditPage, type FoundEntry } from '#projections/audit/queries.ts';
import { AUDIT_STREAM } from '#projections/audit/records.ts';
import { endpoints } from '#src/endpoints.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom } from '../client-api/sync-client.ts';

let app: TestApplication;
let admin: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [admin, bob] = [await app.register('admin'), await app.register('bob')];
  await app.context.accounts.setAdmin(admin.userId, true);
});
afterAll(() => app.close());

const entries = (query: AuditQuery): readonly FoundEntry[] =>
  auditPage(app.engine.reader, query, { limit: 100 }).entries;

describe('an administrative request', () => {
  it('is on record with who, what, on whom, from where, before and after', async () => {
    await admin.ok('PUT', `/_matrix/client/v1/admin/suspend/${bob.userId}`, { suspended: true });
    await admin.ok('PUT', `/_matrix/client/v1/admin/suspend/${bob.userId}`, { suspended: false });
    expect(entries({ action: 'user.suspend' })).toMatchObject([
      {
        actor: { kind: 'user', userId: admin.userId, deviceId: admin.deviceId, role: 'admin' },
        outcome: 'allowed',
        target: { kind: 'user', id: bob.userId },
        ip: '127.0.0.1',
        before: { suspended: false },
        after: { suspended: true },
      },
      { before: { suspended: true }, after: { suspended: false } },
    ]);
  });

  it('says why and under which case where the request does', async () => {
    const answer = await app.http.inject({
      method: 'GET',
      url: `/_matrix/client/v1/admin/lock/${bob.userId}`,
      headers: {
        authorization: `Bearer ${admin.accessToken}`,
        'x-stele-reason': Buffer.from('Beschwerde über Werbung').toString('latin1'),
        'x-stele-case': 'C-17',
      },
    });
    expect(answer.statusCode).toBe(200);
    expect(entries({ caseId: 'C-17' })).toMatchObject([
      { action: 'user.read', reason: 'Beschwerde über Werbung', target: { id: bob.userId } },
    ]);
  });

  it('that fails is on record as that too', async () => {
    const answer = await admin.call('GET', '/_matrix/client/v1/admin/lock/@nobody:localhost');
    expect(answer.status).toBe(404);
    const [allowed, failed] = entries({ target: '@nobody:localhost' });
    expect(allowed).toMatchObject({ action: 'user.read', outcome: 'allowed' });
    expect(failed).toMatchObject({ outcome: 'failed', of: allowed?.id, why: expect.stringContaining('M_NOT_FOUND') });
  });

  it('is not acted on where it cannot be put on record', async () => {
    app.log.refuseWrites('the disk is full');
    const answer = await admin.call('GET', `/_matrix/client/v3/admin/whois/${bob.userId}`);
    app.log.refuseWrites(undefined);
    expect(answer.status).toBe(503);
    expect(answer.body).not.toHaveProperty('devices');
  });

  it('about oneself needs no record where everybody may make it', async () => {
    await bob.ok('GET', `/admin/whois/${bob.userId}`);
    expect(entries({ actor: bob.userId, action: 'user.read' })).toEqual([]);
  });

  it('of somebody without a role is refused, and repetitions are counted', async () => {
    for (let times = 0; times < 5; times += 1) {
      const { status, body } = await bob.call('GET', `/_matrix/client/v1/admin/lock/${admin.userId}`);
      expect([status, body.errcode]).toEqual([403, 'M_FORBIDDEN']);
    }
    const refused = { action: 'access.refuse', outcome: 'refused', actor: { userId: bob.userId } };
    expect(entries({ actor: bob.userId, action: 'access.*' })).toMatchObject([refused]);
    await app.context.repeats.flush(app.now() + 120_000);
    expect(entries({ actor: bob.userId, action: 'access.*' })).toMatchObject([refused, { ...refused, count: 4 }]);
  });
});

describe('a server administrator', () => {
  it('who does in a room what only its moderators may is on record; a moderator is not', async () => {
    const roomId = await createRoom(bob);
    await bob.ok('PUT', `/directory/list/room/${roomId}`, { visibility: 'public' });
    await bob.ok('PUT', `/directory/room/${encodeURIComponent('#one:localhost')}`, { room_id: roomId });
    expect(entries({ room: roomId })).toEqual([]);
    await admin.ok('PUT', `/directory/list/room/${roomId}`, { visibility: 'private' });
    await admin.ok('PUT', `/directory/room/${encodeURIComponent('#two:localhost')}`, { room_id: roomId });
    await admin.ok('DELETE', `/directory/room/${encodeURIComponent('#one:localhost')}`);
    expect(entries({ room: roomId })).toMatchObject([
      { action: 'room.publish', after: { visibility: 'private' }, actor: { userId: admin.userId, role: 'admin' } },
      { action: 'room.alias', after: { alias: '#two:localhost' } },
      { action: 'room.alias', before: { alias: '#one:localhost' } },
    ]);
  });
});

it('nobody has a way to change or remove entries', async () => {
  for (const method of ['PUT', 'POST', 'DELETE'] as const) {
    expect([method, (await admin.call(method, '/_stele/admin/audit', {})).status]).toEqual([method, 405]);
  }
  const audited = endpoints.filter(({ path }) => /audit/.test(path));
  expect(audited.map(({ method }) => method)).toEqual(['GET']);
});

it('nothing of an entry is in what cannot be erased', async () => {
  let count = 0;
  for await (const record of app.log.readStream(AUDIT_STREAM)) {
    count += 1;
    const { sections: _sealed, decoded: _decoded, ...header } = record;
    expect(JSON.stringify({ ...header, id: undefined })).not.toMatch(/localhost|admin|bob|C-17|user\./);
    expect(record.sections).toHaveLength(2);
  }
  expect(count).toBeGreaterThan(5);
});

describe('a query', () => {
  it('combines conditions, pages both ways and finds actions by their first part', () => {
    const { reader } = app.engine;
    const all = auditPage(reader, {}, { limit: 1000 });
    expect(all.next).toBeUndefined();
    const forwards: FoundEntry[] = [];
    for (let after: number | undefined; ; ) {
      const page = auditPage(reader, { actor: admin.userId }, { limit: 2, after });
      forwards.push(...page.entries);
      if (page.next === undefined) break;
      after = page.next;
    }
    expect(forwards).toEqual(all.entries.filter(({ actor }) => actor.kind === 'user' && actor.userId === admin.userId));
    const backwards = auditPage(reader, { action: 'user.*', actor: admin.userId }, { limit: 1000, isReversed: true });
    expect(backwards.entries).toEqual(forwards.filter(({ action }) => action.startsWith('user.')).toReversed());
    const [, second] = forwards;
    const between = entries({ fromMs: second?.atMs, toMs: second?.atMs, target: bob.userId });
    expect(between).toContainEqual(second);
    expect(between).toEqual(
      all.entries.filter(({ atMs, target }) => atMs === second?.atMs && target?.id === bob.userId),
    );
  });
});
