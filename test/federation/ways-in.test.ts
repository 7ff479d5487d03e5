/** Ways into rooms that lead past servers which cannot let anybody in. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findRoom, stateEvent } from '#projections/rooms/queries.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const PATIENCE = { timeout: 30_000 };

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let three: TestServer;
let alice: TestClient;
let users = 0;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  three = await startServerOn(network, 'three.test');
  alice = await one.register('alice');
});
afterAll(async () => {
  await one.close();
  await two.close();
  await three.close();
});

const at = (roomId: string, rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;
const somebodyOf = (server: TestServer): Promise<TestClient> => {
  users += 1;
  return server.register(`user${users}`);
};
const create = async (settings: object): Promise<string> =>
  String((await alice.ok('POST', '/createRoom', settings))['room_id']);
const join = (who: TestClient, roomId: string, ...via: string[]) =>
  who.call('POST', `/join/${encodeURIComponent(roomId)}?${via.map((server) => `via=${server}`).join('&')}`, {});
const membership = async ({ userId }: TestClient, roomId: string): Promise<unknown> =>
  (await alice.call('GET', at(roomId, `/state/m.room.member/${userId}`))).body['membership'];

it('each server that is named is asked in turn', async () => {
  const roomId = await create({ preset: 'public_chat' });
  const bob = await somebodyOf(two);
  expect((await join(bob, roomId, 'nowhere.test', 'three.test', 'one.test')).status).toBe(200);
  expect(await membership(bob, roomId)).toBe('join');
  const carol = await somebodyOf(three);
  expect((await join(carol, roomId, 'nowhere.test')).status).not.toBe(200);
  expect(await membership(carol, roomId)).toBeUndefined();
});

describe.each(['restricted', 'knock_restricted'])('a room that is %s to members of another', (rule) => {
  let space: string;
  let roomId: string;

  /** Carol of three.test is in it, and may let nobody in. */
  beforeAll(async () => {
    space = await create({ preset: 'public_chat' });
    const content = { join_rule: rule, allow: [{ type: 'm.room_membership', room_id: space }] };
    roomId = await create({
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content }],
      power_level_content_override: { invite: 50 },
    });
    const carol = await somebodyOf(three);
    for (const room of [space, roomId]) expect((await join(carol, room, 'one.test')).status).toBe(200);
  });

  it('is entered through whoever may let somebody in, on this server or another', async () => {
    const [bob, dora] = [await somebodyOf(two), await somebodyOf(two)];
    for (const user of [bob, dora]) expect((await join(user, space, 'one.test')).status).toBe(200);
    expect((await join(bob, roomId, 'three.test', 'one.test')).status).toBe(200);
    // Now her own server is in the room, where nobody of it may let her in.
    await expect.poll(() => membership(dora, space), PATIENCE).toBe('join');
    expect((await join(dora, roomId)).status).toBe(200);
    for (const user of [bob, dora]) await expect.poll(() => membership(user, roomId), PATIENCE).toBe('join');
  });

  it('is closed to others, but for a knock where it has one', async () => {
    const stranger = await somebodyOf(two);
    expect((await join(stranger, roomId, 'one.test')).status).toBe(403);
    const knocked = await stranger.call('POST', `/knock/${encodeURIComponent(roomId)}?via=one.test`, {});
    expect(knocked.status).toBe(rule === 'restricted' ? 403 : 200);
    const standing = rule === 'restricted' ? undefined : 'knock';
    await expect.poll(() => membership(stranger, roomId), PATIENCE).toBe(standing);
  });
});

/** As if somebody of three.test had put a user out; gives what is answered about the event. */
async function sendEnd(roomId: string, invite: string, userId: string): Promise<unknown> {
  const { rooms, federation, clock } = three.context;
  const rules = roomVersionRules('12') ?? expect.fail();
  const draft = {
    type: 'm.room.member',
    room_id: roomId,
    sender: '@mallory:three.test',
    state_key: userId,
    content: { membership: 'leave' },
    origin_server_ts: clock(),
    depth: 20,
    prev_events: [invite],
    auth_events: [invite],
  };
  const { pdu, eventId } = rooms.sign(draft, rules);
  const answer = await federation.client.request({
    destination: 'two.test',
    method: 'PUT',
    path: '/_matrix/federation/v1/send/end',
    content: { origin: 'three.test', origin_server_ts: clock(), pdus: [pdu], edus: [] },
  });
  return (answer['pdus'] as Record<string, unknown>)[eventId];
}

it('an invite that is taken back is gone for whoever got it', async () => {
  const bob = await somebodyOf(two);
  const roomId = await create({ preset: 'private_chat', invite: [bob.userId] });
  const standing = async (): Promise<string[]> => {
    const { rooms = {} } = (await bob.ok('GET', '/sync')) as { rooms?: Record<string, Record<string, unknown>> };
    return Object.keys(rooms).filter((list) => roomId in (rooms[list] ?? {}));
  };
  expect(await standing()).toEqual(['invite']);
  const { reader } = one.engine;
  const invite = stateEvent(reader, findRoom(reader, roomId)?.id ?? -1, 'm.room.member', bob.userId)?.eventId ?? '';
  expect(await sendEnd(roomId, invite, bob.userId)).toMatchObject({ error: expect.any(String) });
  expect(await standing()).toEqual(['invite']);
  await alice.ok('POST', at(roomId, '/kick'), { user_id: bob.userId });
  await expect.poll(standing, PATIENCE).not.toContain('invite');
  expect((await join(bob, roomId, 'one.test')).status).toBe(403);
});
