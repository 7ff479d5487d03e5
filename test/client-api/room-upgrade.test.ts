/** Replacing a room by one of another version: what goes over, what stays behind, and who may do it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { upgradeRoom } from '#src/rooms/upgrade.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let carol: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [alice, bob, carol] = [await app.register('alice'), await app.register('bob'), await app.register('carol')];
});
afterAll(() => app.close());

const state = (by: TestClient, roomId: string, type: string, key = ''): Promise<Record<string, unknown>> =>
  by.ok('GET', `/rooms/${roomId}/state/${type}/${encodeURIComponent(key)}`);
const setState = (by: TestClient, roomId: string, type: string, content: object, key = '') =>
  by.ok('PUT', `/rooms/${roomId}/state/${type}/${encodeURIComponent(key)}`, content);
const accountData = (by: TestClient, at: string) => by.call('GET', `/user/${by.userId}/${at}`);

async function upgrade(by: TestClient, roomId: string, version: string, more: object = {}): Promise<string> {
  return String(
    (await by.ok('POST', `/rooms/${roomId}/upgrade`, { new_version: version, ...more }))['replacement_room'],
  );
}

/** Changes the power levels of a room. */
async function setLevels(by: TestClient, roomId: string, changes: object): Promise<void> {
  await setState(by, roomId, 'm.room.power_levels', {
    ...(await state(by, roomId, 'm.room.power_levels')),
    ...changes,
  });
}

describe.each([
  ['1', '6'],
  ['10', '11'],
  ['11', '12'],
  ['12', '10'],
  ['12', '12'],
])('from version %s to %s', (from, to) => {
  it('takes the settings, the type and the bans along, and closes the old room', async () => {
    const settings: Record<string, object> = {
      'm.room.name': { name: 'Henge' },
      'm.room.topic': { topic: 'Stones' },
      'm.room.avatar': { url: 'mxc://localhost/abc' },
      'm.room.join_rules': { join_rule: 'public' },
      'm.room.guest_access': { guest_access: 'forbidden' },
      'm.room.history_visibility': { history_visibility: 'joined' },
      'm.room.encryption': { algorithm: 'm.megolm.v1.aes-sha2' },
      'm.room.server_acl': { allow: ['*'], deny: ['evil.example'] },
    };
    const oldRoom = await createRoom(alice, {
      room_version: from,
      visibility: 'public',
      creation_content: { type: 'org.example.kind', 'm.federate': false },
      initial_state: Object.entries(settings).map(([type, content]) => ({ type, content })),
    });
    await setState(alice, oldRoom, 'org.example.other', { stays: 'here' });
    await alice.ok('POST', `/rooms/${oldRoom}/ban`, { user_id: carol.userId, reason: 'noise' });
    const newRoom = await upgrade(alice, oldRoom, to);
    for (const [type, content] of Object.entries(settings)) {
      expect([type, await state(alice, newRoom, type)]).toEqual([type, content]);
    }
    expect(await state(alice, newRoom, 'm.room.member', carol.userId)).toEqual({ membership: 'ban', reason: 'noise' });
    expect((await alice.call('GET', `/rooms/${newRoom}/state/org.example.other`)).status).toBe(404);
    const create = await state(alice, newRoom, 'm.room.create');
    expect(create).toMatchObject({
      room_version: to,
      type: 'org.example.kind',
      'm.federate': false,
      predecessor: { room_id: oldRoom },
    });
    const tombstone = await alice.ok('GET', `/rooms/${oldRoom}/state/m.room.tombstone?format=event`);
    expect(tombstone['content']).toMatchObject({ replacement_room: newRoom });
    expect((create['predecessor'] as { event_id?: string }).event_id).toBe(
      to === '12' ? undefined : tombstone['event_id'],
    );
    expect(await alice.ok('GET', `/directory/list/room/${oldRoom}`)).toEqual({ visibility: 'private' });
    expect(await alice.ok('GET', `/directory/list/room/${newRoom}`)).toEqual({ visibility: 'public' });
    expect(await state(alice, oldRoom, 'm.room.power_levels')).toMatchObject({ events_default: 50, invite: 50 });
    await bob.ok('POST', `/join/${newRoom}`);
    await sayIn(bob, newRoom, 'here we are');
  });

  it('keeps the powers, and makes creators of the one kind those of the other', async () => {
    const oldRoom = await createRoom(alice, { room_version: from, preset: 'public_chat' });
    const { users } = (await state(alice, oldRoom, 'm.room.power_levels')) as Record<string, object>;
    await setLevels(alice, oldRoom, { users: { ...users, [bob.userId]: 60 }, ban: 70, events: { 'x.y': 33 } });
    const levels = await state(alice, await upgrade(alice, oldRoom, to), 'm.room.power_levels');
    expect(levels).toMatchObject({ ban: 70, events: { 'x.y': 33 }, events_default: 0, invite: 0 });
    expect(levels['users']).toEqual({ ...(to !== '12' && { [alice.userId]: 100 }), [bob.userId]: 60 });
    if (to === '12') expect(levels['events']).toMatchObject({ 'm.room.tombstone': 150 });
  });

  it('moves the aliases of this server', async () => {
    const [main, other] = [`#main-${from}-${to}:localhost`, `#other-${from}-${to}:localhost`];
    const oldRoom = await createRoom(alice, { room_version: from, room_alias_name: `main-${from}-${to}` });
    await alice.ok('PUT', `/directory/room/${encodeURIComponent(other)}`, { room_id: oldRoom });
    const canonical = { alias: main, alt_aliases: [other] };
    await setState(alice, oldRoom, 'm.room.canonical_alias', canonical);
    const newRoom = await upgrade(alice, oldRoom, to);
    for (const alias of [main, other]) {
      const at = `/directory/room/${encodeURIComponent(alias)}`;
      expect(await alice.ok('GET', at)).toMatchObject({ room_id: newRoom });
    }
    expect(await alice.ok('GET', `/rooms/${oldRoom}/aliases`)).toEqual({ aliases: [] });
    expect(await state(alice, newRoom, 'm.room.canonical_alias')).toEqual(canonical);
    expect(await state(alice, oldRoom, 'm.room.canonical_alias')).toEqual({});
  });

  it('whoever comes over finds their tags, push rules and direct chats', async () => {
    const oldRoom = await createRoom(alice, { room_version: from, preset: 'public_chat' });
    await bob.ok('POST', `/join/${oldRoom}`);
    for (const user of [alice, bob]) {
      await user.ok('PUT', `/user/${user.userId}/rooms/${oldRoom}/tags/m.favourite`, { order: 0.5 });
      await user.ok('PUT', `/user/${user.userId}/account_data/m.direct`, { '@x:y': [oldRoom], '@z:y': ['!else:y'] });
      await user.ok('PUT', `/pushrules/global/room/${oldRoom}`, { actions: ['notify'] });
      await user.ok('PUT', `/pushrules/global/override/${oldRoom}`, {
        conditions: [{ kind: 'event_match', key: 'room_id', pattern: oldRoom }],
        actions: [],
      });
    }
    const newRoom = await upgrade(alice, oldRoom, to);
    expect((await accountData(bob, `rooms/${newRoom}/tags`)).body).toEqual({ tags: {} });
    await bob.ok('POST', `/join/${newRoom}`);
    for (const user of [alice, bob]) {
      expect((await accountData(user, `rooms/${newRoom}/tags`)).body).toEqual({
        tags: { 'm.favourite': { order: 0.5 } },
      });
      expect((await accountData(user, 'account_data/m.direct')).body).toEqual({
        '@x:y': [oldRoom, newRoom],
        '@z:y': ['!else:y'],
      });
      expect(await user.ok('GET', `/pushrules/global/room/${newRoom}`)).toMatchObject({ actions: ['notify'] });
      expect(await user.ok('GET', `/pushrules/global/override/${newRoom}`)).toMatchObject({
        conditions: [{ pattern: newRoom }],
      });
    }
    // Coming again changes nothing.
    await bob.ok('DELETE', `/user/${bob.userId}/rooms/${newRoom}/tags/m.favourite`);
    await bob.ok('POST', `/rooms/${newRoom}/leave`);
    await bob.ok('POST', `/join/${newRoom}`);
    expect((await accountData(bob, `rooms/${newRoom}/tags`)).body).toEqual({ tags: {} });
  });
});

it('a moderator who may replace the room is a moderator of the new one, and no more', async () => {
  const oldRoom = await createRoom(alice, { room_version: '10', preset: 'public_chat' });
  await bob.ok('POST', `/join/${oldRoom}`);
  const { users, events } = (await state(alice, oldRoom, 'm.room.power_levels')) as Record<string, object>;
  await setLevels(alice, oldRoom, {
    users: { ...users, [bob.userId]: 50 },
    events: { ...events, 'm.room.tombstone': 50 },
  });
  const before = await state(alice, oldRoom, 'm.room.power_levels');
  const newRoom = await upgrade(bob, oldRoom, '11');
  expect(await state(bob, newRoom, 'm.room.power_levels')).toEqual(before);
  // Power levels take 100 to change: the old room stays as it is.
  expect(await state(bob, oldRoom, 'm.room.power_levels')).toEqual(before);
});

it('asking twice at once makes one room', async () => {
  const oldRoom = await createRoom(alice, { room_version: '10' });
  const asked = { userId: alice.userId, roomId: oldRoom, version: '11', additionalCreators: [] };
  const [first, second] = await Promise.all([upgradeRoom(app.context, asked), upgradeRoom(app.context, asked)]);
  expect(second).toBe(first);
  expect(await state(alice, oldRoom, 'm.room.tombstone')).toMatchObject({ replacement_room: first });
});

it('the rooms of a space go over', async () => {
  const space = await createRoom(alice, { room_version: '10', creation_content: { type: 'm.space' } });
  const child = await createRoom(alice);
  await setState(alice, space, 'm.space.child', { via: ['localhost'], order: 'a' }, child);
  await setState(alice, space, 'm.space.child', {}, '!gone:localhost');
  const newSpace = await upgrade(alice, space, '12');
  expect(await state(alice, newSpace, 'm.space.child', child)).toEqual({ via: ['localhost'], order: 'a' });
  expect((await alice.call('GET', `/rooms/${newSpace}/state/m.space.child/!gone:localhost`)).status).toBe(404);
});

it('names additional creators where there are such, and drops them from the levels', async () => {
  const oldRoom = await createRoom(alice, { room_version: '11' });
  await setLevels(alice, oldRoom, { users: { [alice.userId]: 100, [bob.userId]: 100, [carol.userId]: 50 } });
  const newRoom = await upgrade(alice, oldRoom, '12', { additional_creators: [bob.userId, alice.userId] });
  expect(await state(alice, newRoom, 'm.room.create')).toMatchObject({ additional_creators: [bob.userId] });
  expect(await state(alice, newRoom, 'm.room.power_levels')).toMatchObject({ users: { [carol.userId]: 50 } });
  const back = await upgrade(alice, newRoom, '10', { additional_creators: [bob.userId] });
  expect((await state(alice, back, 'm.room.create'))['additional_creators']).toBeUndefined();
  expect(await state(alice, back, 'm.room.power_levels')).toMatchObject({
    users: { [alice.userId]: 100, [bob.userId]: 100, [carol.userId]: 50 },
  });
});

it('levels that are texts become numbers, and join rules that are not there yet become invite', async () => {
  const initial_state = [{ type: 'm.room.join_rules', content: { join_rule: 'restricted', allow: [] } }];
  const oldRoom = await createRoom(alice, { room_version: '9', initial_state });
  await setLevels(alice, oldRoom, { ban: '60', kick: 'strong', events: { 'x.y': '7' }, notifications: { room: '20' } });
  const newer = await state(alice, await upgrade(alice, oldRoom, '10'), 'm.room.power_levels');
  expect(newer).toMatchObject({ ban: 60, events: { 'x.y': 7 }, notifications: { room: 20 } });
  expect('kick' in newer).toBe(false);
  expect(await state(alice, await upgrade(alice, oldRoom, '5'), 'm.room.join_rules')).toEqual({ join_rule: 'invite' });
});

it('more bans than fit into one append go over, and only then is the power given up', async () => {
  const oldRoom = await createRoom(alice, { room_version: '10', preset: 'public_chat' });
  await bob.ok('POST', `/join/${oldRoom}`);
  const targets = Array.from({ length: 320 }, (_, index) => `@troll${index}:elsewhere`);
  for (const user_id of targets) await alice.ok('POST', `/rooms/${oldRoom}/ban`, { user_id });
  const { users, events } = (await state(alice, oldRoom, 'm.room.power_levels')) as Record<string, object>;
  await setLevels(alice, oldRoom, {
    users: { ...users, [bob.userId]: 50 },
    events: { ...events, 'm.room.tombstone': 50 },
  });
  const newRoom = await upgrade(bob, oldRoom, '11');
  const { chunk } = await bob.ok('GET', `/rooms/${newRoom}/members?membership=ban`);
  expect(chunk).toHaveLength(320);
  expect(await state(bob, newRoom, 'm.room.power_levels')).toMatchObject({ users: { [bob.userId]: 50 } });
});

it('a room that only claims to replace another takes nothing over', async () => {
  const oldRoom = await createRoom(alice, { visibility: 'public', room_alias_name: 'target' });
  await alice.ok('PUT', `/user/${alice.userId}/rooms/${oldRoom}/tags/m.favourite`, {});
  const creation_content = { predecessor: { room_id: oldRoom, event_id: '$x' } };
  const claimant = await createRoom(bob, { preset: 'public_chat', creation_content });
  await alice.ok('POST', `/join/${claimant}`);
  expect((await accountData(alice, `rooms/${claimant}/tags`)).body).toEqual({ tags: {} });
  expect(await alice.ok('GET', `/directory/room/${encodeURIComponent('#target:localhost')}`)).toMatchObject({
    room_id: oldRoom,
  });
  expect(await alice.ok('GET', `/directory/list/room/${oldRoom}`)).toEqual({ visibility: 'public' });
});

it.each([
  ['an unknown version', { new_version: '99' }, 400, 'M_UNSUPPORTED_ROOM_VERSION'],
  ['no version', {}, 400, 'M_MISSING_PARAM'],
  ['a version that is no text', { new_version: 11 }, 400, 'M_BAD_JSON'],
  ['creators that are no users', { new_version: '12', additional_creators: ['bob'] }, 400, 'M_BAD_JSON'],
])('refuses %s', async (_what, body, status, errcode) => {
  const oldRoom = await createRoom(alice);
  expect(await alice.call('POST', `/rooms/${oldRoom}/upgrade`, body)).toMatchObject({ status, body: { errcode } });
  expect((await alice.call('GET', `/rooms/${oldRoom}/state/m.room.tombstone`)).status).toBe(404);
});

it('is for those who may send tombstones, in rooms that are there', async () => {
  const oldRoom = await createRoom(alice, { preset: 'public_chat', room_version: '10' });
  const body = { new_version: '11' };
  expect((await bob.call('POST', `/rooms/${oldRoom}/upgrade`, body)).status).toBe(403);
  await bob.ok('POST', `/join/${oldRoom}`);
  expect((await bob.call('POST', `/rooms/${oldRoom}/upgrade`, body)).body.errcode).toBe('M_FORBIDDEN');
  expect((await bob.call('POST', '/rooms/!fail:unknown/upgrade', body)).body.errcode).toBe('M_NOT_FOUND');
  const itself = { replacement_room: oldRoom };
  const put = await alice.call('PUT', `/rooms/${oldRoom}/state/m.room.tombstone`, itself);
  expect([put.status, put.body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
  expect(Object.keys((await sync(bob)).rooms?.join ?? {})).toContain(oldRoom);
});
