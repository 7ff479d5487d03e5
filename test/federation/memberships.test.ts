/** Users of one server in rooms of another: every way in and out. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

const path = (roomId: string, rest: string) => `/rooms/${encodeURIComponent(roomId)}${rest}`;
const membershipOf = async (who: TestClient, roomId: string, userId: string) =>
  (await who.ok('GET', path(roomId, `/state/m.room.member/${userId}`)))['membership'];

describe.each(['1', '6', '10', '11', '12'])('a room of version %s', (version) => {
  const roomOfAlice = async (preset: string, more: object = {}) =>
    String((await alice.ok('POST', '/createRoom', { preset, room_version: version, ...more }))['room_id']);

  it('is joined by a user of the other server, who sees its state and can speak', async () => {
    const roomId = await roomOfAlice('public_chat', { name: 'Tea' });
    await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
    expect(await bob.ok('GET', path(roomId, '/state/m.room.name'))).toEqual({ name: 'Tea' });
    expect(await membershipOf(alice, roomId, bob.userId)).toBe('join');
    expect(await membershipOf(bob, roomId, alice.userId)).toBe('join');
    const sync = await bob.ok('GET', '/sync');
    const joined = (sync['rooms'] as unknown as { join: Record<string, { state: { events: { type: string }[] } }> })
      .join;
    expect(joined[roomId]?.state.events.map(({ type }) => type)).toContain('m.room.name');
    expect(
      await bob.ok('PUT', path(roomId, '/send/m.room.message/1'), { body: 'hi', msgtype: 'm.text' }),
    ).toMatchObject({
      event_id: expect.any(String),
    });
  });

  it('is entered by an invite, with what the inviting server tells of it', async () => {
    const roomId = await roomOfAlice('private_chat', { name: 'Secret' });
    await alice.ok('POST', path(roomId, '/invite'), { user_id: bob.userId });
    const sync = await bob.ok('GET', '/sync');
    const invited = (sync['rooms'] as unknown as { invite: Record<string, { invite_state: { events: object[] } }> })
      .invite;
    expect(invited[roomId]?.invite_state.events).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: 'm.room.name', content: { name: 'Secret' } }),
        expect.objectContaining({ type: 'm.room.member', state_key: bob.userId }),
      ]),
    );
    await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
    expect(await membershipOf(alice, roomId, bob.userId)).toBe('join');
  });

  it('is turned down by whoever was invited', async () => {
    const roomId = await roomOfAlice('private_chat', { invite: [bob.userId] });
    await bob.ok('POST', path(roomId, '/leave'), {});
    expect(await membershipOf(alice, roomId, bob.userId)).toBe('leave');
    const sync = await bob.ok('GET', '/sync');
    expect((sync['rooms'] as unknown as { invite?: object } | undefined)?.invite ?? {}).not.toHaveProperty([roomId]);
  });

  it('is not for those who may not come in', async () => {
    const roomId = await roomOfAlice('private_chat');
    const { status, body } = await bob.call('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
    expect({ status, body }).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
  });
});

describe.each(['7', '11', '12'])('a room of version %s that one can knock on', (version) => {
  it('hears that a knock is taken back', async () => {
    const initial_state = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }];
    const made = await alice.ok('POST', '/createRoom', {
      preset: 'private_chat',
      room_version: version,
      initial_state,
    });
    const roomId = String(made['room_id']);
    await bob.ok('POST', `/knock/${encodeURIComponent(roomId)}?via=one.test`, {});
    expect(await membershipOf(alice, roomId, bob.userId)).toBe('knock');
    await bob.ok('POST', path(roomId, '/leave'), {});
    expect(await membershipOf(alice, roomId, bob.userId)).toBe('leave');
  });

  it('hears the knock, and lets in', async () => {
    const initial_state = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }];
    const { room_id: roomId } = (await alice.ok('POST', '/createRoom', {
      room_version: version,
      initial_state,
      name: 'Door',
    })) as unknown as { room_id: string };
    await bob.ok('POST', `/knock/${encodeURIComponent(roomId)}?via=one.test`, { reason: 'please' });
    expect(await membershipOf(alice, roomId, bob.userId)).toBe('knock');
    const sync = await bob.ok('GET', '/sync');
    expect((sync['rooms'] as unknown as { knock: object }).knock).toHaveProperty([roomId]);
    await alice.ok('POST', path(roomId, '/invite'), { user_id: bob.userId });
    await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
    expect(await membershipOf(bob, roomId, bob.userId)).toBe('join');
  });
});

it('lets in who is in another room, where a member vouches', async () => {
  const { room_id: space } = (await alice.ok('POST', '/createRoom', { preset: 'public_chat' })) as unknown as {
    room_id: string;
  };
  const initial_state = [
    {
      type: 'm.room.join_rules',
      state_key: '',
      content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
    },
  ];
  const { room_id: roomId } = (await alice.ok('POST', '/createRoom', { initial_state })) as unknown as {
    room_id: string;
  };
  const join = () => bob.call('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
  expect((await join()).status).toBe(403);
  await bob.ok('POST', `/join/${encodeURIComponent(space)}?via=one.test`, {});
  expect((await join()).status).toBe(200);
  expect(await membershipOf(alice, roomId, bob.userId)).toBe('join');
});

it('is left for good by whom nobody can be told about', async () => {
  const { room_id: roomId } = (await alice.ok('POST', '/createRoom', { invite: [bob.userId] })) as unknown as {
    room_id: string;
  };
  network.setReachable('one.test', false);
  await bob.ok('POST', path(roomId, '/leave'), {});
  network.setReachable('one.test', true);
  const sync = await bob.ok('GET', '/sync');
  expect((sync['rooms'] as unknown as { invite?: object } | undefined)?.invite ?? {}).not.toHaveProperty([roomId]);
});
