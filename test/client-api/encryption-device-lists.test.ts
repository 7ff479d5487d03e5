/** Whose devices a client has to look at anew, as `/sync` and `/keys/changes` say. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { anotherDevice, claimOne, deviceKeysOf, type EncryptionSync, signedKey } from './encryption-client.ts';
import { createRoom, type SyncParameters, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let stranger: TestClient;
let roomId: string;
let users = 0;

beforeAll(async () => {
  app = await startApplication();
});

afterAll(() => app.close());

const somebody = () => app.register(`user${users++}`);
const look = async (client: TestClient, parameters?: SyncParameters) =>
  (await sync(client, parameters)) as EncryptionSync;
const now = async (client: TestClient) => (await look(client)).next_batch;
const upload = (client: TestClient, identity?: string) =>
  client.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(client, identity) });
const join = (client: TestClient, id = roomId) => client.ok('POST', `/join/${id}`);
const leave = (client: TestClient, id = roomId) => client.ok('POST', `/rooms/${id}/leave`);

/** What `/sync` and `/keys/changes` say has changed for a client since a token, which has to be the same. */
async function newsFor(client: TestClient, since: string): Promise<{ changed: unknown; left: unknown }> {
  const { device_lists: lists, next_batch: to } = await look(client, { since });
  const news = { changed: (lists?.changed ?? []).toSorted(), left: (lists?.left ?? []).toSorted() };
  const { changed, left } = await client.ok('GET', `/keys/changes?from=${since}&to=${to}`);
  expect({ changed: [...(changed as unknown as string[])].toSorted(), left }).toEqual(news);
  expect(await look(client, { since: to })).not.toHaveProperty('device_lists');
  return news;
}

/** Alice and Bob are in a room; the stranger is in none. */
beforeEach(async () => {
  [alice, bob, stranger] = [await somebody(), await somebody(), await somebody()];
  roomId = await createRoom(alice, { preset: 'public_chat' });
  await join(bob);
});

describe('device lists', () => {
  it('are not in a first sync', async () => {
    await upload(bob);
    expect(await look(alice)).not.toHaveProperty('device_lists');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['publishes keys', () => upload(bob)],
    ['logs another device in', () => anotherDevice(app, bob)],
    ['renames a device', () => bob.ok('PUT', `/devices/${bob.deviceId}`, { display_name: 'Phone' })],
    ['logs out', () => bob.ok('POST', '/logout')],
  ])('say so when somebody in a room with the user %s', async (_, change) => {
    const [since, of] = [await now(alice), await now(stranger)];
    await change();
    expect(await newsFor(alice, since)).toEqual({ changed: [bob.userId], left: [] });
    expect(await newsFor(stranger, of)).toEqual({ changed: [], left: [] });
  });

  it('say nothing when the same keys are published again, and nothing new of one-time keys', async () => {
    await upload(bob);
    const since = await now(alice);
    await upload(bob);
    await bob.ok('POST', '/keys/upload', { one_time_keys: { 'a:b': 'key' } });
    await claimOne(alice, bob, 'a');
    expect(await newsFor(alice, since)).toEqual({ changed: [], left: [] });
  });

  it('say so to the user, too', async () => {
    const since = await now(bob);
    await upload(bob);
    expect(await newsFor(bob, since)).toEqual({ changed: [bob.userId], left: [] });
  });

  it('wake a sync that waits', async () => {
    const waiting = look(alice, { since: await now(alice), timeout: 30_000 });
    await upload(bob);
    expect((await waiting).device_lists).toEqual({ changed: [bob.userId] });
  });

  it('have everybody in a room that the user comes into, and who comes into a room of the user', async () => {
    const [since, of] = [await now(alice), await now(stranger)];
    await join(stranger);
    expect(await newsFor(alice, since)).toEqual({ changed: [stranger.userId], left: [] });
    expect(await newsFor(stranger, of)).toEqual({ changed: [alice.userId, bob.userId].toSorted(), left: [] });
  });

  it('have who is invited', async () => {
    const since = await now(alice);
    await alice.ok('POST', `/rooms/${roomId}/invite`, { user_id: stranger.userId });
    expect(await newsFor(alice, since)).toEqual({ changed: [stranger.userId], left: [] });
  });

  it('have who left the last room with the user, and who was left by the user', async () => {
    const [since, of] = [await now(alice), await now(bob)];
    await leave(bob);
    await upload(bob, 'changed');
    expect(await newsFor(alice, since)).toEqual({ changed: [], left: [bob.userId] });
    expect(await newsFor(bob, of)).toEqual({ changed: [bob.userId], left: [alice.userId] });
  });

  it('do not have as left who shares another room', async () => {
    const other = await createRoom(bob, { preset: 'public_chat' });
    await join(alice, other);
    const since = await now(alice);
    await leave(bob);
    expect(await newsFor(alice, since)).toEqual({ changed: [], left: [] });
  });

  it('do not change with a name', async () => {
    const since = await now(alice);
    await bob.ok('PUT', `/profile/${bob.userId}/displayname`, { displayname: 'Bob' });
    expect(await newsFor(alice, since)).toEqual({ changed: [], left: [] });
  });

  it('tell nobody who is in a room that they never were in', async () => {
    const since = await now(stranger);
    await alice.ok('POST', `/rooms/${roomId}/invite`, { user_id: stranger.userId });
    await leave(stranger);
    expect(await newsFor(stranger, since)).toEqual({ changed: [], left: [] });
  });
});

describe('a sync', () => {
  it('says how many one-time keys are left and which fallback keys are unused', async () => {
    const keys = {
      one_time_keys: { 'signed_curve25519:A': signedKey(bob, 'A'), 'signed_curve25519:B': signedKey(bob, 'B') },
      fallback_keys: { 'signed_curve25519:F': signedKey(bob, 'F', { fallback: true }) },
    };
    await bob.ok('POST', '/keys/upload', keys);
    await claimOne(alice, bob);
    const first = await look(bob);
    expect(first).toMatchObject({
      device_one_time_keys_count: { signed_curve25519: 1 },
      device_unused_fallback_key_types: ['signed_curve25519'],
    });
    await claimOne(alice, bob);
    await claimOne(alice, bob);
    const spent = { device_one_time_keys_count: { signed_curve25519: 0 }, device_unused_fallback_key_types: [] };
    expect(await look(bob, { since: first.next_batch })).toMatchObject(spent);
    await bob.ok('POST', '/keys/upload', keys);
    expect(await look(bob)).toMatchObject(spent);
  });
});

describe('keys/changes', () => {
  it('needs two tokens', async () => {
    const since = await now(alice);
    for (const query of [`from=${since}`, `to=${since}`]) {
      expect((await alice.call('GET', `/keys/changes?${query}`)).body.errcode).toBe('M_MISSING_PARAM');
    }
    expect((await alice.call('GET', `/keys/changes?from=x&to=${since}`)).body.errcode).toBe('M_INVALID_PARAM');
  });
});
