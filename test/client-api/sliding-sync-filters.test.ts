import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { type SlidingAnswer, slide } from './sliding-sync-client.ts';
import { createRoom } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let plain: string;
let encrypted: string;
let space: string;
let direct: string;
let invited: string;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  plain = await createRoom(alice, { name: 'Garden Club' });
  const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } };
  encrypted = await createRoom(alice, { name: 'Vault', initial_state: [encryption] });
  space = await createRoom(alice, { name: 'Village', creation_content: { type: 'm.space' } });
  direct = await createRoom(alice, { is_direct: true });
  invited = await createRoom(bob, { name: 'Party', initial_state: [encryption], invite: [alice.userId] });
  await alice.ok('PUT', `/user/${alice.userId}/account_data/m.direct`, { [bob.userId]: [direct] });
  await alice.ok('PUT', `/user/${alice.userId}/rooms/${plain}/tags/m.favourite`, { order: 0.5 });
  await alice.ok('PUT', `/user/${alice.userId}/rooms/${encrypted}/tags/m.favourite`, {});
  await alice.ok('PUT', `/user/${alice.userId}/rooms/${encrypted}/tags/m.lowpriority`, {});
  await alice.ok('PUT', `/rooms/${space}/state/m.space.child/${encodeURIComponent(plain)}`, { via: ['localhost'] });
  await alice.ok('PUT', `/rooms/${space}/state/m.space.child/${encodeURIComponent(direct)}`, {});
});

afterEach(async () => {
  await app.close();
});

async function listed(filters: object, pos?: string): Promise<SlidingAnswer> {
  return slide(
    alice,
    { lists: { some: { ranges: [[0, 99]], timeline_limit: 0, required_state: [], filters } } },
    pos === undefined ? {} : { pos },
  );
}

it('makes lists of rooms that pass all of its filters', async () => {
  const cases: [filters: object, rooms: string[]][] = [
    [{}, [plain, encrypted, space, direct, invited]],
    [{ is_dm: true }, [direct]],
    [{ is_dm: false }, [plain, encrypted, space, invited]],
    [{ is_encrypted: true }, [encrypted, invited]],
    [{ is_encrypted: false }, [plain, space, direct]],
    [{ is_invite: true }, [invited]],
    [{ is_invite: false }, [plain, encrypted, space, direct]],
    [{ is_invited: true }, [invited]],
    [{ room_types: ['m.space'] }, [space]],
    [{ room_types: [null] }, [plain, encrypted, direct, invited]],
    [{ not_room_types: ['m.space'] }, [plain, encrypted, direct, invited]],
    [{ room_types: ['m.space', null], not_room_types: ['m.space'] }, [plain, encrypted, direct, invited]],
    [{ room_name_like: 'gARDEN' }, [plain]],
    [{ room_name_like: 'party' }, [invited]],
    [{ tags: ['m.favourite'] }, [plain, encrypted]],
    [{ tags: ['m.favourite'], not_tags: ['m.lowpriority'] }, [plain]],
    [{ not_tags: ['m.favourite'] }, [space, direct, invited]],
    [{ spaces: [space] }, [plain]],
    [{ spaces: ['!nowhere:localhost'] }, []],
    [{ is_encrypted: true, is_invite: false }, [encrypted]],
    [{ is_dm: null, tags: null, something_new: true }, [plain, encrypted, space, direct, invited]],
  ];
  for (const [filters, rooms] of cases) {
    const answer = await listed(filters);
    expect(Object.keys(answer.rooms).sort(), JSON.stringify(filters)).toEqual([...rooms].sort());
    expect(answer.lists.some?.count, JSON.stringify(filters)).toBe(rooms.length);
  }
});

it('sees when a room begins or ceases to pass', async () => {
  const first = await listed({ tags: ['m.favourite'], is_encrypted: true });
  expect(Object.keys(first.rooms)).toEqual([encrypted]);
  await alice.ok('PUT', `/rooms/${plain}/state/m.room.encryption/`, { algorithm: 'm.megolm.v1.aes-sha2' });
  await alice.ok('DELETE', `/user/${alice.userId}/rooms/${encrypted}/tags/m.favourite`);
  const second = await listed({ tags: ['m.favourite'], is_encrypted: true }, first.pos);
  expect(second.lists).toEqual({ some: { count: 1 } });
  expect(Object.keys(second.rooms)).toEqual([plain]);
});

it('does not tell of children of spaces that the user is not in', async () => {
  const other = await createRoom(bob, { creation_content: { type: 'm.space' }, preset: 'public_chat' });
  await bob.ok('PUT', `/rooms/${other}/state/m.space.child/${encodeURIComponent(plain)}`, { via: ['localhost'] });
  expect((await listed({ spaces: [other] })).rooms).toEqual({});
  await alice.ok('POST', `/rooms/${other}/join`, {});
  expect(Object.keys((await listed({ spaces: [other] })).rooms)).toEqual([plain]);
});

it('leaves out invites of those whom the user ignores, or wants none of', async () => {
  await alice.ok('PUT', `/user/${alice.userId}/account_data/m.ignored_user_list`, {
    ignored_users: { [bob.userId]: {} },
  });
  expect((await listed({ is_invite: true })).lists).toEqual({ some: { count: 0 } });
  await alice.ok('PUT', `/user/${alice.userId}/account_data/m.ignored_user_list`, { ignored_users: {} });
  expect((await listed({ is_invite: true })).lists).toEqual({ some: { count: 1 } });
});
