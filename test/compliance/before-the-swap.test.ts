/** Between the end of keys and that of the rows that they had opened: readers are shown nothing, and a full disk puts off the rest. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readDataFolder } from '#ops/rooms/data-folder.ts';
import { unfinishedDestructions } from '#projections/compliance/queries.ts';
import { fullProfileOf } from '#projections/profiles/queries.ts';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import { NoRoomForTables } from '#src/compliance/destruction/destruction.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { openFolderApplication } from './folder-application.test-support.ts';
import { differences, filesWith, makeRoom, say, upload } from './support.ts';

const SECRET = 'Blaubeerkuchenrezept';

let app: TestApplication;
let subject: TestClient;
let other: TestClient;
let roomId: string;
let eventId: string;

beforeEach(async () => {
  app = await startApplication({ audit: { content_reads: 'recorded' } });
  [subject, other] = [await app.register('subject'), await app.register('other')];
  roomId = await makeRoom(other);
  await subject.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
  eventId = await say(subject, roomId, `${SECRET} in a message`);
});
afterEach(() => app.close());

const at = (rest: string): string => `/rooms/${encodeURIComponent(roomId)}/${rest}`;

function erase() {
  const { erasures } = app.context.compliance;
  const wish = { userId: subject.userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false };
  return erasures.request(wish).then((id) => ({ id, done: erasures.run(id) }));
}

describe('until the tables are built anew', () => {
  it('nobody is shown what has no keys any more, on whatever way, and others go on', async () => {
    const mediaId = await upload(app, subject, `${SECRET} in a file`);
    await subject.ok('PUT', `/profile/${subject.userId}/displayname`, { displayname: `${SECRET} in a name` });
    await subject.ok('PUT', `/profile/${subject.userId}/m.tz`, { 'm.tz': `${SECRET} in a field` });
    await subject.ok('PUT', `/user/${subject.userId}/account_data/a.note`, { note: `${SECRET} in account data` });
    await subject.ok('PUT', `/devices/${subject.deviceId}`, { display_name: `${SECRET} in a device` });
    await subject.ok('PUT', `/sendToDevice/m.note/1`, {
      messages: { [other.userId]: { '*': { note: `${SECRET} to a device` } } },
    });
    await subject.ok('POST', at(`receipt/m.read/${encodeURIComponent(eventId)}`), {});
    const root = await say(other, roomId, 'a thread');
    const inThread = {
      msgtype: 'm.text',
      body: `${SECRET} in a thread`,
      'm.relates_to': { rel_type: 'm.thread', event_id: root },
    };
    await subject.ok('PUT', at('send/m.room.message/2'), inThread);
    const replies = `/_matrix/client/v1/rooms/${encodeURIComponent(roomId)}/relations/${encodeURIComponent(root)}`;
    await app.context.accounts.setAdmin(other.userId, true);
    const theirs = await upload(app, other, 'of the other');
    const places = [
      at('messages?dir=b&limit=50'),
      at(`context/${encodeURIComponent(eventId)}`),
      '/sync',
      at('state'),
      at('members'),
      at('threads').replace('/rooms', '/_matrix/client/v1/rooms'),
      replies,
      at(`event/${encodeURIComponent(root)}`),
      `/profile/${subject.userId}`,
      `/_synapse/admin/v1/users/${subject.userId}/accountdata`,
      `/_synapse/admin/v2/users/${subject.userId}/devices`,
      `/_synapse/admin/v2/users/${subject.userId}`,
    ];
    // What the test relies on: each shows something of it.
    for (const place of places) expect(JSON.stringify(await other.ok('GET', place)), place).toContain(SECRET);
    const isRenewing = Promise.withResolvers<void>();
    const mayRenew = Promise.withResolvers<void>();
    const renew = app.engine.renew.bind(app.engine);
    app.engine.renew = async (options) => {
      isRenewing.resolve();
      await mayRenew.promise;
      return renew(options);
    };
    const { done } = await erase();
    await isRenewing.promise;

    const event = await other.ok('GET', at(`event/${encodeURIComponent(eventId)}`));
    expect(event).toMatchObject({ content: {}, sender: subject.userId });
    for (const place of places) {
      expect(JSON.stringify((await other.call('GET', place)).body), place).not.toContain(SECRET);
    }
    const found = async (): Promise<unknown> => {
      const wanted = { room_events: { search_term: SECRET } };
      const { body } = await other.call('POST', '/search', { search_categories: wanted });
      return body['search_categories'];
    };
    expect(JSON.stringify((await found()) ?? {})).not.toContain(SECRET);
    const { body: users } = await other.call('POST', '/user_directory/search', { search_term: SECRET });
    expect(users['results'] ?? []).toEqual([]);
    const receipts = `${JSON.stringify((await other.ok('GET', '/sync'))['rooms'])}`;
    expect(receipts).not.toContain('m.read');
    expect(app.context.media.find(mediaId)).toBeUndefined();
    expect(app.context.media.find(theirs)).toBeDefined();
    // Who is in the room is read from the same rows.
    expect(await say(other, roomId, 'meanwhile')).toMatch(/^\$/);
    const members = await other.ok('GET', at('joined_members'));
    expect(Object.keys(members['joined'] ?? {})).toEqual([other.userId]);

    mayRenew.resolve();
    expect((await done).erasure.state).toBe('completed');
    expect(await filesWith(app, SECRET)).toEqual([]);
    expect(await differences(app)).toEqual([]);
    expect(await app.engine.snapshot((reader) => positionOfEvent(reader, eventId))).toBeDefined();
    expect(JSON.stringify(await other.ok('GET', at('messages?dir=b&limit=50')))).toContain('meanwhile');
  });
});

describe('from the decision on', () => {
  it('nothing of it is found by a search', async () => {
    const search = async () => {
      const wanted = { room_events: { search_term: SECRET } };
      const { search_categories: found } = await other.ok('POST', '/search', { search_categories: wanted });
      return (found as unknown as { room_events: { count: number; results: unknown[] } }).room_events;
    };
    expect(await search()).toMatchObject({ count: 1, results: [{}] });
    const items = [{ position: positionOfEvent(app.engine.reader, eventId) ?? -1, sections: [1] }];
    await app.context.compliance.destruction.destroy({ cause: 'retention', requestId: null, why: 'A test.', items });
    expect(await search()).toMatchObject({ count: 0, results: [] });
  });
});

describe('an erasure that a crash cuts short', () => {
  it('shows nothing of what has no keys any more to who reads the folder before it is gone on with', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'stele-cut-short-'));
    const cut = await openFolderApplication(path.join(folder, 'data'), Date.now);
    try {
      const person = await cut.register('ann');
      await cut.as(person).ok('PUT', `/profile/${person.userId}/displayname`, { displayname: SECRET });
      cut.engine.renew = () => Promise.reject(new Error('the server ends'));
      const { erasures } = cut.context.compliance;
      const id = await erasures.request({
        userId: person.userId,
        by: 'o',
        reason: null,
        caseId: null,
        asksPeers: false,
      });
      const nameOf = () =>
        readDataFolder(cut.dataDir, async ({ reader }) => fullProfileOf(reader, person.userId)['displayname']);
      expect(await nameOf()).toBe(SECRET);
      await expect(erasures.run(id)).rejects.toThrow('the server ends');
      expect(await nameOf()).toBeUndefined();
    } finally {
      await cut.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('where there is no room on the disk for tables', () => {
  it('keys go all the same, the rest waits on record, and goes when there is room', async () => {
    const position = positionOfEvent(app.engine.reader, eventId) ?? -1;
    const { roomToRenew } = app.engine;
    app.engine.roomToRenew = async () => ({ neededBytes: 1_000, freeBytes: 400 });
    const { erasures, destruction } = app.context.compliance;
    const { id, done } = await erase();
    await expect(done).rejects.toThrow(NoRoomForTables);

    expect((await app.log.readAt(position))?.sections[1]).toBeNull();
    expect((await other.ok('GET', at(`event/${encodeURIComponent(eventId)}`)))['content']).toEqual({});
    expect(erasures.find(id)).toMatchObject({ state: 'deferred', holdIds: [], soFar: { items: { messages: 1 } } });
    expect(erasures.failureOf(id)).toContain('1000 bytes of the disk, and 400 are free');
    expect(destruction.missingBytes).toBe(600);
    expect(destruction.unfinished).toBeGreaterThan(0);

    app.engine.roomToRenew = roomToRenew;
    const { erasure, certificate } = await erasures.run(id);
    expect(erasure.state).toBe('completed');
    expect(JSON.parse(certificate?.document ?? '{}').destroyed.items).toMatchObject({ messages: 1 });
    expect(destruction.missingBytes).toBe(0);
    expect(unfinishedDestructions(app.engine.reader)).toEqual([]);
    expect(await filesWith(app, SECRET)).toEqual([]);
  });

  it('is tried again by itself', async () => {
    const { roomToRenew } = app.engine;
    app.engine.roomToRenew = async () => ({ neededBytes: 1_000, freeBytes: 0 });
    const { destruction } = app.context.compliance;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const items = [{ position: positionOfEvent(app.engine.reader, eventId) ?? -1, sections: [1] }];
      await destruction.destroy({ cause: 'history_purge', requestId: null, why: 'A test.', items });
      await expect(destruction.finish()).rejects.toThrow(NoRoomForTables);
      app.engine.roomToRenew = roomToRenew;
      vi.advanceTimersByTime(60_000);
    } finally {
      vi.useRealTimers();
    }
    await expect.poll(() => unfinishedDestructions(app.engine.reader)).toEqual([]);
    expect(await filesWith(app, SECRET)).toEqual([]);
  });
});

describe('an erasure that ends before it is done', () => {
  it('is told as a whole by the certificate of the attempt that finishes it', async () => {
    await upload(app, subject, `${SECRET} in a file`);
    const renew = app.engine.renew.bind(app.engine);
    app.engine.renew = () => Promise.reject(new Error('the server ends'));
    const { id, done } = await erase();
    await expect(done).rejects.toThrow('the server ends');
    app.engine.renew = renew;
    const { certificate } = await app.context.compliance.erasures.run(id);
    const { destroyed } = JSON.parse(certificate?.document ?? '{}');
    expect(destroyed).toMatchObject({ items: { messages: 1, account: expect.any(Number) }, media_files: 1 });
    expect(destroyed.decided_in_records.length).toBeGreaterThan(0);
  });
});
