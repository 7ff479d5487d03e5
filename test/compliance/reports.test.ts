/** Reports: what moderators are shown and do, and the evidence that is captured before anything is done. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditQuery, auditPage, type FoundEntry } from '#projections/audit/queries.ts';
import { evidenceItems } from '#projections/reports/evidence.ts';
import { EVIDENCE_CONTENT_SECTION, EVIDENCE_STREAM } from '#projections/reports/evidence-records.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sayIn } from '../client-api/sync-client.ts';

let app: TestApplication;
let admin: TestClient;
let mod: TestClient;
let alice: TestClient;
let troll: TestClient;
let room: string;

const EVENTS_AT = '/_synapse/admin/v1/event_reports';
const STEPS_AT = '/_stele/admin/reports';
const EVIDENCE_AT = '/_stele/admin/evidence';
const FILE = Buffer.from('a rude picture');

beforeAll(async () => {
  app = await startApplication();
  [admin, mod, alice, troll] = [
    await app.register('admin'),
    await app.register('mod'),
    await app.register('alice'),
    await app.register('troll'),
  ];
  await app.context.accounts.setAdmin(admin.userId, true);
  room = await createRoom(alice, { preset: 'public_chat', name: 'The Pub' });
  await troll.ok('POST', `/join/${room}`);
});
afterAll(() => app.close());

const entries = (query: AuditQuery): readonly FoundEntry[] =>
  auditPage(app.engine.reader, query, { limit: 500 }).entries;
const withReason = async (
  client: TestClient,
  url: string,
): Promise<{ status: number; body: Record<string, unknown> }> => {
  const answer = await app.http.inject({
    url,
    headers: { authorization: `Bearer ${client.accessToken}`, 'x-stele-reason': 'appeal', 'x-stele-case': 'C-3' },
  });
  return { status: answer.statusCode, body: answer.json() };
};
const newest = (about: string) => [...evidenceItems(app.engine.reader, about)][0];
async function report(eventId: string, reason = 'rude'): Promise<number> {
  await alice.ok('POST', `/rooms/${room}/report/${eventId}`, { reason });
  const { event_reports: reports } = await admin.ok('GET', `${EVENTS_AT}?limit=1`);
  return (reports as unknown as { id: number }[])[0]?.id ?? -1;
}
async function upload(client: TestClient): Promise<string> {
  const answer = await app.http.inject({
    method: 'POST',
    url: '/_matrix/media/v3/upload',
    headers: { authorization: `Bearer ${client.accessToken}`, 'content-type': 'image/png' },
    payload: FILE,
  });
  return String(answer.json().content_uri);
}

describe('evidence', () => {
  it('of a report has the event, those around it, and the digest of its media; and outlives the original', async () => {
    const uri = await upload(troll);
    await sayIn(alice, room, 'before');
    const content = { msgtype: 'm.image', body: 'something rude', url: uri };
    const sent = await troll.ok('PUT', `/rooms/${room}/send/m.room.message/rude`, content);
    const eventId = String(sent['event_id']);
    const position = app.log.head();
    await sayIn(alice, room, 'after');
    const id = await report(eventId);
    const captured = newest(eventId);
    expect(captured).toMatchObject({
      cause: 'report',
      by: alice.userId,
      roomId: room,
      userId: troll.userId,
      others: [alice.userId],
      media: [{ uri, sha256: createHash('sha256').update(FILE).digest('hex'), uploader: troll.userId }],
    });
    await app.log.destroyKey(position, 1);

    expect((await admin.call('GET', `${EVIDENCE_AT}/${captured?.id}`)).status).toBe(403);
    const shown = await withReason(admin, `${EVIDENCE_AT}/${captured?.id}`);
    const bodies = (events: unknown) =>
      (events as { pdu: { content: { body?: string } } }[]).map(({ pdu }) => pdu.content.body);
    const evidence = shown.body['content'] as Record<string, unknown>;
    expect(evidence['event']).toMatchObject({ event_id: eventId, pdu: { sender: troll.userId, content } });
    expect([bodies(evidence['before']).at(-1), bodies(evidence['after'])]).toEqual(['before', ['after']]);
    expect(entries({ action: 'evidence.read' })).toMatchObject([
      { actor: { userId: admin.userId }, target: { kind: 'event', id: eventId }, reason: 'appeal', caseId: 'C-3' },
    ]);

    const detail = await admin.ok('GET', `${EVENTS_AT}/${id}`);
    expect(detail).toMatchObject({ event_json: { event_id: eventId, content }, name: 'The Pub', sender: troll.userId });
    expect(entries({ action: 'content.read', target: String(id) })).toMatchObject([
      { caseId: `report ${id}`, reason: `report ${id}`, roomId: room },
    ]);
  });

  it('is captured once, however often an event is reported', async () => {
    const eventId = await sayIn(troll, room, 'again');
    await report(eventId);
    await report(eventId);
    expect([...evidenceItems(app.engine.reader, eventId)]).toHaveLength(1);
  });

  it('is captured before a moderator redacts, and that is on record; not before one redacts their own', async () => {
    const eventId = await sayIn(troll, room, 'gone soon');
    await alice.ok('PUT', `/rooms/${room}/redact/${eventId}/1`, { reason: 'rude' });
    expect(newest(eventId)).toMatchObject({ cause: 'redaction', by: alice.userId, userId: troll.userId });
    expect(entries({ target: eventId })).toMatchObject([
      { action: 'content.redact', actor: { userId: alice.userId }, reason: 'rude', roomId: room },
    ]);
    const own = await sayIn(troll, room, 'a typo');
    await troll.ok('PUT', `/rooms/${room}/redact/${own}/2`, {});
    expect(newest(own)).toBeUndefined();
    const head = app.log.head();
    const others = await sayIn(alice, room, 'mine');
    expect((await troll.call('PUT', `/rooms/${room}/redact/${others}/3`, {})).status).toBe(403);
    expect(app.log.head()).toBe(head + 1);
  });

  it('of removed media is its digest', async () => {
    const uri = await upload(troll);
    const mediaId = uri.split('/').at(-1);
    await admin.ok('DELETE', `/_synapse/admin/v1/media/localhost/${mediaId}`);
    const sha256 = createHash('sha256').update(FILE).digest('hex');
    expect(newest(uri)).toMatchObject({
      cause: 'removal',
      by: admin.userId,
      userId: troll.userId,
      media: [{ sha256 }],
    });
    expect(entries({ action: 'media.delete' })).toMatchObject([{ target: { id: uri }, before: { sha256 } }]);
  });

  it('says that its content was destroyed where it was', async () => {
    const eventId = await sayIn(troll, room, 'destroyed');
    const id = await report(eventId);
    const found = newest(eventId);
    await app.log.destroyKey(found?.id ?? -1, EVIDENCE_CONTENT_SECTION);
    const shown = await withReason(admin, `${EVIDENCE_AT}/${found?.id}`);
    expect(shown).toMatchObject({ status: 200, body: { event_id: eventId, content: null } });
    expect((await admin.ok('GET', `${EVENTS_AT}/${id}`))['event_json']).toBeNull();
  });

  it('keeps what people wrote and whom it is about out of what cannot be erased', async () => {
    for await (const record of app.log.readStream(EVIDENCE_STREAM)) {
      const { sections: _sealed, decoded: _decoded, id: _id, ...header } = record;
      expect(JSON.stringify(header)).not.toMatch(/localhost|rude|troll/);
    }
  });
});

describe('a report', () => {
  it('is claimed, resolved, appealed and resolved again, with who, when and why', async () => {
    const id = await report(await sayIn(troll, room, 'an insult'));
    const step = (name: string, note?: string) => admin.call('POST', `${STEPS_AT}/${id}/${name}`, note ? { note } : {});
    expect((await step('appeal')).body.errcode).toBe('M_BAD_STATE');
    expect((await step('claim')).body).toMatchObject({ state: 'claimed', claimed_by: admin.userId });
    expect((await step('resolve', 'warned')).body).toMatchObject({ state: 'resolved' });
    expect((await step('resolve')).body.errcode).toBe('M_BAD_STATE');
    expect((await step('appeal', 'it was a quote')).body).toMatchObject({ state: 'appealed', claimed_by: null });
    await step('resolve', 'it was');
    const { history } = await admin.ok('GET', `${EVENTS_AT}/${id}`);
    expect(history).toMatchObject([
      { state: 'claimed', by: admin.userId, note: null, ts: expect.any(Number) },
      { state: 'resolved', note: 'warned' },
      { state: 'appealed', note: 'it was a quote' },
      { state: 'resolved', note: 'it was' },
    ]);
    expect(entries({ action: 'report.resolve', target: String(id) })).toMatchObject([
      { before: { state: 'claimed' }, after: { note: 'warned' }, roomId: room },
      { before: { state: 'resolved' } },
      { outcome: 'failed', why: expect.stringContaining('M_BAD_STATE') },
      { before: { state: 'appealed' } },
    ]);
    expect((await admin.ok('GET', `${STEPS_AT}?state=resolved`))['reports']).toMatchObject([{ id }]);
  });

  it('is off the list when it was removed, and what was captured stays', async () => {
    const eventId = await sayIn(troll, room, 'removed');
    const id = await report(eventId);
    await admin.ok('DELETE', `${EVENTS_AT}/${id}`);
    expect((await admin.call('GET', `${EVENTS_AT}/${id}`)).status).toBe(404);
    expect((await admin.call('POST', `${STEPS_AT}/${id}/claim`, {})).status).toBe(404);
    expect(newest(eventId)).toBeDefined();
  });

  it.each(['x', '-1', '999999999999999', '1e3'])('of the id %s is not there', async (id) => {
    for (const at of [`${EVENTS_AT}/${id}`, `${EVIDENCE_AT}/${id}`]) {
      expect([400, 404]).toContain((await withReason(admin, at)).status);
    }
  });

  it('is listed by kind, a page at a time, newest first, by room, reporter and sender', async () => {
    await alice.ok('POST', `/rooms/${room}/report`, { reason: 'the name' });
    await alice.ok('POST', `/users/${troll.userId}/report`, { reason: 'spam' });
    const rooms = await admin.ok('GET', '/_synapse/admin/v1/room_reports');
    expect(rooms).toMatchObject({ total: 1, room_reports: [{ room_id: room, reason: 'the name' }] });
    const users = await admin.ok('GET', '/_synapse/admin/v1/user_reports');
    expect(users).toMatchObject({ total: 1, user_reports: [{ target_user_id: troll.userId, user_id: alice.userId }] });
    const ids: number[] = [];
    for (let from: number | undefined = 0; from !== undefined; ) {
      const page: Record<string, unknown> = await admin.ok('GET', `${EVENTS_AT}?limit=2&from=${from}`);
      ids.push(...(page['event_reports'] as { id: number }[]).map(({ id }) => id));
      from = page['next_token'] as number | undefined;
    }
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect((await admin.ok('GET', `${EVENTS_AT}?limit=1`))['total']).toBe(ids.length);
    expect((await admin.ok('GET', `${STEPS_AT}?limit=1`))['total']).toBe(ids.length + 2);
    const all = await admin.ok('GET', `${EVENTS_AT}?dir=f&event_sender_user_id=${troll.userId}&room_id=${room}`);
    expect([all['total'], (all['event_reports'] as unknown as { id: number }[]).map(({ id }) => id)]).toEqual([
      ids.length,
      ids.toReversed(),
    ]);
    expect((await admin.ok('GET', `${EVENTS_AT}?user_id=${troll.userId}`))['total']).toBe(0);
  });

  it('and its evidence are shown to moderators of their rooms only', async () => {
    const other = await createRoom(troll, { preset: 'public_chat' });
    await alice.ok('POST', `/join/${other}`);
    const here = await report(await sayIn(troll, room, 'here'));
    const elsewhere = await sayIn(troll, other, 'elsewhere');
    await alice.ok('POST', `/rooms/${other}/report/${elsewhere}`, { reason: 'x' });
    const total = async (client: TestClient) => (await client.ok('GET', EVENTS_AT))['total'] as unknown as number;
    const { grant_id: grantId } = await admin.ok('POST', '/_stele/admin/roles', {
      user_id: mod.userId,
      role: 'moderator',
      rooms: [room],
      reason: 'test',
    });
    expect(await total(mod)).toBe((await total(admin)) - 1);
    expect((await mod.call('POST', `${STEPS_AT}/${here}/claim`, {})).status).toBe(200);
    const { event_reports: reports } = await admin.ok('GET', `${EVENTS_AT}?room_id=${other}`);
    const hidden = (reports as unknown as { id: number }[])[0]?.id;
    for (const at of [`${EVENTS_AT}/${hidden}`, `${EVIDENCE_AT}/${newest(elsewhere)?.id}`]) {
      expect((await withReason(mod, at)).status).toBe(403);
    }
    const listed = (await mod.ok('GET', EVIDENCE_AT))['evidence'] as unknown as { room_id: string }[];
    expect(new Set(listed.map(({ room_id: of }) => of))).toEqual(new Set([room]));
    await admin.ok('DELETE', `/_stele/admin/roles/${grantId}`);
    expect((await mod.call('GET', EVENTS_AT)).status).toBe(403);
  });
});
