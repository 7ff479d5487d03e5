import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
});

afterEach(() => app.close());

interface Users {
  readonly results: readonly {
    readonly user_id: string;
    readonly display_name?: string;
    readonly avatar_url?: string;
  }[];
  readonly limited: boolean;
}

const search = async (client: TestClient, search_term: string, limit?: number) =>
  (await client.ok('POST', '/user_directory/search', { search_term, limit })) as unknown as Users;

const idsFor = async (client: TestClient, term: string) =>
  (await search(client, term)).results.map(({ user_id }) => user_id);

const rename = (client: TestClient, displayname: string) =>
  client.ok('PUT', `/profile/${client.userId}/displayname`, { displayname });

async function publicUser(username: string, displayname?: string): Promise<TestClient> {
  const client = await app.register(username);
  if (displayname !== undefined) await rename(client, displayname);
  await createRoom(client, { preset: 'public_chat' });
  return client;
}

describe('the user directory', () => {
  it.each([
    ['the beginning of the user name', 'rob'],
    ['the whole id', '@robert:localhost'],
    ['the beginning of a name', 'MÜLL'],
    ['several beginnings in any order', 'mull bo'],
    ['a name without its accents', 'muller'],
  ])('finds people by %s', async (_, term) => {
    const bob = await publicUser('robert', 'Bob Müller');
    await publicUser('carol', 'Carol');
    const avatar_url = 'mxc://localhost/bob';
    await bob.ok('PUT', `/profile/${bob.userId}/avatar_url`, { avatar_url });
    expect(await search(alice, term)).toEqual({
      results: [{ user_id: bob.userId, display_name: 'Bob Müller', avatar_url }],
      limited: false,
    });
  });

  it('finds names in scripts without spaces', async () => {
    const wang = await publicUser('wang', '王小明');
    const thai = await publicUser('somchai', 'สมชาย ใจดี');
    expect(await idsFor(alice, '王小')).toEqual([wang.userId]);
    expect(await idsFor(alice, 'ใจดี')).toEqual([thai.userId]);
  });

  it('shows those whom one shares a room with, and nobody else in private', async () => {
    const bob = await app.register('bob');
    const roomId = await createRoom(alice);
    expect(await idsFor(alice, 'bob')).toEqual([]);
    await alice.ok('POST', `/rooms/${roomId}/invite`, { user_id: bob.userId });
    expect(await idsFor(alice, 'bob')).toEqual([]);
    await bob.ok('POST', `/join/${roomId}`);
    expect(await idsFor(alice, 'bob')).toEqual([bob.userId]);
    const carol = await app.register('carol');
    expect(await idsFor(carol, 'bob')).toEqual([]);
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    expect(await idsFor(alice, 'bob')).toEqual([]);
  });

  it('shows members of rooms that anybody can join or read, as long as that is so', async () => {
    const bob = await app.register('bob');
    const roomId = await createRoom(bob);
    const set = (type: string, content: object) => bob.ok('PUT', `/rooms/${roomId}/state/${type}`, content);
    expect(await idsFor(alice, 'bob')).toEqual([]);
    await set('m.room.join_rules', { join_rule: 'public' });
    expect(await idsFor(alice, 'bob')).toEqual([bob.userId]);
    await set('m.room.history_visibility', { history_visibility: 'world_readable' });
    await set('m.room.join_rules', { join_rule: 'invite' });
    expect(await idsFor(alice, 'bob')).toEqual([bob.userId]);
    await set('m.room.history_visibility', { history_visibility: 'shared' });
    expect(await idsFor(alice, 'bob')).toEqual([]);
  });

  it('does not show oneself but where everybody would be', async () => {
    const roomId = await createRoom(alice);
    expect(await idsFor(alice, 'alice')).toEqual([]);
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.join_rules`, { join_rule: 'public' });
    expect(await idsFor(alice, 'alice')).toEqual([alice.userId]);
  });

  it('knows new names and forgets old ones', async () => {
    const bob = await publicUser('bob', 'Robert');
    expect(await idsFor(alice, 'Robert')).toEqual([bob.userId]);
    await rename(bob, 'Bertie');
    expect(await idsFor(alice, 'Robert')).toEqual([]);
    expect(await idsFor(alice, 'bertie')).toEqual([bob.userId]);
    await bob.ok('DELETE', `/profile/${bob.userId}/displayname`);
    expect(await idsFor(alice, 'bertie')).toEqual([]);
    expect(await search(alice, 'bob')).toEqual({ results: [{ user_id: bob.userId }], limited: false });
  });

  it('forgets people whose account is closed', async () => {
    const bob = await publicUser('bob', 'Robert');
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' } };
    const password = 'correct horse battery staple';
    await bob.ok('POST', '/account/deactivate', { auth: { ...auth, password } });
    expect(await idsFor(alice, 'bob')).toEqual([]);
    expect(await idsFor(alice, 'robert')).toEqual([]);
  });

  it('gives the best first, and says when there are more', async () => {
    const whole = await publicUser('u1', 'Sam');
    const begins = await publicUser('u2', 'Samantha');
    const inside = await publicUser('u3', 'Uncle Sam');
    const nameless = await publicUser('samuel');
    expect(await idsFor(alice, 'sam')).toEqual([whole, begins, nameless, inside].map(({ userId }) => userId));
    const { results, limited } = await search(alice, 'sam', 3);
    expect([results.length, limited]).toEqual([3, true]);
    expect((await search(alice, 'sam', 4)).limited).toBe(false);
  });

  it('finds nobody for nothing, and refuses what is no term', async () => {
    await publicUser('bob');
    for (const term of ['', ' ', '@', '!?', ':localhost', 'localhost']) expect(await idsFor(alice, term)).toEqual([]);
    const missing = await alice.call('POST', '/user_directory/search', {});
    expect([missing.status, missing.body.errcode]).toEqual([400, 'M_MISSING_PARAM']);
    const wrong = await alice.call('POST', '/user_directory/search', { search_term: 'x', limit: -1 });
    expect([wrong.status, wrong.body.errcode]).toEqual([400, 'M_BAD_JSON']);
  });
});
