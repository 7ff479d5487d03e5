/** What expires goes on time, what is on hold or younger than a minimum stays, whatever path asks for it. */
import { afterEach, expect, it } from 'vitest';
import { unfinishedDestructions } from '#projections/compliance/queries.ts';
import { readComplianceRecord } from '#projections/compliance/records.ts';
import { unpackSections } from '#projections/compliance/section-list.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { differences, filesWith, makeRoom, say, upload } from './support.ts';

const DAY = 86_400_000;
const SECRET = 'Quittengelee';
let app: TestApplication;
let ann: TestClient;

async function start(settings: object = {}): Promise<void> {
  app = await startApplication(settings);
  ann = await app.register('ann');
}
afterEach(() => app.close());

async function contentOf(roomId: string, eventId: string): Promise<unknown> {
  const at = `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(eventId)}`;
  return (await ann.ok('GET', at))['content'];
}

/** The records of decisions, in order. */
async function decisions(kind: string): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  for await (const record of app.log.readStream('server-erasures')) {
    const read = readComplianceRecord(record);
    if (read?.kind === kind) found.push(read.fields as unknown as Record<string, unknown>);
  }
  return found;
}

it('messages go when they are older than the maximum, in every room by its own policy', async () => {
  await start({ retention: { classes: { messages: { max: '30d' } }, room_bounds: { min: '2d', max: '60d' } } });
  const [usual, short, long] = [await makeRoom(ann), await makeRoom(ann), await makeRoom(ann)];
  const own = (roomId: string, maxDays: number) =>
    ann.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/state/m.room.retention`, { max_lifetime: maxDays * DAY });
  await own(short, 1);
  await own(long, 900);
  const events = new Map<string, string>();
  for (const roomId of [usual, short, long]) events.set(roomId, await say(ann, roomId, `${SECRET} of day 0`));
  const isThere = async (roomId: string) => 'body' in ((await contentOf(roomId, events.get(roomId) ?? '')) as object);
  const there = async () => [await isThere(usual), await isThere(short), await isThere(long)];
  const { retention } = app.context.compliance;

  app.advance(1.5 * DAY);
  expect(await retention.run()).toEqual({ sections: 0, media: 0 });
  expect(await there()).toEqual([true, true, true]);
  app.advance(DAY);
  expect(await retention.run()).toMatchObject({ sections: 1 });
  expect(await there()).toEqual([true, false, true]);
  app.advance(28 * DAY);
  await retention.run();
  expect(await there()).toEqual([false, false, true]);
  app.advance(31 * DAY);
  await retention.run();
  expect(await there()).toEqual([false, false, false]);
  expect(await filesWith(app, SECRET)).toEqual([]);
  expect(await differences(app)).toEqual([]);
  // The rooms have their names and rules still, and go on.
  expect(await say(ann, usual, 'later')).toMatch(/^\$/);
  const [first] = await decisions('destruction.decided');
  expect(first).toMatchObject({ cause: 'retention', why: expect.stringContaining('2 days') });
});

it('the plan says what will go, and changes nothing', async () => {
  await start({ retention: { classes: { messages: { max: '30d' } } } });
  const roomId = await makeRoom(ann);
  const eventId = await say(ann, roomId, SECRET);
  const head = app.log.head();
  const planOf = async (untilMs: number) => {
    const planned: [string | undefined, string, number][] = [];
    await app.context.compliance.retention.plan(untilMs, ({ item, verdict, dueAtMs }) => {
      planned.push([item.eventId, verdict.outcome, dueAtMs]);
    });
    return planned;
  };
  expect(await planOf(app.now())).toEqual([]);
  const recordedAtMs = (await app.log.readAt(head))?.recordedAtMs ?? 0;
  expect(await planOf(app.now() + 31 * DAY)).toEqual([[eventId, 'destroy', recordedAtMs + 30 * DAY]]);
  await app.context.compliance.holds.add({ scope: { roomId }, caseId: 'C', reason: 'R', by: 'operator:x' });
  expect(await planOf(app.now() + 31 * DAY)).toMatchObject([[eventId, 'defer', recordedAtMs + 30 * DAY]]);
  expect(await contentOf(roomId, eventId)).toMatchObject({ body: SECRET });
});

it('what a redaction took away is kept for the window, then destroyed; what was delivered to devices too', async () => {
  await start();
  const bob = await app.register('bob');
  const roomId = await makeRoom(ann);
  const eventId = await say(ann, roomId, SECRET);
  await ann.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/redact/${encodeURIComponent(eventId)}/t1`, {});
  await ann.ok('PUT', '/sendToDevice/org.example.note/t1', {
    messages: { [bob.userId]: { [bob.deviceId]: { note: `${SECRET} to a device` } } },
  });
  const inboxed = app.log.head();
  const { retention } = app.context.compliance;
  app.advance(2 * 3_600_000);
  await retention.run();
  expect((await app.log.readAt(inboxed))?.sections.every((section) => section !== null)).toBe(true);
  const { next_batch: since } = await bob.ok('GET', '/sync?timeout=0');
  await bob.ok('GET', `/sync?timeout=0&since=${String(since)}`);
  await app.context.acknowledgements.flush();
  await retention.run();
  expect((await app.log.readAt(inboxed))?.sections.every((section) => section === null)).toBe(true);
  const position = await positionOf(SECRET);
  expect(position).toBeDefined();
  app.advance(7 * DAY);
  await retention.run();
  expect(await positionOf(SECRET)).toBeUndefined();
  expect(await filesWith(app, SECRET)).toEqual([]);
  expect(await differences(app)).toEqual([]);
});

/** The position of a record of which a section has this text. */
async function positionOf(text: string): Promise<number | undefined> {
  for await (const records of app.log.readAll(-1)) {
    const found = records.find(({ sections }) =>
      sections.some((one) => one !== null && Buffer.from(one).includes(text)),
    );
    if (found !== undefined) return found.position;
  }
  return undefined;
}

it('every path refuses what is on hold, says which hold, and puts it on record', async () => {
  await start({ retention: { classes: { messages: { max: '1d' } } }, compliance: { hold_four_eyes: true } });
  const roomId = await makeRoom(ann);
  const eventId = await say(ann, roomId, SECRET);
  const mediaId = await upload(app, ann, `${SECRET} in a file`);
  await ann.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/redact/${encodeURIComponent(eventId)}/t1`, {});
  const { holds, retention, purges, erasures } = app.context.compliance;
  const holdId = await holds.add({ scope: { userId: ann.userId }, caseId: 'C-4', reason: 'R', by: 'operator:lawyer' });
  app.advance(30 * DAY);

  expect(await retention.run()).toEqual({ sections: 0, media: 0 });
  await expect(app.context.media.remove(mediaId)).rejects.toThrow(holdId);
  await expect(purges.room(roomId)).rejects.toThrow(holdId);
  expect(await purges.history(roomId, { beforeMs: app.now() })).toMatchObject({ sections: 0, kept: 1 });
  const id = await erasures.request({
    userId: ann.userId,
    by: 'operator:dpo',
    reason: null,
    caseId: null,
    asksPeers: false,
  });
  expect((await erasures.run(id)).erasure).toMatchObject({ state: 'deferred', holdIds: [holdId] });
  expect(await positionOf(SECRET)).toBeDefined();
  expect(await filesWith(app, `${SECRET} in a file`)).toHaveLength(1);
  const kept = await decisions('decision.kept');
  expect(new Set(kept.map(({ cause }) => cause))).toEqual(
    new Set(['redaction', 'retention', 'media_removal', 'room_purge', 'history_purge', 'former_password', 'erasure']),
  );
  expect(kept.every(({ rule, holdIds }) => rule === 'needed' || String(holdIds) === holdId)).toBe(true);

  const records = app.log.head();
  await retention.run();
  expect(app.log.head()).toBe(records);
  await expect(holds.release(holdId, { by: 'operator:lawyer', reason: 'R' })).rejects.toThrow(/[Ss]omebody else/);
  await holds.release(holdId, { by: 'operator:judge', reason: 'R' });
  await expect(holds.release(holdId, { by: 'operator:judge', reason: 'R' })).rejects.toThrow();
  await erasures.run(id);
  expect(await positionOf(SECRET)).toBeUndefined();
  expect(await filesWith(app, SECRET)).toEqual([]);
});

it('a minimum with a legal basis holds against erasure, and is told in the certificate', async () => {
  await start({ retention: { classes: { messages: { min: '365d', legal_basis: 'a law about letters' } } } });
  const roomId = await makeRoom(ann);
  await say(ann, roomId, SECRET);
  const { erasures, retention } = app.context.compliance;
  const id = await erasures.request({
    userId: ann.userId,
    by: 'operator:dpo',
    reason: null,
    caseId: null,
    asksPeers: false,
  });
  const { certificate } = await erasures.run(id);
  expect(JSON.parse(certificate?.document ?? '{}').kept).toContainEqual(
    expect.objectContaining({ rule: 'minimum', count: 1, why: expect.stringContaining('a law about letters') }),
  );
  expect(await positionOf(SECRET)).toBeDefined();
  expect(retention.policyAt(app.now())?.policy.classes.messages.legalBasis).toBe('a law about letters');
  expect(retention.policyAt(0)).toBeUndefined();
});

it('a room is purged as if it had never been known, and its history as far as asked', async () => {
  await start();
  const [gone, kept] = [await makeRoom(ann, { name: `${SECRET} room` }), await makeRoom(ann)];
  await say(ann, gone, SECRET);
  const old = await say(ann, kept, `${SECRET} old`);
  const young = await say(ann, kept, 'Rhabarber young');
  const { purges } = app.context.compliance;
  await purges.room(gone);
  expect((await ann.call('GET', `/rooms/${encodeURIComponent(gone)}/state`)).status).not.toBe(200);
  const { joined_rooms: joined } = await ann.ok('GET', '/joined_rooms');
  expect(joined).toEqual([kept]);
  expect(await purges.history(kept, { eventId: young })).toMatchObject({ sections: 1, kept: 0 });
  expect(await contentOf(kept, old)).toEqual({});
  expect(await contentOf(kept, young)).toMatchObject({ body: 'Rhabarber young' });
  expect(await filesWith(app, SECRET)).toEqual([]);
  expect(await differences(app)).toEqual([]);
  expect(await say(ann, kept, 'on')).toMatch(/^\$/);
});

it('a media that is removed is gone from the disk, and so is what its record said', async () => {
  await start();
  const mediaId = await upload(app, ann, `${SECRET} in a file`);
  const same = await upload(app, ann, 'Rhabarber');
  await app.context.media.remove(mediaId);
  expect(await filesWith(app, `${SECRET} in a file`)).toEqual([]);
  expect(app.context.media.find(same)).toBeDefined();
  await app.context.compliance.destruction.finish();
  expect(unfinishedDestructions(app.engine.reader)).toEqual([]);
  const [decided] = await decisions('destruction.decided');
  expect(decided).toMatchObject({ cause: 'media_removal' });
  expect([...unpackSections(decided?.['items'] as Uint8Array)]).toHaveLength(1);
  expect(await differences(app)).toEqual([]);
});

it('says how far a plan has come', async () => {
  await start({ retention: { classes: { messages: { max: '1d' } } } });
  await say(ann, await makeRoom(ann), SECRET);
  const { retention } = app.context.compliance;
  const seen: unknown[] = [];
  await retention.plan(app.context.clock() + 2 * DAY, () => void seen.push(retention.progress));
  expect(seen).toEqual([{ done: expect.any(Number), total: app.log.head() + 1 }]);
  expect(retention.progress).toBeUndefined();
});
