/** Reading what people wrote as an administrator: for a reason, under a case, on record; as it is and as it was. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPage } from '#projections/audit/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let admin: TestClient;
let alice: TestClient;
let room: string;
let first: string;
let secret: string;
let last: string;
let beforeRedaction: number;

beforeAll(async () => {
  app = await startApplication();
  [admin, alice] = [await app.register('admin'), await app.register('alice')];
  await app.context.accounts.setAdmin(admin.userId, true);
  room = String((await alice.ok('POST', '/createRoom', {}))['room_id']);
  const say = async (body: string) =>
    String(
      (await alice.ok('PUT', `/rooms/${room}/send/m.room.message/${body}`, { msgtype: 'm.text', body }))['event_id'],
    );
  first = await say('first');
  secret = await say('secret');
  beforeRedaction = app.engine.reader.frontier;
  await alice.ok('PUT', `/rooms/${room}/redact/${encodeURIComponent(secret)}/r`, {});
  last = await say('last');
});
afterAll(() => app.close());

async function read(path: string, grounds = true) {
  const answer = await app.http.inject({
    url: `/_synapse/admin/v1${path}`,
    headers: {
      authorization: `Bearer ${admin.accessToken}`,
      ...(grounds && { 'x-stele-reason': 'complaint 12', 'x-stele-case': 'C-12' }),
    },
  });
  return { status: answer.statusCode, body: answer.json() };
}

const bodies = (events: readonly { content: { body?: string } }[]) => events.map(({ content }) => content.body);

describe('a room that the administrator is not in', () => {
  it('is read only for a reason and under a case, and that is on record before the answer', async () => {
    expect(await read(`/rooms/${room}/messages?dir=b`, false)).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    const { body } = await read(
      `/rooms/${room}/messages?dir=b&filter=${encodeURIComponent('{"types":["m.room.message"]}')}`,
    );
    expect(bodies(body.chunk)).toEqual(['last', undefined, 'first']);
    const [entry] = auditPage(app.engine.reader, { caseId: 'C-12' }, { limit: 1 }).entries;
    expect(entry).toMatchObject({
      action: 'content.read',
      actor: { userId: admin.userId },
      roomId: room,
      reason: 'complaint 12',
      after: { dir: 'b' },
    });
  });

  it('is paged to its beginning', async () => {
    const seen: string[] = [];
    let from: string | undefined = '';
    while (from !== undefined) {
      const { body } = await read(`/rooms/${room}/messages?dir=b&limit=3&from=${from}`);
      seen.push(...body.chunk.map(({ event_id }: { event_id: string }) => event_id));
      from = body.end;
    }
    expect(seen.slice(0, 1)).toEqual([last]);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toContain(first);
  });

  it('is shown as it was: without what came later, with what was redacted only later', async () => {
    const { body } = await read(`/rooms/${room}/messages?dir=b&asof=${beforeRedaction}`);
    expect(bodies(body.chunk.slice(0, 2))).toEqual(['secret', 'first']);
    const context = await read(
      `/rooms/${room}/context/${encodeURIComponent(first)}?asof=${encodeURIComponent(secret)}`,
    );
    expect(bodies(context.body.events_after)).toEqual(['secret']);
    expect(context.body.event).toMatchObject({ event_id: first });
    const event = await read(`/fetch_event/${encodeURIComponent(secret)}?asof=${beforeRedaction}`);
    expect(event.body.event).toMatchObject({ content: { body: 'secret' } });
    expect((await read(`/fetch_event/${encodeURIComponent(secret)}`)).body.event.content).toEqual({});
    expect(await read(`/fetch_event/${encodeURIComponent(last)}?asof=${beforeRedaction}`)).toMatchObject({
      status: 404,
    });
    expect(await read(`/rooms/${room}/messages?asof=noon`)).toMatchObject({ status: 400 });
  });
});
