/** Two servers that talk with each other over TLS, each with its own key. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeBase64 } from '#protocol/base64.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { signingKeyFromSeed, signJson, verifySignedJson } from '#protocol/signing.ts';
import { formatServerAuthorization } from '#src/federation/authorization-header.ts';
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
  await bob.ok('PUT', `/profile/${bob.userId}/displayname`, { displayname: 'Bob' });
});
afterAll(async () => {
  await one.close();
  await two.close();
});

describe('a user sees', () => {
  it('the profile of a user of the other server', async () => {
    expect(await alice.ok('GET', `/profile/${bob.userId}`)).toEqual({ displayname: 'Bob' });
    expect(await alice.ok('GET', `/profile/${bob.userId}/displayname`)).toEqual({ displayname: 'Bob' });
    expect((await alice.call('GET', `/profile/@nobody:two.test`)).status).toBe(404);
  });

  it('where an alias of the other server leads', async () => {
    const { room_id: roomId } = await bob.ok('POST', '/createRoom', { room_alias_name: 'tea' });
    expect(await alice.ok('GET', `/directory/room/${encodeURIComponent('#tea:two.test')}`)).toEqual({
      room_id: roomId,
      servers: ['two.test'],
    });
    expect((await alice.call('GET', `/directory/room/${encodeURIComponent('#coffee:two.test')}`)).body).toMatchObject({
      errcode: 'M_NOT_FOUND',
    });
  });

  it('that a server is not there', async () => {
    const { status, body } = await alice.call('GET', '/profile/@carol:three.test');
    expect({ status, body }).toMatchObject({ status: 502, body: { errcode: 'M_CONNECTION_FAILED' } });
  });
});

it('asks for devices and keys, which come without their names', async () => {
  const deviceKeys = {
    user_id: bob.userId,
    device_id: bob.deviceId,
    algorithms: ['m.olm.v1.curve25519-aes-sha2'],
    keys: { [`ed25519:${bob.deviceId}`]: 'k' },
    signatures: {},
  };
  const oneTimeKey = { key: 'x', signatures: { [bob.userId]: { [`ed25519:${bob.deviceId}`]: 's' } } };
  await bob.ok('POST', '/keys/upload', {
    device_keys: deviceKeys,
    one_time_keys: { 'signed_curve25519:a': oneTimeKey },
  });
  const { client } = one.context.federation;
  const nobody = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`@nobody${index}:two.test`, []]));
  const query = await client.request({
    destination: 'two.test',
    method: 'POST',
    path: '/_matrix/federation/v1/user/keys/query',
    content: { device_keys: { ...nobody, [bob.userId]: [], [alice.userId]: [] } },
  });
  expect(query).toEqual({
    device_keys: { [bob.userId]: { [bob.deviceId]: deviceKeys } },
    master_keys: {},
    self_signing_keys: {},
  });
  const list = await client.request({
    destination: 'two.test',
    method: 'GET',
    path: `/_matrix/federation/v1/user/devices/${bob.userId}`,
  });
  expect(list).toMatchObject({ user_id: bob.userId, devices: [{ device_id: bob.deviceId, keys: deviceKeys }] });
  expect(list['stream_id']).toBeGreaterThan(0);
  const claim = {
    destination: 'two.test',
    method: 'POST',
    path: '/_matrix/federation/v1/user/keys/claim',
    content: { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } } },
  } as const;
  expect(await client.request(claim)).toEqual({
    one_time_keys: { [bob.userId]: { [bob.deviceId]: { 'signed_curve25519:a': oneTimeKey } } },
  });
  expect(await client.request(claim)).toEqual({ one_time_keys: {} });
});

it('lists public rooms, filtered if asked', async () => {
  const { room_id: roomId } = await bob.ok('POST', '/createRoom', { name: 'Garden', visibility: 'public' });
  const { client } = one.context.federation;
  const path = '/_matrix/federation/v1/publicRooms';
  const found = async (search: string): Promise<unknown> => {
    const content = { limit: 0, filter: { generic_search_term: search } };
    const answer = await client.request({ destination: 'two.test', method: 'POST', path, content });
    return (answer['chunk'] as { room_id: string }[]).map((room) => room.room_id);
  };
  expect(await client.request({ destination: 'two.test', method: 'GET', path: `${path}?limit=0` })).toMatchObject({
    chunk: [{ room_id: roomId, name: 'Garden' }],
  });
  // Clients are told the same, through their own server.
  const shown = await alice.ok('POST', '/publicRooms?server=two.test', { filter: { generic_search_term: 'gard' } });
  expect(shown).toMatchObject({ chunk: [{ room_id: roomId }], total_room_count_estimate: 1 });
  expect(await alice.ok('GET', '/publicRooms?server=two.test&limit=5')).toMatchObject({ chunk: [{ room_id: roomId }] });
  expect((await alice.call('GET', '/publicRooms?server=nowhere/')).status).toBe(400);
  expect(await found('gard')).toEqual([roomId]);
  expect(await found('house')).toEqual([]);
});

describe('a request is turned down', () => {
  interface Forged {
    readonly method?: 'GET' | 'POST';
    readonly path?: string;
    /** What is sent; what is signed is the same unless `signed` says otherwise. */
    readonly body?: string;
    readonly signed?: object;
    readonly credentials?: object;
    readonly seed?: Uint8Array;
    readonly headers?: Record<string, string>;
  }
  const path = '/_matrix/federation/v1/query/profile?user_id=%40bob%3Atwo.test&field=displayname';

  async function send(forged: Forged = {}): Promise<{ status: number; body: unknown }> {
    const { method = 'GET', path: url = path, body, signed = {}, credentials = {} } = forged;
    const key = forged.seed === undefined ? one.signingKey : signingKeyFromSeed(one.signingKey.keyId, forged.seed);
    const content = body === undefined ? undefined : JSON.parse(body);
    const object = { method, uri: url, origin: 'one.test', destination: 'two.test', content, ...signed };
    const signature = encodeBase64(key.sign(Buffer.from(canonicalJson(object))));
    const authorization = formatServerAuthorization({
      origin: 'one.test',
      destination: 'two.test',
      keyId: key.keyId,
      signature,
      ...credentials,
    });
    const answer = await two.http.inject({
      method,
      url,
      headers: { authorization, ...forged.headers },
      ...(body !== undefined && { payload: body }),
    });
    return { status: answer.statusCode, body: answer.json() };
  }

  it('never if all is as it should be', async () => {
    expect(await send()).toEqual({ status: 200, body: { displayname: 'Bob' } });
    const body = '{ "limit": 1, "filter": {"generic_search_term": "\\u00e9" } }';
    const sent = await send({ method: 'POST', path: '/_matrix/federation/v1/publicRooms', body });
    expect(sent.status).toBe(200);
  });

  it.each<[string, Forged]>([
    ['another path was signed', { signed: { uri: `${path}x` } }],
    ['another query was signed', { signed: { uri: path.replace('displayname', 'avatar_url') } }],
    ['a decoded path was signed', { signed: { uri: decodeURIComponent(path) } }],
    ['another method was signed', { signed: { method: 'PUT' } }],
    ['another origin was signed', { signed: { origin: 'two.test' } }],
    ['another destination was signed', { signed: { destination: 'three.test' } }],
    ['a body was signed and none sent', { signed: { content: {} } }],
    ['it is for another server', { credentials: { destination: 'three.test' }, signed: { destination: 'three.test' } }],
    ['it claims to be from here', { credentials: { origin: 'two.test' }, signed: { origin: 'two.test' } }],
    ['another key signed it', { seed: Buffer.alloc(32, 9) }],
    ['the key is not one of the server', { credentials: { keyId: 'ed25519:other' } }],
    ['the signature is no base64', { credentials: { signature: '!' } }],
    ['the signature is too short', { credentials: { signature: 'AAAA' } }],
    [
      'the body was changed',
      {
        method: 'POST',
        path: '/_matrix/federation/v1/publicRooms',
        body: '{"limit":2}',
        signed: { content: { limit: 1 } },
      },
    ],
  ])('if %s', async (_why, forged) => {
    const { status, body } = await send(forged);
    expect({ status, body }).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } });
  });

  it.each<[string, Forged]>([
    ['the origin is no server name', { credentials: { origin: 'one.test:http' } }],
    ['the key is no key id', { credentials: { keyId: 'ed25519' } }],
    ['the header is broken', { headers: { authorization: 'X-Matrix origin="one.test' } }],
    ['it carries a user’s token', { headers: { authorization: 'Bearer abc' } }],
  ])('as malformed if %s', async (_why, forged) => {
    expect((await send(forged)).status).toBe(400);
  });

  it('without a signature, before its body is looked at', async () => {
    const answer = await two.http.inject({ method: 'POST', url: '/_matrix/federation/v1/publicRooms', payload: 'x' });
    expect([answer.statusCode, answer.json().errcode]).toEqual([401, 'M_UNAUTHORIZED']);
  });

  it('without a destination only if none was signed: older servers name none', async () => {
    const { keyId } = one.signingKey;
    const object = { method: 'GET', uri: path, origin: 'one.test' };
    const signature = encodeBase64(one.signingKey.sign(Buffer.from(canonicalJson(object))));
    const authorization = `X-Matrix origin=one.test,key="${keyId}",sig="${signature}"`;
    const answer = await two.http.inject({ method: 'GET', url: path, headers: { authorization } });
    expect(answer.statusCode).toBe(200);
  });

  it('if too many of one server are under way', () => {
    const { authentication } = two.context.federation;
    const leave = Array.from({ length: 50 }, () => authentication.enter('many.test'));
    expect(() => authentication.enter('many.test')).toThrow(expect.objectContaining({ errcode: 'M_LIMIT_EXCEEDED' }));
    expect(() => authentication.enter('other.test')()).not.toThrow();
    for (const one of leave) one();
    authentication.enter('many.test')();
  });
});

it('is not disturbed by clocks that differ by minutes, but by a key that ran out long ago', async () => {
  const later = await startServerOn(network, 'three.test');
  try {
    const ask = async (): Promise<number> => {
      const path = '/_matrix/federation/v1/publicRooms';
      const key = two.signingKey;
      const object = { method: 'GET', uri: path, origin: 'two.test', destination: 'three.test' };
      const signature = encodeBase64(key.sign(Buffer.from(canonicalJson(object))));
      const authorization = formatServerAuthorization({
        origin: 'two.test',
        destination: 'three.test',
        keyId: key.keyId,
        signature,
      });
      return (await later.http.inject({ url: path, headers: { authorization } })).statusCode;
    };
    const dayMs = 24 * 60 * 60_000;
    const aheadMs = two.now() - later.now();
    later.advance(aheadMs + dayMs + 60_000);
    expect(await ask()).toBe(200);
    later.advance(60 * 60_000);
    expect(await ask()).toBe(401);
  } finally {
    await later.close();
  }
});

describe('after a rotation', () => {
  it('the new key is fetched, the old one is good for old events and nothing else', async () => {
    const old = one.signingKey;
    const { ownKeys } = one.context.federation;
    const { keyId, oldKeyId } = await ownKeys.rotate();
    expect(oldKeyId).toBe(old.keyId);
    // The next request is signed with the new key, which the other server has never heard of.
    expect(await alice.ok('GET', `/profile/${bob.userId}/displayname`)).toEqual({ displayname: 'Bob' });
    const found = await two.context.federation.keys.keysFor([
      { serverName: 'one.test', keyIds: [keyId, oldKeyId], validAtMs: 0 },
    ]);
    const ofOne = found.get('one.test');
    expect(ofOne?.get(keyId)?.validity).toEqual({ validUntilTs: expect.any(Number) });
    expect(ofOne?.get(oldKeyId)?.validity).toEqual({ expiredTs: expect.any(Number) });
    expect(ofOne?.get(oldKeyId)?.publicKey).toEqual(old.publicKey);

    const path = '/_matrix/federation/v1/query/profile?user_id=%40bob%3Atwo.test';
    const object = { method: 'GET', uri: path, origin: 'one.test', destination: 'two.test' };
    const signature = encodeBase64(old.sign(Buffer.from(canonicalJson(object))));
    const authorization = formatServerAuthorization({
      origin: 'one.test',
      destination: 'two.test',
      keyId: old.keyId,
      signature,
    });
    const answer = await two.http.inject({ method: 'GET', url: path, headers: { authorization } });
    expect(answer.statusCode).toBe(401);
  });

  it('the answer about keys is signed with the new key and lists the old one', () => {
    const { ownKeys } = one.context.federation;
    const answer = ownKeys.answer();
    expect(Object.keys(answer['verify_keys'] as object)).toEqual([ownKeys.signingKey.keyId]);
    expect(answer['old_verify_keys']).toMatchObject({ [one.signingKey.keyId]: { expired_ts: expect.any(Number) } });
    expect(verifySignedJson(answer, 'one.test', ownKeys.signingKey.keyId, ownKeys.signingKey.publicKey)).toBe(true);
  });

  it('events are signed with the new key', () => {
    const { signingKey } = one.context.federation.ownKeys;
    expect(Object.keys(signJson({}, 'one.test', signingKey).signatures['one.test'] ?? {})).toEqual([signingKey.keyId]);
  });
});
