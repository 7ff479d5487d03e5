/** A file goes when nothing that may be shown names it any more, and not before. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unfinishedDestructions } from '#projections/compliance/queries.ts';
import { readComplianceRecord } from '#projections/compliance/records.ts';
import { mediaUsage } from '#projections/media/projection.ts';
import { dataPaths } from '#src/data-paths.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { openFolderApplication } from './folder-application.test-support.ts';
import { differences, filesWith, makeRoom, say, upload } from './support.ts';

const DAY = 86_400_000;
/** After this what a redaction took away is not shown to moderators any more. */
const WINDOW = 7 * DAY + 1;
const SECRET = 'Mirabellengeist';
const BY = { caseId: 'C-1', reason: 'R', by: 'operator:x' };
let app: TestApplication;
let ann: TestClient;
let bob: TestClient;

async function start(settings: object = {}): Promise<void> {
  await app?.close();
  app = await startApplication(settings);
  [ann, bob] = [await app.register('ann'), await app.register('bob')];
}
beforeEach(() => start());
afterEach(() => app.close());

const uriOf = (mediaId: string): string => `mxc://localhost/${mediaId}`;
const at = (roomId: string): string => `/rooms/${encodeURIComponent(roomId)}`;

async function sendFile(client: TestClient, roomId: string, mediaId: string): Promise<string> {
  const content = { msgtype: 'm.file', body: 'notes.txt', file: { deeper: [{ url: uriOf(mediaId) }] } };
  const answer = await client.ok('PUT', `${at(roomId)}/send/m.room.message/${Math.random()}`, content);
  return String(answer['event_id']);
}

async function redact(client: TestClient, roomId: string, eventId: string): Promise<void> {
  await client.ok('PUT', `${at(roomId)}/redact/${encodeURIComponent(eventId)}/${Math.random()}`, {});
}

/** Lets the window of redactions pass, and all go that is due. */
async function later(ms = WINDOW): Promise<void> {
  app.advance(ms);
  await app.context.compliance.retention.run();
}

const isThere = (mediaId: string): boolean => app.context.media.find(mediaId) !== undefined;

async function statusOf(client: TestClient, mediaId: string): Promise<number> {
  return (await client.call('GET', `/_matrix/client/v1/media/download/localhost/${mediaId}`)).status;
}

async function causes(): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const record of app.log.readStream('server-erasures')) {
    const read = readComplianceRecord(record);
    if (read?.kind === 'destruction.decided') found.push(read.fields.cause);
  }
  return found;
}

describe('what goes with what named it', () => {
  it('a file goes when the event is redacted and moderators see it no more, with all that is kept of it', async () => {
    const roomId = await makeRoom(ann);
    const mediaId = await upload(app, ann, `${SECRET} in a file`);
    await redact(ann, roomId, await sendFile(ann, roomId, mediaId));
    await later(DAY);
    expect(await statusOf(bob, mediaId)).toBe(200);
    await later();
    expect(await statusOf(bob, mediaId)).toBe(404);
    expect(await filesWith(app, SECRET)).toEqual([]);
    expect(await causes()).toEqual(['redaction', 'unused_media']);
    expect(unfinishedDestructions(app.engine.reader)).toEqual([]);
    expect(await differences(app)).toEqual([]);
    expect(mediaUsage(app.engine.reader, ann.userId)).toEqual({ files: 0, sizeBytes: 0 });
  });

  it.each([
    ['is sent again by somebody else', (roomId: string, id: string) => sendFile(bob, roomId, id)],
    [
      'is the avatar of somebody',
      (_: string, id: string) => bob.ok('PUT', `/profile/${bob.userId}/avatar_url`, { avatar_url: uriOf(id) }),
    ],
    [
      'is in a field of a profile',
      (_: string, id: string) =>
        bob.ok('PUT', `/profile/${bob.userId}/org.example.card`, { 'org.example.card': { picture: uriOf(id) } }),
    ],
    [
      'is in account data',
      (_: string, id: string) =>
        bob.ok('PUT', `/user/${bob.userId}/account_data/im.ponies.user_emotes`, { images: { a: { url: uriOf(id) } } }),
    ],
    [
      'is in account data of a room',
      (room: string, id: string) =>
        bob.ok('PUT', `/user/${bob.userId}${at(room)}/account_data/org.example.draft`, { body: uriOf(id) }),
    ],
    [
      'is the avatar of a room',
      (room: string, id: string) => ann.ok('PUT', `${at(room)}/state/m.room.avatar`, { url: uriOf(id) }),
    ],
    [
      'is in HTML',
      (room: string, id: string) =>
        bob.ok('PUT', `${at(room)}/send/m.room.message/html`, {
          msgtype: 'm.text',
          body: 'a',
          format: 'org.matrix.custom.html',
          formatted_body: `<img src="${uriOf(id)}">`,
        }),
    ],
    [
      'waits for a device',
      (_: string, id: string) =>
        ann.ok('PUT', `/sendToDevice/org.example.share/1`, { messages: { [bob.userId]: { '*': { url: uriOf(id) } } } }),
    ],
    [
      'was reported, so that it is evidence',
      (room: string, id: string) =>
        sendFile(bob, room, id).then((eventId) =>
          bob
            .ok('POST', `${at(room)}/report/${encodeURIComponent(eventId)}`, { reason: 'look' })
            .then(() => redact(bob, room, eventId)),
        ),
    ],
  ] as const)('a file stays while it %s', async (_what, name) => {
    const roomId = await makeRoom(ann);
    await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
    const mediaId = await upload(app, ann, SECRET);
    const eventId = await sendFile(ann, roomId, mediaId);
    const reply = await name(roomId, mediaId);
    expect(reply).not.toBeNull();
    await redact(ann, roomId, eventId);
    await later();
    expect((await causes()).includes('redaction')).toBe(true);
    expect(await statusOf(ann, mediaId)).toBe(200);
    expect(await differences(app)).toEqual([]);
  });

  it('a file stays while it is to be sent later', async () => {
    await start({ retention: { redacted: '1h' } });
    const roomId = await makeRoom(ann);
    const mediaId = await upload(app, ann, SECRET);
    const eventId = await sendFile(ann, roomId, mediaId);
    const content = { msgtype: 'm.text', body: uriOf(mediaId) };
    const late = `${at(roomId)}/send/m.room.message/late?org.matrix.msc4140.delay=${0.8 * DAY}`;
    const { delay_id: delayId } = await ann.ok('PUT', late, content);
    await redact(ann, roomId, eventId);
    await later(DAY / 2);
    expect([await causes(), isThere(mediaId)]).toEqual([['redaction'], true]);
    const delayed = `/_matrix/client/unstable/org.matrix.msc4140/delayed_events/${String(delayId)}`;
    await ann.ok('POST', delayed, { action: 'cancel' });
    await later(DAY);
    expect(isThere(mediaId)).toBe(false);
  });

  it('a file that two events name goes with the second', async () => {
    const roomId = await makeRoom(ann);
    const mediaId = await upload(app, ann, SECRET);
    const [first, second] = [await sendFile(ann, roomId, mediaId), await sendFile(ann, roomId, mediaId)];
    await redact(ann, roomId, first);
    await later();
    expect(isThere(mediaId)).toBe(true);
    await redact(ann, roomId, second);
    await later();
    expect(isThere(mediaId)).toBe(false);
  });

  it('files go with events that are too old, with a room that is removed, and with the history of one', async () => {
    await start({ retention: { classes: { messages: { max: '30d' } } } });
    const { purges } = app.context.compliance;
    const ids: string[] = [];
    const roomWithFile = async (): Promise<string> => {
      const roomId = await makeRoom(ann);
      const mediaId = await upload(app, ann, `${SECRET} ${ids.length}`);
      ids.push(mediaId);
      await sendFile(ann, roomId, mediaId);
      return roomId;
    };
    const [removed, shortened] = [await roomWithFile(), await roomWithFile()];
    await purges.room(removed);
    expect(ids.map(isThere)).toEqual([false, true]);
    await purges.history(shortened, { beforeMs: app.now() + DAY });
    expect(ids.map(isThere)).toEqual([false, false]);
    await roomWithFile();
    await later(31 * DAY);
    expect(ids.map(isThere)).toEqual([false, false, false]);
    expect(await filesWith(app, SECRET)).toEqual([]);
    expect(await differences(app)).toEqual([]);
  });

  it('a file of others that somebody sent goes with their erasure', async () => {
    const roomId = await makeRoom(ann);
    await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
    const mediaId = await upload(app, ann, SECRET);
    await sendFile(bob, roomId, mediaId);
    const { erasures } = app.context.compliance;
    const wanted = { userId: bob.userId, by: 'operator:y', reason: null, caseId: null, asksPeers: false };
    expect((await erasures.run(await erasures.request(wanted))).erasure.state).toBe('completed');
    expect(isThere(mediaId)).toBe(false);
  });

  it('what two uploads have in common stays with the second', async () => {
    const roomId = await makeRoom(ann);
    const [mine, theirs] = [await upload(app, ann, SECRET), await upload(app, bob, SECRET)];
    await redact(ann, roomId, await sendFile(ann, roomId, mine));
    await later();
    expect([await statusOf(ann, mine), await statusOf(ann, theirs)]).toEqual([404, 200]);
  });
});

describe('what was never seen to be named', () => {
  const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } };

  it('stays, as it may have been sent encrypted', async () => {
    const roomId = await makeRoom(ann, { initial_state: [encryption] });
    const mediaId = await upload(app, ann, SECRET);
    const ciphertext = { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'c', session_id: 's' };
    const { event_id: eventId } = await ann.ok('PUT', `${at(roomId)}/send/m.room.encrypted/1`, ciphertext);
    await redact(ann, roomId, String(eventId));
    await later(400 * DAY);
    expect(await statusOf(ann, mediaId)).toBe(200);
  });

  it('goes after a while where the settings say so, but not of people who are in encrypted rooms', async () => {
    await start({ media: { unsent_lifetime: '2d' } });
    await makeRoom(ann, { initial_state: [encryption] });
    const [hers, his] = [await upload(app, ann, 'hers'), await upload(app, bob, 'his')];
    const sent = await upload(app, bob, 'sent');
    await sendFile(bob, await makeRoom(bob), sent);
    await later(1.5 * DAY);
    expect([hers, his, sent].map(isThere)).toEqual([true, true, true]);
    await later(DAY);
    expect([hers, his, sent].map(isThere)).toEqual([true, false, true]);
    expect(await differences(app)).toEqual([]);
  });
});

it('an avatar goes that was replaced and that no room has seen; what replaced it stays', async () => {
  const [before, now] = [await upload(app, bob, `${SECRET} before`), await upload(app, bob, 'now')];
  for (const mediaId of [before, now]) {
    await bob.ok('PUT', `/profile/${bob.userId}/avatar_url`, { avatar_url: uriOf(mediaId) });
  }
  await later(DAY);
  expect([before, now].map(isThere)).toEqual([false, true]);
  expect(await filesWith(app, `${SECRET} before`)).toEqual([]);
});

it('an avatar that was replaced stays while a room shows the member with it', async () => {
  const roomId = await makeRoom(bob);
  const [before, now] = [await upload(app, bob, SECRET), await upload(app, bob, 'now')];
  for (const mediaId of [before, now]) {
    await bob.ok('PUT', `/profile/${bob.userId}/avatar_url`, { avatar_url: uriOf(mediaId) });
    await app.context.profiles.settled();
  }
  await later();
  expect([before, now].map(isThere)).toEqual([true, true]);
  expect(roomId).toMatch(/^!/);
});

it.each([
  ['of who uploaded it', () => ({ userId: ann.userId })],
  ['of the file', (mediaId: string) => ({ mediaId })],
] as const)('a file stays for a hold %s, and goes when that is released', async (_what, scopeOf) => {
  const roomId = await makeRoom(bob);
  const mediaId = await upload(app, ann, SECRET);
  // Somebody else sends it: the hold is not of the event.
  const eventId = await sendFile(bob, roomId, mediaId);
  const { holds } = app.context.compliance;
  const holdId = await holds.add({ scope: scopeOf(mediaId), ...BY });
  await redact(bob, roomId, eventId);
  await later();
  expect(await causes()).toEqual(['redaction']);
  expect(await statusOf(ann, mediaId)).toBe(200);
  await holds.release(holdId, { by: 'operator:z', reason: 'R' });
  await later(DAY);
  expect(await statusOf(ann, mediaId)).toBe(404);
  expect(await differences(app)).toEqual([]);
});

it('a file stays for the minimum lifetime of media, and goes after it', async () => {
  await start({ retention: { classes: { media: { min: '30d' } } } });
  const roomId = await makeRoom(ann);
  const mediaId = await upload(app, ann, SECRET);
  await redact(ann, roomId, await sendFile(ann, roomId, mediaId));
  await later();
  expect(isThere(mediaId)).toBe(true);
  await later(31 * DAY);
  expect(isThere(mediaId)).toBe(false);
});

it('the record of a destruction names no media in words', async () => {
  const roomId = await makeRoom(ann);
  const mediaId = await upload(app, ann, SECRET);
  await redact(ann, roomId, await sendFile(ann, roomId, mediaId));
  await later();
  for await (const { sections } of app.log.readStream('server-erasures')) {
    for (const section of sections) expect(Buffer.from(section ?? '').includes(mediaId)).toBe(false);
  }
});

it('a server that ended between the event and the file goes on with the file', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-unused-'));
  let nowMs = 1_700_000_000_000;
  const open = () => openFolderApplication(path.join(folder, 'data'), () => nowMs++);
  let one = await open();
  try {
    const person = await one.register('carl');
    const carl = one.as(person);
    const roomId = await makeRoom(carl);
    const media = await one.context.media.upload(Readable.from([Buffer.from(SECRET)]), {
      uploader: carl.userId,
      contentType: 'text/plain',
      fileName: undefined,
      announcedBytes: undefined,
    });
    const eventId = await sendFile(carl, roomId, media.mediaId);
    await redact(carl, roomId, eventId);
    nowMs += WINDOW;
    // The keys of the event are destroyed, and nothing more.
    const { destruction, retention } = one.context.compliance;
    destruction.finish = () => Promise.reject(new Error('the server ends here'));
    await expect(retention.run()).rejects.toThrow('ends here');
    expect(one.context.media.find(media.mediaId)).toBeDefined();
    await one.close();
    one = await open();
    await one.context.compliance.destruction.resume();
    expect(one.context.media.find(media.mediaId)).toBeUndefined();
    expect(await filesWith(one, SECRET)).toEqual([]);
    expect(unfinishedDestructions(one.engine.reader)).toEqual([]);
    expect(await differences(one, dataPaths(one.dataDir).projections)).toEqual([]);
    expect(await say(one.as(person), roomId, 'on')).toMatch(/^\$/);
  } finally {
    await one.close();
    await rm(folder, { recursive: true });
  }
});

describe('files of other servers', () => {
  const REMOTE = { serverName: 'far.example', mediaId: 'picture' };
  const url = `mxc://${REMOTE.serverName}/${REMOTE.mediaId}`;

  async function cache(mediaId = REMOTE.mediaId): Promise<void> {
    app.context.remoteMedia.fetchFrom({
      fetch: async () => ({
        body: Readable.from([Buffer.alloc(400_000, SECRET)]),
        contentType: 'image/png',
        fileName: 'a',
      }),
    });
    await app.context.remoteMedia.get(REMOTE.serverName, mediaId, 0);
  }
  const isCached = async (mediaId = REMOTE.mediaId): Promise<boolean> =>
    (await app.context.remoteMedia.find(REMOTE.serverName, mediaId)) !== undefined;
  const send = async (client: TestClient, roomId: string): Promise<string> =>
    String((await client.ok('PUT', `${at(roomId)}/send/m.sticker/${Math.random()}`, { body: 'a', url }))['event_id']);

  it('leave the cache when nothing names them any more', async () => {
    const roomId = await makeRoom(ann);
    const [first, second] = [await send(ann, roomId), await send(ann, roomId)];
    await cache();
    await redact(ann, roomId, first);
    await later();
    expect(await isCached()).toBe(true);
    await redact(ann, roomId, second);
    await later();
    expect(await isCached()).toBe(false);
    expect(await filesWith(app, SECRET)).toEqual([]);
  });

  it('that are on hold do not make room for others, and go with the hold', async () => {
    await start({ media: { remote_cache: '1MiB' } });
    const roomId = await makeRoom(ann);
    await send(ann, roomId);
    await cache();
    const { holds } = app.context.compliance;
    const ids = [
      await holds.add({ scope: { roomId }, ...BY }),
      await holds.add({ scope: { mediaId: 'named' }, ...BY }),
    ];
    await cache('named');
    for (let number = 0; number < 5; number++) {
      await cache(`other${number}`);
      expect([await isCached(), await isCached('named')]).toEqual([true, true]);
    }
    expect(await isCached('other0')).toBe(false);
    expect(await app.context.remoteMedia.dropUnusedSince(Date.now() + DAY)).toBeGreaterThan(0);
    expect([await isCached(), await isCached('named'), await isCached('other4')]).toEqual([true, true, false]);
    for (const id of ids) await holds.release(id, { by: 'operator:z', reason: 'R' });
    expect(await app.context.remoteMedia.dropUnusedSince(Date.now() + DAY)).toBe(2);
  });
});
