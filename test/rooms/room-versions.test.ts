/** A data folder with rooms of every version, as an operator has it: stopped, killed, started again, verified and replayed. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { SteleProcess, type TestUser } from '#test/support/stele-process.ts';

const DEADLINE_MS = 120_000;

let server: SteleProcess;
let alice: TestUser;
/** Room version → room id. */
const rooms = new Map<string, string>();
/** Room version → the first message in its room. */
const messages = new Map<string, string>();

beforeAll(async () => {
  server = await SteleProcess.make();
  await server.start();
  alice = await server.register('alice');
}, DEADLINE_MS);
afterAll(() => server.remove());

async function say(roomId: string, body: string): Promise<string> {
  const { event_id } = await alice.call('PUT', `/rooms/${roomId}/send/m.room.message/${body}`, { body });
  return String(event_id);
}

test(
  'rooms of every version go on after a stop and after a kill, and everything checks out',
  async () => {
    for (const version of SUPPORTED_ROOM_VERSIONS) {
      const { room_id } = await alice.call('POST', '/createRoom', { room_version: version });
      rooms.set(version, String(room_id));
      messages.set(version, await say(String(room_id), 'before'));
    }
    // What else comes from the log into tables of its own: reports, guests, a room that is replaced.
    await alice.call('POST', `/users/${alice.userId}/report`, { reason: 'testing' });
    await fetch(`${server.url}/_matrix/client/v3/register?kind=guest`, { method: 'POST', body: '{}' });
    const { room_id: oldRoom } = await alice.call('POST', '/createRoom', { room_version: '10' });
    await alice.call('POST', `/rooms/${oldRoom}/upgrade`, { new_version: '12' });
    await server.stop();
    await server.start();
    for (const [version, roomId] of rooms) {
      const target = encodeURIComponent(messages.get(version) ?? '');
      await alice.call('PUT', `/rooms/${roomId}/redact/${target}/stopped`, {});
      await say(roomId, 'stopped');
    }
    await server.stop('SIGKILL');
    await server.start();
    for (const [, roomId] of rooms) {
      await say(roomId, 'killed');
      const { chunk } = await alice.call('GET', `/rooms/${roomId}/messages?dir=b&limit=4`);
      expect((chunk as { content: object }[]).map(({ content }) => content)).toMatchObject([
        { body: 'killed' },
        { body: 'stopped' },
        { redacts: expect.any(String) },
        {},
      ]);
    }
    await server.stop();
    const verified = await server.run('verify', '--config', server.configFile);
    expect([verified.status, verified.stdout]).toEqual([0, expect.stringContaining('The log is whole')]);
    const replayed = await server.run('replay', '--check', '--config', server.configFile);
    expect([replayed.status, replayed.stdout]).toEqual([0, '']);
  },
  DEADLINE_MS,
);

test.each([
  ['1', false],
  ['3', true],
  ['12', true],
])(
  'an event of version %s is proven, and whether its id vouches for it: %j',
  async (version, isIdHash) => {
    const eventId = messages.get(version) ?? '';
    const made = await server.run('proof', eventId, '--with-skeleton', '--config', server.configFile);
    expect([made.status, made.stderr]).toEqual([0, '']);
    const file = path.join(server.folder, `proof-${version}.json`);
    await writeFile(file, made.stdout);
    const asJson = await server.run('proof', 'check', file, '--json');
    expect(JSON.parse(asJson.stdout)).toMatchObject({ ok: true, eventId, isIdHash, roomId: rooms.get(version) });
    const inWords = await server.run('proof', 'check', file);
    expect(inWords.stdout.includes('servers choose the ids of events')).toBe(!isIdHash);
  },
  DEADLINE_MS,
);
