/** Between the end of keys and that of the rows that they had opened: readers are shown nothing, and a full disk puts off the rest. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { unfinishedDestructions } from '#projections/compliance/queries.ts';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import { NoRoomForTables } from '#src/compliance/destruction/destruction.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { differences, filesWith, makeRoom, say, upload } from './support.ts';

const SECRET = 'Blaubeerkuchenrezept';

let app: TestApplication;
let subject: TestClient;
let other: TestClient;
let roomId: string;
let eventId: string;

beforeEach(async () => {
  app = await startApplication();
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
    const theirs = await upload(app, other, 'of the other');
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
    for (const path of [
      at('messages?dir=b&limit=50'),
      at(`context/${encodeURIComponent(eventId)}`),
      '/sync',
      at('state'),
    ]) {
      expect(JSON.stringify(await other.ok('GET', path)), path).not.toContain(SECRET);
    }
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
