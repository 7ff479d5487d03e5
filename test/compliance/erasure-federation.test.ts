/** What other servers are asked for when somebody is erased here, and what they are not asked for. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventById } from '#projections/rooms/queries.ts';
import { TwoServers } from '#test/federation/two-in-a-room.ts';
import { filesWith, say } from './support.ts';

const SECRET = 'Blaubeerkuchenrezept';

let servers: TwoServers;
beforeAll(async () => {
  servers = await TwoServers.start();
});
afterAll(() => servers.close());

/** What the second server shows of an event; undefined while it does not know it. */
function shownByTwo(eventId: string): string | undefined {
  return eventById(servers.two.context.reader, eventId)?.contentJson;
}

async function erase(userId: string, asksPeers: boolean) {
  const { erasures } = servers.one.context.compliance;
  const wish = { userId, by: 'operator:x', reason: null, caseId: null, asksPeers };
  const { certificate } = await erasures.run(await erasures.request(wish));
  return JSON.parse(certificate?.document ?? '{}') as { events_redacted_elsewhere: number };
}

test('servers in a room with who is erased are asked to redact what they wrote there, and do', async () => {
  const { alice, bob, roomId } = await servers.meet();
  const written = [await say(alice, roomId, `${SECRET} one`), await say(alice, roomId, `${SECRET} two`)];
  const theirs = await say(bob, roomId, 'of the other');
  await servers.eventually(() => written.every((eventId) => shownByTwo(eventId)?.includes(SECRET)));

  expect((await erase(alice.userId, true)).events_redacted_elsewhere).toBe(2);

  await servers.eventually(() => written.every((eventId) => shownByTwo(eventId) === '{}'));
  expect(shownByTwo(theirs)).toContain('of the other');
  expect(await filesWith(servers.one, SECRET)).toEqual([]);
  const at = `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(written[0] ?? '')}`;
  expect((await bob.ok('GET', at))['content']).toEqual({});
});

test('nobody is asked where the request says so', async () => {
  const { alice, bob, roomId } = await servers.meet();
  const eventId = await say(alice, roomId, `${SECRET} alone`);
  await servers.eventually(() => shownByTwo(eventId)?.includes(SECRET) === true);
  expect((await erase(alice.userId, false)).events_redacted_elsewhere).toBe(0);
  // The other server has got all that came of the erasure once it knows that the account left.
  await servers.eventually(async () => {
    const { joined } = await bob.ok('GET', `/rooms/${encodeURIComponent(roomId)}/joined_members`);
    return !Object.keys(joined ?? {}).includes(alice.userId);
  });
  expect(shownByTwo(eventId)).toContain(SECRET);
});

test('in a room that they had left nobody can redact in their name: it goes here, and stays there', async () => {
  const { alice, roomId } = await servers.meet();
  const eventId = await say(alice, roomId, `${SECRET} left behind`);
  await servers.eventually(() => shownByTwo(eventId)?.includes(SECRET) === true);
  await alice.ok('POST', `/rooms/${encodeURIComponent(roomId)}/leave`, {});

  expect((await erase(alice.userId, true)).events_redacted_elsewhere).toBe(0);

  expect(await filesWith(servers.one, `${SECRET} left behind`)).toEqual([]);
  expect(shownByTwo(eventId)).toContain(SECRET);
});
