/** A server that is the policy server of a room on another one. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { findRoom, stateContent } from '#projections/rooms/queries.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { verifyEventSignature } from '#protocol/signing.ts';
import { FederationError } from '#src/federation/errors.ts';
import { pduById } from '#src/federation/pdus.ts';
import { POLICY_KEY_ID } from '#src/rooms/policy.ts';
import { sync } from '#test/client-api/sync-client.ts';
import { request, type TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer, testPolicyKey } from '#test/support/federation.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let three: TestServer;
let alice: TestClient;
let bad: TestClient;
let keeper: TestClient;
let roomId: string;
let listId: string;
let txn = 0;

beforeAll(async () => {
  // The list is in a room of the policy server, so it has to be there before it can be named.
  const lists: string[] = [];
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test', { policy_server: { enabled: true, lists, max_mentions: 3 } });
  three = await startServerOn(network, 'three.test');
  alice = await one.register('alice');
  bad = await one.register('bad');
  keeper = await two.register('keeper');
  listId = await makeRoom(keeper);
  two.context.config.policy_server.lists.push(listId);
  roomId = await makeRoom(alice);
  for (const user of [bad, keeper]) await user.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
  const { body } = await request(two.http, 'GET', '/.well-known/matrix/policy_server');
  const content = { via: 'two.test', public_keys: body['public_keys'] };
  await alice.ok('PUT', at(roomId, '/state/m.room.policy'), content);
  await vi.waitUntil(() => inRoom(two, 'm.room.policy') !== undefined, { timeout: 30_000 });
});
afterAll(async () => {
  for (const server of [one, two, three]) await server.close();
});

async function makeRoom(creator: TestClient): Promise<string> {
  return String((await creator.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
}
const at = (room: string, rest: string) => `/rooms/${encodeURIComponent(room)}${rest}`;
const say = (who: TestClient, content: JsonObject = { msgtype: 'm.text', body: 'x' }) =>
  who.call('PUT', at(roomId, `/send/m.room.message/${++txn}`), content);
const rule = (name: string, content: JsonObject) =>
  keeper.ok('PUT', at(listId, `/state/m.policy.rule.user/${name}`), content);

function inRoom(server: TestServer, type: string): JsonObject | undefined {
  const room = findRoom(server.context.reader, roomId);
  return room && stateContent(server.context.reader, room.id, type);
}

function isSigned(server: TestServer, pdu: Pdu): boolean {
  return verifyEventSignature(
    pdu,
    server.context.rooms.rules(roomId),
    'two.test',
    POLICY_KEY_ID,
    testPolicyKey('two.test').publicKey,
  );
}

/** An event of alice that nobody has signed for the policy server. */
function drafted(content: JsonObject = { body: `${++txn}` }): Pdu {
  const { rooms } = one.context;
  return rooms.sign(rooms.draft(roomId, { sender: alice.userId, type: 'm.room.message', content }), rooms.rules(roomId))
    .pdu;
}

async function askToSign(from: TestServer, event: JsonObject): Promise<JsonObject | string> {
  try {
    return await from.context.federation.client.request({
      destination: 'two.test',
      method: 'POST',
      path: '/_matrix/policy/v1/sign',
      content: event,
    });
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
    return `${error.status} ${error.errcode}`;
  }
}

it('what it recommends has its signature, also where its own users say it', async () => {
  for (const [server, user] of [
    [one, alice],
    [two, keeper],
  ] as const) {
    const { status, body } = await say(user);
    expect(status).toBe(200);
    const pdu = await pduById(server.context, String(body['event_id']));
    expect(pdu && isSigned(server, pdu)).toBe(true);
  }
});

it('whom its lists ban cannot say anything, and is told why, until they are let in again', async () => {
  expect((await say(bad)).status).toBe(200);
  await rule('bad', { entity: '@bad:*', recommendation: 'm.ban', reason: 'spam' });
  expect(await say(bad)).toMatchObject({
    status: 400,
    body: { errcode: 'M_FORBIDDEN', error: 'A moderation policy is against this user: spam' },
  });
  expect((await say(alice)).status).toBe(200);
  await rule('bad', {});
  expect((await say(bad)).status).toBe(200);
});

it('whom its lists ban invites nobody, and those who were to be invited hear nothing of it', async () => {
  const carol = await three.register('carol');
  const isInvited = async (): Promise<boolean> => {
    const { rooms } = (await sync(carol)) as { rooms?: { invite?: Record<string, unknown> } };
    return rooms?.invite?.[roomId] !== undefined;
  };
  const invite = (who: TestClient) => who.call('POST', at(roomId, '/invite'), { user_id: carol.userId });
  await rule('bad', { entity: '@bad:*', recommendation: 'm.ban' });
  expect(await invite(bad)).toMatchObject({ status: 400, body: { errcode: 'M_FORBIDDEN' } });
  expect(await isInvited()).toBe(false);
  await rule('bad', {});
  expect((await invite(bad)).status).toBe(200);
  expect(await isInvited()).toBe(true);
});

it('a list that changes all the time is followed', async () => {
  const banned = async (): Promise<boolean> => (await say(bad)).status === 400;
  await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      rule(`other${index}`, { entity: `@other${index}:*`, recommendation: 'm.ban' }),
    ),
  );
  expect(await banned()).toBe(false);
  for (let round = 0; round < 3; round += 1) {
    await rule('bad', { entity: bad.userId, recommendation: 'm.ban' });
    expect(await banned()).toBe(true);
    await rule('bad', { entity: bad.userId, recommendation: 'm.forgive' });
    expect(await banned()).toBe(false);
  }
});

it('its own users are under its rules too', async () => {
  const many = ['@a:x', '@b:x', '@c:x', '@d:x'];
  const answer = await say(keeper, { body: 'x', msgtype: 'm.text', 'm.mentions': { user_ids: many } });
  expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_FORBIDDEN' } });
});

it('signs what it has seen, and nothing else by the same hash', async () => {
  const event = drafted();
  expect(await askToSign(one, event)).toEqual({ 'two.test': { [POLICY_KEY_ID]: expect.any(String) } });
  expect(await askToSign(one, { ...event, content: { body: 'something worse' } })).toBe('400 M_FORBIDDEN');
});

it.each<[string, (event: Pdu) => JsonObject, string]>([
  ['is no event of the room version', ({ depth: _depth, ...rest }) => rest as JsonObject, '400 M_BAD_JSON'],
  ['names no room', ({ room_id: _room, ...rest }) => rest as JsonObject, '400 M_BAD_JSON'],
  ['is of a room that it is not in', (event) => ({ ...event, room_id: '!nowhere:one.test' }), '404 M_NOT_FOUND'],
  ['is too large', (event) => ({ ...event, content: { body: 'x'.repeat(70_000) } }), '400 M_BAD_JSON'],
  ['is beyond any size', (event) => ({ ...event, content: { body: 'x'.repeat(200_000) } }), '413 M_TOO_LARGE'],
])('does not sign what %s', async (_what, change, expected) => {
  expect(await askToSign(one, change(drafted()))).toBe(expected);
});

it('does not sign the event that names it', async () => {
  const { rooms } = one.context;
  const event = { sender: alice.userId, type: 'm.room.policy', stateKey: '', content: {} };
  const { pdu } = rooms.sign(rooms.draft(roomId, event), rooms.rules(roomId));
  expect(await askToSign(one, pdu)).toBe('400 M_FORBIDDEN');
});

it('signs for no server that the room shuts out, and goes on for the room', async () => {
  expect(await askToSign(three, drafted())).toEqual({ 'two.test': { [POLICY_KEY_ID]: expect.any(String) } });
  await alice.ok('PUT', at(roomId, '/state/m.room.server_acl'), { allow: ['*'], deny: ['three.test'] });
  await vi.waitUntil(() => inRoom(two, 'm.room.server_acl') !== undefined, { timeout: 30_000 });
  expect(await askToSign(three, drafted())).toBe('403 M_FORBIDDEN');
  expect((await say(alice)).status).toBe(200);
});

it('signs for the rooms that it was told to, if it was', async () => {
  const strict = await startServerOn(new TestNetwork(), 'two.test', { policy_server: { enabled: true, rooms: [] } });
  const user = await strict.register('user');
  const room = await makeRoom(user);
  const { rooms, policyService } = strict.context;
  const draft = rooms.draft(room, { sender: user.userId, type: 'm.room.message', content: {} });
  await expect(policyService?.sign('two.test', rooms.sign(draft, rooms.rules(room)).pdu)).rejects.toThrow(/look after/);
  await strict.close();
});

it('a room whose policy server has stopped being one says so', async () => {
  const user = await one.register('user');
  const room = await makeRoom(user);
  const keys = { ed25519: testPolicyKey('one.test').publicKey.toString() };
  await user.ok('PUT', at(room, '/state/m.room.policy'), { via: 'one.test', public_keys: keys });
  const answer = await user.call('PUT', at(room, '/send/m.room.message/1'), { msgtype: 'm.text', body: 'x' });
  expect(answer).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
  await user.ok('PUT', at(room, '/state/m.room.policy'), {});
  await user.ok('PUT', at(room, '/send/m.room.message/1'), { msgtype: 'm.text', body: 'x' });
});

it('no key is published where there is no policy server', async () => {
  expect((await request(one.http, 'GET', '/.well-known/matrix/policy_server')).status).toBe(404);
});
