/**
 * After an erasure nothing of the person is left, wherever they left it: in no file as it is, and in no record that can still be
 * opened with a key.
 */
import { readdir } from 'node:fs/promises';
import { Readable } from 'node:stream';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { dataPaths } from '#src/data-paths.ts';
import { newSignerText, parseSigner } from '#streams/transparency/note.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { filesWith, makeRoom, say } from './support.ts';

const signer = parseSigner(newSignerText('example.org/log'));
const by = { by: 'operator:test', reason: 'A request by letter', caseId: 'DP-1', asksPeers: true };

/** Where the subject left something; each is found by a word of its own. */
const PLACES = [
  ...['display-name', 'avatar-file', 'avatar-name', 'room-nick', 'status', 'profile-field'],
  ...['message', 'edit', 'redacted', 'room-name', 'room-topic', 'poll', 'invite-reason', 'leave-reason', 'delayed'],
  ...['file', 'file-name', 'account-data', 'room-account-data', 'tag', 'filter', 'device-name', 'push-app', 'push-key'],
  ...['push-rule', 'to-device', 'to-device-for-them', 'backup', 'device-key', 'report', 'captured'],
  'admin-set-name',
] as const;
type Place = (typeof PLACES)[number];

/** As the search index has it. */
const WORD = 'zwetschgenmus';
const word = (place: Place): string => `Zwetschgenmus.${PLACES.indexOf(place) + 100}.${place}.`;

let app: TestApplication;
let subject: TestClient;
let other: TestClient;
let admin: TestClient;
let roomId: string;

beforeEach(async () => {
  app = await startApplication(
    {},
    { proof: { checkpoint: async () => 'a checkpoint', sign: (text) => signer.sign(text) } },
  );
  subject = await app.register('subject');
  other = await app.register('other');
  admin = await app.register('admin');
  await app.context.accounts.setAdmin(admin.userId, true);
  roomId = await makeRoom(other, {
    name: 'The room of the other',
    power_level_content_override: { users_default: 50 },
  });
  await subject.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
});
afterEach(() => app.close());

const at = (rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;

async function uploaded(place: Place, fileName: string): Promise<string> {
  const media = await app.context.media.upload(Readable.from([Buffer.from(`${word(place)} ${Math.random()}`)]), {
    uploader: subject.userId,
    contentType: 'text/plain',
    fileName,
    announcedBytes: undefined,
  });
  return media.mediaId;
}

/** Everything that a person can leave behind, and that others are told of. */
async function live(): Promise<void> {
  const me = encodeURIComponent(subject.userId);
  const avatar = await uploaded('avatar-file', `${word('avatar-name')}.png`);
  await uploaded('file', `${word('file-name')}.txt`);
  await subject.ok('PUT', `/profile/${me}/displayname`, { displayname: word('display-name') });
  await subject.ok('PUT', `/profile/${me}/avatar_url`, { avatar_url: `mxc://localhost/${avatar}` });
  await subject.ok('PUT', `/profile/${me}/org.example.motto`, { 'org.example.motto': word('profile-field') });
  const member = { membership: 'join', displayname: word('room-nick') };
  await subject.ok('PUT', at(`/state/m.room.member/${me}`), member);
  await subject.ok('PUT', `/presence/${me}/status`, { presence: 'online', status_msg: word('status') });
  // Others look at rooms that the subject is named in: heroes, lists, what is kept for the next sync.
  const direct = await makeRoom(subject, { invite: [other.userId], preset: 'private_chat' });
  await other.ok('POST', `/join/${encodeURIComponent(direct)}`, {});
  await other.ok('POST', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0', {
    conn_id: 'main',
    lists: { all: { ranges: [[0, 10]], timeline_limit: 5, required_state: [['*', '*']] } },
  });
  await other.ok('GET', '/sync?timeout=0');

  const eventId = await say(subject, roomId, word('message'));
  await subject.ok('PUT', at('/send/m.room.message/edit'), {
    msgtype: 'm.text',
    body: '*',
    'm.new_content': { msgtype: 'm.text', body: word('edit') },
    'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
  });
  await say(subject, roomId, word('captured')).then((id) =>
    admin
      .ok('POST', `/join/${encodeURIComponent(roomId)}`, {})
      .then(() => other.ok('PUT', at(`/redact/${encodeURIComponent(id)}/r1`), { reason: 'rude' })),
  );
  const redacted = await say(subject, roomId, word('redacted'));
  await subject.ok('PUT', at(`/redact/${encodeURIComponent(redacted)}/r2`), {});
  await subject.ok('PUT', at('/state/m.room.name'), { name: word('room-name') });
  await subject.ok('PUT', at('/state/m.room.topic'), { topic: word('room-topic') });
  await subject.ok('PUT', at('/state/org.example.poll/x'), { q: word('poll') });
  await subject
    .ok('POST', at('/invite'), { user_id: '@nobody:localhost', reason: word('invite-reason') })
    .catch(() => {});
  await subject.ok('PUT', at('/send/m.room.message/later?org.matrix.msc4140.delay=3600000'), {
    msgtype: 'm.text',
    body: word('delayed'),
  });
  const room = encodeURIComponent(roomId);
  await subject.ok('PUT', `/user/${me}/account_data/org.example`, { note: word('account-data') });
  await subject.ok('PUT', `/user/${me}/rooms/${room}/account_data/org.example`, { note: word('room-account-data') });
  await subject.ok('PUT', `/user/${me}/rooms/${room}/tags/u.${word('tag')}`, { order: 0.5 });
  await subject.ok('POST', `/user/${me}/filter`, { room: { timeline: { types: [word('filter')] } } });
  await subject.ok('PUT', `/devices/${subject.deviceId}`, { display_name: word('device-name') });
  await subject.ok('POST', '/pushers/set', {
    app_id: word('push-app'),
    pushkey: word('push-key'),
    kind: 'http',
    app_display_name: 'app',
    device_display_name: 'device',
    lang: 'en',
    data: { url: 'https://push.example.org/_matrix/push/v1/notify' },
  });
  await subject.ok('PUT', `/pushrules/global/content/mine`, { pattern: word('push-rule'), actions: ['notify'] });
  await subject.ok('POST', at(`/receipt/m.read/${encodeURIComponent(eventId)}`), {});
  const content = (place: Place, who: TestClient) => ({
    messages: { [who.userId]: { [who.deviceId]: { text: word(place) } } },
  });
  await subject.ok('PUT', '/sendToDevice/org.example/t1', content('to-device', other));
  await other.ok('PUT', '/sendToDevice/org.example/t2', content('to-device-for-them', subject));
  await subject.ok('POST', '/keys/upload', {
    device_keys: {
      user_id: subject.userId,
      device_id: subject.deviceId,
      algorithms: [word('device-key')],
      keys: {},
      signatures: {},
    },
  });
  const { version } = await subject.ok('POST', '/room_keys/version', {
    algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
    auth_data: { public_key: 'x', signatures: {} },
  });
  await subject.ok('PUT', `/room_keys/keys/${room}/session?version=${String(version)}`, {
    first_message_index: 0,
    forwarded_count: 0,
    is_verified: true,
    session_data: { ciphertext: word('backup') },
  });
  await other.ok('POST', at(`/report/${encodeURIComponent(eventId)}`), { reason: 'It is about plums.' });
  await subject.ok('POST', at(`/report/${encodeURIComponent(eventId)}`), { reason: word('report') });
  await admin.ok('PUT', `/_synapse/admin/v2/users/${me}`, { displayname: word('admin-set-name') });
  // What is made of what they left: an index of their words, small copies of their pictures.
  await other.ok('POST', '/search', { search_categories: { room_events: { search_term: WORD } } });
  const picture = await sharp({ create: { width: 640, height: 480, channels: 3, background: 'purple' } })
    .png()
    .toBuffer();
  const { mediaId } = await app.context.media.upload(Readable.from([picture]), {
    uploader: subject.userId,
    contentType: 'image/png',
    fileName: undefined,
    announcedBytes: undefined,
  });
  const small = await other.call(
    'GET',
    `/_matrix/client/v1/media/thumbnail/localhost/${mediaId}?width=96&height=96&method=crop`,
  );
  expect(small.status).toBe(200);
  await subject.ok('POST', at('/leave'), { reason: word('leave-reason') });
}

/** Files that are made of what people leave. */
async function derived(): Promise<{ readonly indexed: string[]; readonly thumbnails: string[] }> {
  const paths = dataPaths(app.context.config.data_dir);
  const thumbnails = await readdir(paths.thumbnails, { recursive: true, withFileTypes: true }).catch(() => []);
  return {
    indexed: await filesWith(app, WORD),
    thumbnails: thumbnails.filter((one) => one.isFile()).map(({ name }) => name),
  };
}

/** Where a text still is: names of files, and positions of records that can be opened. */
async function remains(text: string): Promise<string[]> {
  const found = await filesWith(app, text);
  for await (const records of app.log.readAll(-1)) {
    for (const { sections, position, stream, kind } of records) {
      if (sections.some((section) => section !== null && Buffer.from(section).includes(text)))
        found.push(`record ${position}: ${kind} in ${stream}`);
    }
  }
  return found;
}

it('leaves nothing of them, wherever they left it', { timeout: 240_000 }, async () => {
  await live();
  await app.engine.copySafely();
  const made = await derived();
  expect(made.indexed.some((file) => file.includes('search'))).toBe(true);
  expect(made.thumbnails).not.toEqual([]);
  const left = new Map<Place, string[]>();
  for (const place of PLACES) left.set(place, await remains(word(place)));
  // Each word has to be somewhere before, or its absence afterwards says nothing.
  // What people do at the moment is only in memory.
  const EXPECTED_NOWHERE: readonly Place[] = ['status'];
  expect([...left].filter(([, where]) => where.length === 0).map(([place]) => place)).toEqual(EXPECTED_NOWHERE);

  const { erasures } = app.context.compliance;
  const { erasure } = await erasures.run(await erasures.request({ userId: subject.userId, ...by }));
  expect(erasure.state).toBe('completed');

  const after: Record<string, string[]> = {};
  for (const place of PLACES) {
    const where = await remains(word(place));
    if (where.length > 0) after[place] = where;
  }
  expect(after).toEqual({});
  expect(await derived()).toEqual({ indexed: [], thumbnails: [] });
});
