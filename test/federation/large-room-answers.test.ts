/** Questions about a room of thousands: whoever asks them all the time holds nobody up. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { federationPath } from '#src/federation/client.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const MEMBERS = 1500;
/** Of work; what a turn has is a few. */
const MAX_TURN_MS = 200;

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let roomId: string;
let eventId: string;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  const alice = await one.register('alice');
  const bob = await two.register('bob');
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
  const { rooms } = one.context;
  const joins = Array.from({ length: MEMBERS }, (_, index) => {
    const sender = `@member${index}:one.test`;
    return { sender, type: 'm.room.member', stateKey: sender, content: { membership: 'join' } };
  });
  for (let begin = 0; begin < MEMBERS; begin += 50) {
    await Promise.all(joins.slice(begin, begin + 50).map((join) => rooms.send(roomId, join)));
  }
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
  const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`;
  eventId = String((await alice.ok('PUT', path, { msgtype: 'm.text', body: 'x' }))['event_id']);
}, 120_000);
afterAll(async () => {
  await one.close();
  await two.close();
}, 60_000);

/** The longest turn of the event loop, in milliseconds of work. */
async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  const cpuMs = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let longestMs = 0;
  let beforeMs = cpuMs();
  let look = setImmediate(function lookAgain() {
    const nowMs = cpuMs();
    longestMs = Math.max(longestMs, nowMs - beforeMs);
    beforeMs = nowMs;
    look = setImmediate(lookAgain);
  });
  await work();
  clearImmediate(look);
  return longestMs;
}

const query = () => `?event_id=${encodeURIComponent(eventId)}`;

it.each<[string, () => string]>([
  ['the ids of its state', () => federationPath`/_matrix/federation/v1/state_ids/${roomId}` + query()],
  ['its state', () => federationPath`/_matrix/federation/v1/state/${roomId}` + query()],
  ['what authorises an event', () => federationPath`/_matrix/federation/v1/event_auth/${roomId}/${eventId}`],
])('%s', async (_what, path) => {
  let bytes = 0;
  const longestMs = await longestTurn(async () => {
    const asking = Array.from({ length: 4 }, async () => {
      const { body } = await two.context.federation.client.stream({
        destination: 'one.test',
        method: 'GET',
        path: path(),
        maxAnswerBytes: 100 * 1024 * 1024,
      });
      for await (const chunk of body) bytes += (chunk as Buffer).length;
    });
    await Promise.all(asking);
  });
  expect(bytes).toBeGreaterThan(4 * 200);
  expect(longestMs).toBeLessThan(MAX_TURN_MS);
});
