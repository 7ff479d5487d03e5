/** Cross-signing over HTTP: keys, signatures, and who sees which. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodeBase64 } from '#protocol/base64.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '#protocol/signing.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { deviceKeysOf, type EncryptionSync, query } from './encryption-client.ts';
import { createRoom, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let users = 0;

beforeAll(async () => {
  app = await startApplication();
});

afterAll(() => app.close());

beforeEach(async () => {
  alice = await app.register(`alice${users}`);
  bob = await app.register(`bob${users++}`);
});

const PASSWORD = 'correct horse battery staple';

/** An Ed25519 key that is named after itself, as cross-signing keys are, or after a device. */
function newKey(name?: string): SigningKey & { readonly publicText: string } {
  const seed = randomBytes(32);
  const publicText = encodeBase64(signingKeyFromSeed('ed25519:x', seed).publicKey);
  return { ...signingKeyFromSeed(`ed25519:${name ?? publicText}`, seed), publicText };
}

interface Identity {
  readonly master: ReturnType<typeof newKey>;
  readonly self: ReturnType<typeof newKey>;
  readonly user: ReturnType<typeof newKey>;
  readonly body: Record<'master_key' | 'self_signing_key' | 'user_signing_key', JsonObject>;
}

function keyObject({ userId }: TestClient, usage: string, key: ReturnType<typeof newKey>): JsonObject {
  return { user_id: userId, usage: [usage], keys: { [key.keyId]: key.publicText } };
}

function newIdentity(of: TestClient): Identity {
  const [master, self, user] = [newKey(), newKey(), newKey()];
  const signed = (usage: string, key: ReturnType<typeof newKey>) =>
    signJson(keyObject(of, usage, key), of.userId, master);
  const body = {
    master_key: keyObject(of, 'master', master),
    self_signing_key: signed('self_signing', self),
    user_signing_key: signed('user_signing', user),
  };
  return { master, self, user, body };
}

const publish = (client: TestClient, body: object) => client.call('POST', '/keys/device_signing/upload', body);
const auth = ({ userId }: TestClient) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: userId },
  password: PASSWORD,
});

async function published(client: TestClient): Promise<Identity> {
  const identity = newIdentity(client);
  expect((await publish(client, identity.body)).status).toBe(200);
  return identity;
}

async function withDevice(client: TestClient): Promise<{ readonly key: SigningKey; readonly object: JsonObject }> {
  const key = newKey(client.deviceId);
  const bare = { ...deviceKeysOf(client, key.publicText), signatures: {} } as JsonObject;
  const object = signJson(bare, client.userId, key);
  await client.ok('POST', '/keys/upload', { device_keys: object });
  return { key, object };
}

const sign = async (client: TestClient, of: TestClient, keyId: string, object: object) =>
  (await client.ok('POST', '/keys/signatures/upload', { [of.userId]: { [keyId]: object } })).failures;

describe('cross-signing keys', () => {
  it('are seen by others, but for the user-signing key', async () => {
    const { body } = await published(alice);
    const own = await query(alice, alice.userId);
    expect(own.master_keys).toEqual({ [alice.userId]: body.master_key });
    expect(own.self_signing_keys).toEqual({ [alice.userId]: body.self_signing_key });
    expect(own.user_signing_keys).toEqual({ [alice.userId]: body.user_signing_key });
    expect(await query(bob, alice.userId)).toMatchObject({
      master_keys: { [alice.userId]: body.master_key },
      self_signing_keys: { [alice.userId]: body.self_signing_key },
      user_signing_keys: {},
    });
  });

  it('may be published again as they are, but others only by who knows the password', async () => {
    const { body } = await published(alice);
    expect((await publish(alice, body)).status).toBe(200);
    const other = newIdentity(alice).body;
    const challenge = await publish(alice, other);
    expect([challenge.status, challenge.body.flows]).toEqual([401, [{ stages: ['m.login.password'] }]]);
    expect((await query(bob, alice.userId)).master_keys).toEqual({ [alice.userId]: body.master_key });
    const { session } = challenge.body;
    expect((await publish(alice, { ...other, auth: { ...auth(alice), session } })).status).toBe(200);
    expect((await query(bob, alice.userId)).master_keys).toEqual({ [alice.userId]: other.master_key });
  });

  it('go with their master key', async () => {
    const { body } = await published(alice);
    const { master_key: next } = newIdentity(alice).body;
    expect((await publish(alice, { master_key: next, auth: auth(alice) })).status).toBe(200);
    expect(await query(alice, alice.userId)).toMatchObject({
      master_keys: { [alice.userId]: next },
      self_signing_keys: {},
      user_signing_keys: {},
    });
    expect((await publish(alice, { self_signing_key: body.self_signing_key, auth: auth(alice) })).body.errcode).toBe(
      'M_INVALID_SIGNATURE',
    );
  });

  it('have to be signed by the master key, and to be of the right shape', async () => {
    const { body } = newIdentity(alice);
    const { body: others } = newIdentity(bob);
    const { user_signing_key: forged } = newIdentity(alice).body;
    const cases: [object, number, string][] = [
      [{ self_signing_key: body.self_signing_key }, 400, 'M_MISSING_PARAM'],
      [{ ...body, user_signing_key: forged }, 400, 'M_INVALID_SIGNATURE'],
      [{ master_key: others.master_key }, 400, 'M_INVALID_PARAM'],
      [{ master_key: body.user_signing_key }, 400, 'M_INVALID_PARAM'],
      [{ master_key: { ...body.master_key, keys: { 'ed25519:a': 'b' } } }, 400, 'M_INVALID_PARAM'],
      [{ master_key: { ...body.master_key, keys: {} } }, 400, 'M_INVALID_PARAM'],
      [{ master_key: { user_id: alice.userId } }, 400, 'M_BAD_JSON'],
      [{ master_key: 'key' }, 400, 'M_BAD_JSON'],
    ];
    for (const [wrong, status, errcode] of cases) {
      const answer = await publish(alice, wrong);
      expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
    }
    expect((await query(alice, alice.userId)).master_keys).toEqual({});
  });

  it('cannot have the name of a device', async () => {
    const { master } = newIdentity(alice);
    const named = await app.register(`named${users}`);
    const body = { master_key: { ...keyObject(named, 'master', master) } };
    const { body: login } = await app.http
      .inject({
        method: 'POST',
        url: '/_matrix/client/v3/login',
        payload: { ...auth(named), device_id: master.publicText },
      })
      .then((raw) => ({ body: raw.json() as Record<string, unknown> }));
    expect(login.device_id).toBe(master.publicText);
    const answer = await publish(named, body);
    expect([answer.status, answer.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
  });

  it('are gone with the account', async () => {
    await published(alice);
    await alice.ok('POST', '/account/deactivate', { auth: auth(alice) });
    expect((await query(bob, alice.userId)).master_keys).toEqual({});
  });
});

describe('signatures', () => {
  it('of the self-signing key on a device are seen by all', async () => {
    const { self } = await published(alice);
    const { key, object } = await withDevice(alice);
    const signed = signJson(object, alice.userId, self);
    expect(await sign(alice, alice, alice.deviceId, signed)).toEqual({});
    const ofDevice = (await query(bob, alice.userId)).device_keys[alice.userId]?.[alice.deviceId];
    expect(ofDevice?.signatures).toEqual(signed.signatures);
    expect(Object.keys(signed.signatures[alice.userId] ?? {}).toSorted()).toEqual([self.keyId, key.keyId].toSorted());
    // The device publishes its keys again without them: they stay.
    await alice.ok('POST', '/keys/upload', { device_keys: object });
    const again = (await query(bob, alice.userId)).device_keys[alice.userId]?.[alice.deviceId];
    expect(again?.signatures).toEqual(signed.signatures);
  });

  it('of a device on the own master key are seen by all', async () => {
    const { master, body } = await published(alice);
    const { key } = await withDevice(alice);
    const signed = signJson(body.master_key, alice.userId, key);
    expect(await sign(alice, alice, master.publicText, signed)).toEqual({});
    expect((await query(bob, alice.userId)).master_keys[alice.userId]).toEqual(signed);
  });

  it('of the user-signing key on the master key of another are seen by who made them only', async () => {
    const { user } = await published(alice);
    const { master, body } = await published(bob);
    const { next_batch: since } = await sync(alice);
    const { next_batch: sinceOfBob } = await sync(bob);
    const signed = signJson(body.master_key, alice.userId, user);
    expect(await sign(alice, bob, master.publicText, signed)).toEqual({});
    expect((await query(alice, bob.userId)).master_keys[bob.userId]).toEqual(signed);
    expect((await query(bob, bob.userId)).master_keys[bob.userId]).toEqual(body.master_key);
    expect(((await sync(alice, { since })) as EncryptionSync).device_lists?.changed).toEqual([bob.userId]);
    expect(await sync(bob, { since: sinceOfBob })).not.toHaveProperty('device_lists');
  });

  it('that are not right are refused, each by itself', async () => {
    const { self, user } = await published(alice);
    const { object } = await withDevice(alice);
    const { master, body } = await published(bob);
    const good = signJson(object, alice.userId, self);
    const forged = { ...good, signatures: { [alice.userId]: { [self.keyId]: encodeBase64(randomBytes(64)) } } };
    const { failures } = await alice.ok('POST', '/keys/signatures/upload', {
      [alice.userId]: { [alice.deviceId]: forged, NONE: good },
      [bob.userId]: {
        [master.publicText]: signJson(body.master_key, alice.userId, self),
        [bob.deviceId]: signJson(object, alice.userId, user),
      },
      '@nobody:localhost': { X: good },
    });
    expect(failures).toMatchObject({
      [alice.userId]: { [alice.deviceId]: { errcode: 'M_INVALID_SIGNATURE' }, NONE: { errcode: 'M_NOT_FOUND' } },
      [bob.userId]: {
        [master.publicText]: { errcode: 'M_INVALID_SIGNATURE' },
        [bob.deviceId]: { errcode: 'M_NOT_FOUND' },
      },
      '@nobody:localhost': { X: { errcode: 'M_NOT_FOUND' } },
    });
    const changed = signJson({ ...object, algorithms: ['other'] }, alice.userId, self);
    expect(await sign(alice, alice, alice.deviceId, changed)).toMatchObject({
      [alice.userId]: { [alice.deviceId]: { errcode: 'M_INVALID_PARAM' } },
    });
    expect(await sign(alice, alice, alice.deviceId, { ...object, signatures: {} })).toMatchObject({
      [alice.userId]: { [alice.deviceId]: { errcode: 'M_INVALID_SIGNATURE' } },
    });
  });

  it('and new keys are news for who shares a room, but a user-signing key is not', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const look = async (since: string) => (await sync(bob, { since })) as EncryptionSync;
    const { next_batch: start } = await sync(bob);
    const { body, self } = newIdentity(alice);
    await publish(alice, { master_key: body.master_key, self_signing_key: body.self_signing_key });
    const first = await look(start);
    expect(first.device_lists?.changed).toEqual([alice.userId]);
    await publish(alice, { user_signing_key: body.user_signing_key, auth: auth(alice) });
    expect(await look(first.next_batch)).not.toHaveProperty('device_lists');
    const { object } = await withDevice(alice);
    const { next_batch: since } = await sync(bob);
    await sign(alice, alice, alice.deviceId, signJson(object, alice.userId, self));
    expect((await look(since)).device_lists?.changed).toEqual([alice.userId]);
  });
});
