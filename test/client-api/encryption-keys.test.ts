/** Keys of devices over HTTP: publishing, asking for them, and claiming one-time keys. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { coreProjections } from '#projections/catalogue.ts';
import { oneTimeKeyCounts } from '#projections/encryption/key-queries.ts';
import { MAX_CLAIMED_REMEMBERED } from '#projections/encryption/keys-projection.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { MAX_ONE_TIME_KEYS } from '#src/encryption/upload-keys.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { anotherDevice, claimOne, deviceKeysOf, query, signedKey } from './encryption-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let users = 0;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterAll(() => app.close());

const somebody = () => app.register(`user${users++}`);
const upload = (client: TestClient, body: object) => client.ok('POST', '/keys/upload', body);
const refused = async (client: TestClient, body: object) => {
  const { status, body: answer } = await client.call('POST', '/keys/upload', body);
  return [status, answer.errcode];
};

function keysNamed(client: TestClient, ...ids: string[]): object {
  return Object.fromEntries(ids.map((id) => [`signed_curve25519:${id}`, signedKey(client, `key ${id}`)]));
}

describe('keys of devices', () => {
  it('are shown as they were published, with the name of the device', async () => {
    const keys = deviceKeysOf(alice);
    await upload(alice, { device_keys: { ...keys, unsigned: { device_display_name: 'not this' } } });
    await alice.ok('PUT', `/devices/${alice.deviceId}`, { display_name: 'Phone' });
    expect(await query(bob, '@alice:localhost', '@bob:localhost', '@nobody:localhost')).toEqual({
      device_keys: {
        '@alice:localhost': { [alice.deviceId]: { ...keys, unsigned: { device_display_name: 'Phone' } } },
        '@bob:localhost': {},
      },
      failures: {},
      master_keys: {},
      self_signing_keys: {},
      user_signing_keys: {},
    });
  });

  it('can be asked for by device', async () => {
    const carol = await somebody();
    const tablet = await anotherDevice(app, carol);
    for (const device of [carol, tablet]) await upload(device, { device_keys: deviceKeysOf(device) });
    const wanted = { device_keys: { [carol.userId]: [tablet.deviceId, 'NONE'] } };
    const { device_keys: found } = await bob.ok('POST', '/keys/query', wanted);
    expect(Object.keys((found as unknown as Record<string, object>)[carol.userId] ?? {})).toEqual([tablet.deviceId]);
  });

  it('have to be of the device that publishes them, and have the right shape', async () => {
    expect(await refused(alice, { device_keys: deviceKeysOf(bob) })).toEqual([400, 'M_INVALID_PARAM']);
    expect(await refused(alice, { device_keys: deviceKeysOf(alice, 'x', { device_id: 'OTHER' }) })).toEqual([
      400,
      'M_INVALID_PARAM',
    ]);
    const incomplete = { user_id: alice.userId, device_id: alice.deviceId };
    expect(await refused(alice, { device_keys: incomplete })).toEqual([400, 'M_BAD_JSON']);
    expect(await refused(alice, { one_time_keys: { 'a:b': { key: 1 } } })).toEqual([400, 'M_BAD_JSON']);
    expect(await refused(alice, { one_time_keys: { ab: 'key' } })).toEqual([400, 'M_INVALID_PARAM']);
    expect(await refused(alice, { one_time_keys: { 'a:b': 'x'.repeat(5000) } })).toEqual([413, 'M_TOO_LARGE']);
    expect(await refused(alice, { device_keys: deviceKeysOf(alice, 'x', { more: 1.5 }) })).toEqual([400, 'M_BAD_JSON']);
  });

  it('go with the device, and with the account', async () => {
    const carol = await somebody();
    await upload(carol, { device_keys: deviceKeysOf(carol), one_time_keys: keysNamed(carol, 'A') });
    const tablet = await anotherDevice(app, carol);
    await carol.ok('POST', '/logout');
    expect((await query(bob, carol.userId)).device_keys).toEqual({ [carol.userId]: {} });
    expect(await claimOne(bob, carol)).toBeUndefined();
    await upload(tablet, { device_keys: deviceKeysOf(tablet) });
    await tablet.ok('POST', '/logout/all');
    expect((await query(bob, carol.userId)).device_keys).toEqual({ [carol.userId]: {} });
  });
});

describe('one-time keys', () => {
  it('are given away once, the oldest first', async () => {
    const carol = await somebody();
    await upload(carol, { one_time_keys: keysNamed(carol, 'Z') });
    const counts = await upload(carol, { one_time_keys: { ...keysNamed(carol, 'B', 'A'), 'plain:1': 'text' } });
    expect(counts).toEqual({ one_time_key_counts: { signed_curve25519: 3, plain: 1 } });
    expect(await claimOne(bob, carol)).toEqual({ name: 'signed_curve25519:Z', key: signedKey(carol, 'key Z') });
    const rest = [await claimOne(bob, carol), await claimOne(alice, carol)].map((found) => found?.name);
    expect(rest.toSorted()).toEqual(['signed_curve25519:A', 'signed_curve25519:B']);
    expect(await claimOne(bob, carol)).toBeUndefined();
    expect(await claimOne(bob, carol, 'plain')).toEqual({ name: 'plain:1', key: 'text' });
  });

  it('that are uploaded again are not given away again', async () => {
    const carol = await somebody();
    await upload(carol, { one_time_keys: keysNamed(carol, 'A') });
    await upload(carol, { one_time_keys: keysNamed(carol, 'A') });
    expect(await claimOne(bob, carol)).toBeDefined();
    const resigned = { 'signed_curve25519:A': { ...signedKey(carol, 'key A'), signatures: {} } };
    const counts = await upload(carol, { one_time_keys: resigned });
    expect(counts).toEqual({ one_time_key_counts: { signed_curve25519: 0 } });
    expect(await claimOne(bob, carol)).toBeUndefined();
  });

  it('cannot take the name of another that waits, but that of one which is gone', async () => {
    const carol = await somebody();
    await upload(carol, { one_time_keys: { 'plain:A': 'one' } });
    expect(await refused(carol, { one_time_keys: { 'plain:A': 'two' } })).toEqual([400, 'M_INVALID_PARAM']);
    expect(await claimOne(bob, carol, 'plain')).toEqual({ name: 'plain:A', key: 'one' });
    await upload(carol, { one_time_keys: { 'plain:A': 'two' } });
    expect(await claimOne(bob, carol, 'plain')).toEqual({ name: 'plain:A', key: 'two' });
  });

  it('are bounded, and so is the memory of those that are gone', async () => {
    const carol = await somebody();
    const many = (from: number, count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`plain:${from + index}`, `key ${from + index}`]));
    await upload(carol, { one_time_keys: many(0, MAX_ONE_TIME_KEYS) });
    expect(await refused(carol, { one_time_keys: many(MAX_ONE_TIME_KEYS, 1) })).toEqual([
      403,
      'M_RESOURCE_LIMIT_EXCEEDED',
    ]);
    for (let count = 0; count < MAX_CLAIMED_REMEMBERED; count += 100) {
      await Promise.all(Array.from({ length: 100 }, () => claimOne(bob, carol, 'plain')));
    }
    await upload(carol, { one_time_keys: many(MAX_ONE_TIME_KEYS, 1) });
    await claimOne(bob, carol, 'plain');
    expect(await upload(carol, { one_time_keys: many(0, 2) })).toEqual({ one_time_key_counts: { plain: 1 } });
  });

  it('of a former identity of the device are not given away', async () => {
    const carol = await somebody();
    await upload(carol, { device_keys: deviceKeysOf(carol, 'first'), one_time_keys: keysNamed(carol, 'A') });
    await upload(carol, { device_keys: deviceKeysOf(carol, 'first', { algorithms: [] }) });
    await upload(carol, { device_keys: deviceKeysOf(carol, 'second'), one_time_keys: keysNamed(carol, 'B') });
    expect((await claimOne(bob, carol))?.name).toBe('signed_curve25519:B');
    expect(await claimOne(bob, carol)).toBeUndefined();
  });

  it('are given away once whoever asks at the same time, and after the tables were made anew from the log', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ uploads: fc.integer({ min: 0, max: 4 }), claims: fc.integer({ min: 0, max: 4 }) }), {
          minLength: 1,
          maxLength: 5,
        }),
        async (steps) => {
          const carol = await somebody();
          /** Of each key that waits, and of each key ever: the upload that it came with. */
          const queued: number[] = [];
          const uploadOf = new Map<string, number>();
          let next = 0;
          let uploaded = 0;
          for (const { uploads, claims } of steps) {
            const ids = Array.from({ length: uploads }, () => String(next++));
            await upload(carol, { one_time_keys: keysNamed(carol, ...ids) });
            for (const id of ids) {
              queued.push(uploaded);
              uploadOf.set(`signed_curve25519:${id}`, uploaded);
            }
            uploaded += 1;
            const given = await Promise.all(Array.from({ length: claims }, () => claimOne(bob, carol)));
            const names = given.filter((found) => found !== undefined).map(({ name }) => name);
            expect(new Set(names).size).toBe(names.length);
            const oldest = queued.splice(0, claims);
            expect(names.map((name) => uploadOf.get(name) ?? -1).toSorted((a, b) => a - b)).toEqual(oldest);
          }
          expect(await countsAfterReplay(carol)).toBe(queued.length);
        },
      ),
      { numRuns: 8, seed: 1 },
    );
  });

  async function countsAfterReplay({ userId, deviceId }: TestClient): Promise<number> {
    const dir = await mkdtemp(path.join(tmpdir(), 'stele-keys-'));
    const engine = await ProjectionEngine.open({ dir, log: app.log, projections: coreProjections, safeCopies: false });
    const counts = new Map(oneTimeKeyCounts(engine.reader, userId, deviceId));
    await engine.close();
    await rm(dir, { recursive: true, force: true });
    return counts.get('signed_curve25519') ?? 0;
  }
});

describe('fallback keys', () => {
  it('are given away when there is no one-time key, as often as need be', async () => {
    const carol = await somebody();
    const fallback = signedKey(carol, 'last', { fallback: true });
    await upload(carol, {
      one_time_keys: keysNamed(carol, 'A'),
      fallback_keys: { 'signed_curve25519:F': fallback },
    });
    expect((await claimOne(bob, carol))?.name).toBe('signed_curve25519:A');
    for (let time = 0; time < 2; time += 1) {
      expect(await claimOne(bob, carol)).toEqual({ name: 'signed_curve25519:F', key: fallback });
    }
    await upload(carol, { fallback_keys: { 'signed_curve25519:G': signedKey(carol, 'newer', { fallback: true }) } });
    expect((await claimOne(bob, carol))?.name).toBe('signed_curve25519:G');
  });

  it('are one for each algorithm', async () => {
    const carol = await somebody();
    expect(await refused(carol, { fallback_keys: { 'a:1': 'x', 'a:2': 'y' } })).toEqual([400, 'M_INVALID_PARAM']);
  });
});
