/** Invites to people of whom only an address is known, with an identity server that a test plays. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodeBase64 } from '#protocol/base64.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { signingKeyFromSeed, signJson } from '#protocol/signing.ts';
import type { TestClient } from '#test/support/application.ts';
import { request } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { startTlsPeer, type TlsPeer } from '#test/support/tls-peer.ts';

const network = new TestNetwork();
const key = signingKeyFromSeed('ed25519:0', Buffer.alloc(32, 'identity'));
const otherKey = signingKeyFromSeed('ed25519:0', Buffer.alloc(32, 'other'));
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let identity: TlsPeer;
let idServer: string;
let roomId: string;
let tokens = 0;
/** Who has which address; what the identity server says of its key. */
let bound: Record<string, string>;
let isKeyValid: boolean;
let stored: JsonObject[];

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  alice = await one.register('alice');
  bob = await two.register('bob');
  identity = await startTlsPeer((asked, response) => void answer(asked, response));
  idServer = `three.test:${identity.port}`;
});
beforeEach(async () => {
  bound = {};
  isKeyValid = true;
  stored = [];
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'private_chat', name: 'Den' }))['room_id']);
});
afterAll(async () => {
  await one.close();
  await two.close();
  await identity.close();
});

async function answer(asked: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = asked.method === 'POST' ? ((await json(asked)) as JsonObject) : {};
  const [path = ''] = (asked.url ?? '').split('?');
  const validityUrl = `https://${idServer}/_matrix/identity/v2/pubkey/isvalid`;
  const answers: Record<string, () => object> = {
    '/_matrix/identity/v2/hash_details': () => ({ algorithms: ['none'], lookup_pepper: 'p' }),
    '/_matrix/identity/v2/lookup': () => ({ mappings: bound }),
    '/_matrix/identity/v2/store-invite': () => {
      stored.push(body);
      tokens += 1;
      const publicKey = encodeBase64(key.publicKey);
      return {
        token: `t${tokens}`,
        display_name: 'b…@e…',
        public_keys: [{ public_key: publicKey, key_validity_url: validityUrl }],
      };
    },
    '/_matrix/identity/v2/pubkey/isvalid': () => ({ valid: isKeyValid }),
  };
  const isAllowed = path.endsWith('isvalid') || asked.headers.authorization === 'Bearer secret';
  const found = isAllowed ? answers[path]?.() : undefined;
  response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(found ?? {}));
}

const path = (rest: string) => `/rooms/${encodeURIComponent(roomId)}${rest}`;
const inviteAddress = (who = alice, more: object = {}) =>
  who.call('POST', path('/invite'), {
    id_server: idServer,
    id_access_token: 'secret',
    medium: 'email',
    address: 'Bob@Example.org',
    ...more,
  });
const memberOf = async (userId: string) =>
  (await alice.call('GET', path(`/state/m.room.member/${encodeURIComponent(userId)}`))).body;

/** The identity server tells a server that its user has the address. */
function bind(
  server: TestServer,
  mxid: string,
  options: { readonly signer?: typeof key; readonly mxid?: string } = {},
) {
  const signed = signJson({ mxid, token: `t${tokens}` }, idServer, options.signer ?? key);
  const invite = { mxid, room_id: roomId, sender: alice.userId, medium: 'email', address: 'bob@example.org', signed };
  return request(server.http, 'PUT', '/_matrix/federation/v1/3pid/onbind', {
    medium: 'email',
    address: 'bob@example.org',
    mxid: options.mxid ?? mxid,
    invites: [invite],
  });
}

describe('whoever has an address', () => {
  it('is invited as the user that the identity server knows', async () => {
    bound = { 'bob@example.org email': bob.userId };
    expect((await inviteAddress()).status).toBe(200);
    expect(await memberOf(bob.userId)).toMatchObject({ membership: 'invite' });
    expect(stored).toEqual([]);
  });

  it('is invited when it turns out who that is, on another server too', async () => {
    expect((await inviteAddress()).status).toBe(200);
    expect(stored).toMatchObject([
      { address: 'bob@example.org', room_id: roomId, sender: alice.userId, room_name: 'Den' },
    ]);
    expect((await bind(two, bob.userId)).status).toBe(200);
    expect(await memberOf(bob.userId)).toMatchObject({
      membership: 'invite',
      third_party_invite: { display_name: 'b…@e…', signed: { mxid: bob.userId } },
    });
    const sync = await bob.ok('GET', '/sync?timeout=0');
    expect(Object.keys((sync['rooms'] as unknown as { invite?: object } | undefined)?.invite ?? {})).toContain(roomId);
    await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
    expect(await memberOf(bob.userId)).toMatchObject({ membership: 'join' });
  });

  it('comes in with what the identity server signed', async () => {
    await inviteAddress();
    const carol = await one.register(`carol${tokens}`);
    const signed = signJson({ mxid: carol.userId, sender: alice.userId, token: `t${tokens}` }, idServer, key);
    expect((await carol.call('POST', `/join/${encodeURIComponent(roomId)}`, {})).status).toBe(403);
    await carol.ok('POST', `/join/${encodeURIComponent(roomId)}`, { third_party_signed: signed });
    expect(await memberOf(carol.userId)).toMatchObject({ membership: 'join' });
  });

  it('may be invited along with a new room', async () => {
    const invite_3pid = [{ id_server: idServer, id_access_token: 'secret', medium: 'email', address: 'x@example.org' }];
    roomId = String((await alice.ok('POST', '/createRoom', { invite_3pid }))['room_id']);
    expect(stored).toMatchObject([{ address: 'x@example.org', room_id: roomId }]);
    expect(await alice.ok('GET', path(`/state/m.room.third_party_invite/t${tokens}`))).toMatchObject({
      display_name: 'b…@e…',
    });
  });
});

describe('nobody is invited', () => {
  it.each([
    ['with a key that is not one of the invite', { signer: otherKey }, true],
    ['with a key that is revoked', {}, false],
    ['who is not the one that the server is told of', { mxid: '@somebody:two.test' }, true],
  ])('%s', async (_what, options, isValid) => {
    await inviteAddress();
    isKeyValid = isValid;
    await bind(two, bob.userId, options);
    expect(await memberOf(bob.userId)).toMatchObject({ errcode: 'M_NOT_FOUND' });
  });

  it('by who may not invite: the identity server hears nothing of it', async () => {
    const eve = await one.register(`eve${tokens}`);
    const before = identity.requests.length;
    expect((await inviteAddress(eve)).status).toBe(403);
    expect(identity.requests.length).toBe(before);
  });

  it('where the identity server is not there, or does not know the user', async () => {
    expect((await inviteAddress(alice, { id_server: 'nowhere.test:1' })).body).toMatchObject({
      errcode: 'M_CONNECTION_FAILED',
    });
    expect((await inviteAddress(alice, { id_access_token: 'wrong' })).status).toBe(502);
    expect((await inviteAddress(alice, { id_server: 'a/b' })).body).toMatchObject({ errcode: 'M_INVALID_PARAM' });
    expect((await inviteAddress(alice, { id_server: undefined })).body).toMatchObject({ errcode: 'M_MISSING_PARAM' });
  });

  it('for a server that speaks for users of another', async () => {
    await inviteAddress();
    const signed = signJson({ mxid: '@carol:one.test', token: `t${tokens}` }, idServer, key);
    const exchanged = two.context.federation.client.request({
      destination: 'one.test',
      method: 'PUT',
      path: `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent(roomId)}`,
      content: {
        type: 'm.room.member',
        room_id: roomId,
        sender: alice.userId,
        state_key: '@carol:one.test',
        content: { membership: 'invite', third_party_invite: { display_name: 'c', signed } },
      },
    });
    await expect(exchanged).rejects.toMatchObject({ status: 403 });
  });
});
