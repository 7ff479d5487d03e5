/** Spaces whose rooms are on another server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  alice = await one.register('alice');
  bob = await two.register('bob');
});
afterAll(async () => {
  await one.close();
  await two.close();
});

const SPACE = { preset: 'public_chat', creation_content: { type: 'm.space' } };
const create = async (by: TestClient, options: object): Promise<string> =>
  String((await by.ok('POST', '/createRoom', options))['room_id']);
const link = (by: TestClient, space: string, child: string, content: object) =>
  by.ok('PUT', `/rooms/${space}/state/m.space.child/${encodeURIComponent(child)}`, content);

it('are shown as far as the other server tells, with what the user may see', async () => {
  const there = {
    space: await create(bob, { ...SPACE, name: 'Far away' }),
    open: await create(bob, { preset: 'public_chat', name: 'Open' }),
    knock: await create(bob, { initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }] }),
    closed: await create(bob, {}),
  };
  for (const child of [there.open, there.knock, there.closed])
    await link(bob, there.space, child, { via: ['two.test'] });
  const here = await create(alice, { ...SPACE, name: 'Here' });
  const nobody = '!nobody:three.test';
  await link(alice, here, there.space, { via: ['three.test', 'two.test'] });
  await link(alice, here, nobody, { via: ['three.test'] });
  const page = await alice.ok('GET', `/_matrix/client/v1/rooms/${here}/hierarchy`);
  const rooms = page['rooms'] as unknown as { room_id: string; name?: string; children_state: unknown[] }[];
  expect(rooms.map(({ room_id }) => room_id)).toEqual([here, there.space, there.open, there.knock]);
  expect(rooms[1]).toMatchObject({ name: 'Far away', room_type: 'm.space', num_joined_members: 1 });
  expect(rooms[1]?.children_state).toHaveLength(3);
  expect(rooms[2]).toMatchObject({ name: 'Open', join_rule: 'public', children_state: [] });
});

it('a room of another server has a summary for those who name a server that knows it', async () => {
  const room = await create(bob, { preset: 'public_chat', name: 'Open', room_alias_name: 'open' });
  const closed = await create(bob, {});
  const at = (roomId: string, via: string) =>
    `/_matrix/client/v1/room_summary/${encodeURIComponent(roomId)}?via=${via}`;
  expect(await alice.ok('GET', at(room, 'two.test'))).toMatchObject({
    room_id: room,
    name: 'Open',
    room_version: '12',
  });
  expect(await alice.ok('GET', at('#open:two.test', ''))).toMatchObject({ room_id: room });
  expect((await one.http.inject({ url: at('#open:two.test', '') })).statusCode).toBe(404);
  expect((await alice.call('GET', at(closed, 'two.test'))).status).toBe(404);
  expect((await one.http.inject({ url: at(room, 'two.test') })).statusCode).toBe(404);
});

it('another server is told nothing of rooms that are not for it', async () => {
  const closed = await create(bob, { creation_content: { type: 'm.space' } });
  const ask = (roomId: string) =>
    one.context.federation.client.request({
      destination: 'two.test',
      method: 'GET',
      path: `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}?suggested_only=true`,
    });
  await expect(ask(closed)).rejects.toMatchObject({ status: 404, errcode: 'M_NOT_FOUND' });
  await expect(ask('!none:two.test')).rejects.toMatchObject({ status: 404 });
  const open = await create(bob, SPACE);
  const [suggested, other] = [
    await create(bob, { preset: 'public_chat' }),
    await create(bob, { preset: 'public_chat' }),
  ];
  await link(bob, open, suggested, { via: ['two.test'], suggested: true });
  await link(bob, open, other, { via: ['two.test'] });
  await link(bob, open, closed, { via: ['two.test'], suggested: true });
  expect(await ask(open)).toMatchObject({
    room: { room_id: open, room_type: 'm.space', children_state: [{ state_key: suggested }, { state_key: closed }] },
    children: [{ room_id: suggested }],
    inaccessible_children: [closed],
  });
});
