/** Addresses that users bind at identity servers through their homeserver, with an identity server that a test plays. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { verifySignature } from '#protocol/ed25519.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { parseServerAuthorization } from '#src/federation/authorization-header.ts';
import { bytesToSign } from '#src/federation/signed-request.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { startTlsPeer, type TlsPeer } from '#test/support/tls-peer.ts';

const network = new TestNetwork();
const ADDRESS = { medium: 'email', address: 'alice@example.org' };
const UNBIND = '/_matrix/identity/v2/3pid/unbind';

let server: TestServer;
let alice: TestClient;
let identity: TlsPeer;
let idServer: string;
let users = 0;
/** Who has which address at the identity server. */
let bound: Map<string, string>;
/** What the identity server answers instead of doing it. */
let refusal: readonly [status: number, body: string] | undefined;

beforeAll(async () => {
  server = await startServerOn(network, 'one.test');
  identity = await startTlsPeer((asked, response) => void answer(asked, response));
  idServer = `three.test:${identity.port}`;
});
beforeEach(async () => {
  bound = new Map();
  refusal = undefined;
  users += 1;
  alice = await server.register(`alice${users}`);
});
afterAll(async () => {
  await server.close();
  await identity.close();
});

async function answer(asked: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = (await json(asked)) as JsonObject;
  const [status, text] = refusal ?? [200, JSON.stringify(act(asked, body))];
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(text);
}

function act(asked: IncomingMessage, body: JsonObject): object {
  if (asked.url === '/_matrix/identity/v2/3pid/bind') {
    expect(asked.headers.authorization).toBe('Bearer secret');
    expect(body).toMatchObject({ sid: '1', client_secret: 'monkeys' });
    bound.set(ADDRESS.address, String(body.mxid));
    return { ...ADDRESS, mxid: body.mxid, not_before: 0, not_after: 1, ts: 0, signatures: {} };
  }
  expect(asked.url).toBe(UNBIND);
  expectSigned(asked.headers.authorization ?? '', body);
  expect(body.mxid).toBe(bound.get(ADDRESS.address));
  bound.delete(String((body.threepid as JsonObject).address));
  return {};
}

/** The request is our server's word for its user. */
function expectSigned(authorization: string, body: JsonObject): void {
  const credentials = parseServerAuthorization(authorization);
  const { ownKeys } = server.context.federation;
  expect(credentials).toMatchObject({ origin: 'one.test', destination: idServer, keyId: ownKeys.signingKey.keyId });
  const parts = {
    method: 'POST',
    uri: UNBIND,
    origin: 'one.test',
    destination: idServer,
    content: canonicalJson(body),
  };
  const signature = Buffer.from(credentials?.signature ?? '', 'base64');
  expect(verifySignature(bytesToSign(parts), signature, ownKeys.signingKey.publicKey)).toBe(true);
}

const bind = () =>
  alice.call('POST', '/account/3pid/bind', {
    id_server: idServer,
    id_access_token: 'secret',
    sid: '1',
    client_secret: 'monkeys',
  });
const unbind = (more: object = {}, path = '/account/3pid/unbind') => alice.call('POST', path, { ...ADDRESS, ...more });

it('an address is bound, and taken back from the server that was told, unasked which', async () => {
  expect(await bind()).toMatchObject({ status: 200, body: {} });
  expect(bound.get(ADDRESS.address)).toBe(alice.userId);
  // It is not one of the account's own.
  expect(await alice.ok('GET', '/account/3pid')).toEqual({ threepids: [] });
  const result = await unbind({ address: 'Alice@Example.org' });
  expect(result).toMatchObject({ status: 200, body: { id_server_unbind_result: 'success' } });
  expect(bound.size).toBe(0);
  expect((await unbind()).body).toEqual({ id_server_unbind_result: 'no-support' });
});

it('an address that was bound without this server is taken back where the user says', async () => {
  bound.set(ADDRESS.address, alice.userId);
  expect((await unbind({}, '/account/3pid/delete')).body).toEqual({ id_server_unbind_result: 'no-support' });
  const result = await unbind({ id_server: idServer }, '/account/3pid/delete');
  expect(result.body).toEqual({ id_server_unbind_result: 'success' });
  expect(bound.size).toBe(0);
});

it('a closed account leaves no address behind', async () => {
  await bind();
  const identifier = { type: 'm.id.user', user: alice.userId };
  const auth = { type: 'm.login.password', identifier, password: 'correct horse battery staple' };
  const answer = await alice.ok('POST', '/account/deactivate', { auth });
  expect(answer).toEqual({ id_server_unbind_result: 'success' });
  expect(bound.size).toBe(0);
});

it('nor does one that an administrator closes', async () => {
  await bind();
  const admin = await server.register(`admin${users}`);
  await server.context.accounts.setAdmin(admin.userId, true);
  const answer = await admin.ok('POST', `/_synapse/admin/v1/deactivate/${alice.userId}`, {});
  expect(answer).toEqual({ id_server_unbind_result: 'success' });
  expect(bound.size).toBe(0);
});

it('an identity server that does not unbind keeps no account open', async () => {
  await bind();
  refusal = [501, 'no'];
  expect((await unbind()).body).toEqual({ id_server_unbind_result: 'no-support' });
  const identifier = { type: 'm.id.user', user: alice.userId };
  const auth = { type: 'm.login.password', identifier, password: 'correct horse battery staple' };
  expect(await alice.ok('POST', '/account/deactivate', { auth })).toEqual({ id_server_unbind_result: 'no-support' });
});

it('errors of the identity server are passed on, but none that would end the session here', async () => {
  refusal = [400, JSON.stringify({ errcode: 'M_SESSION_NOT_VALIDATED', error: 'Not yet.' })];
  expect(await bind()).toMatchObject({ status: 400, body: { errcode: 'M_SESSION_NOT_VALIDATED', error: 'Not yet.' } });
  refusal = [401, JSON.stringify({ errcode: 'M_UNKNOWN_TOKEN', error: 'Who?' })];
  expect(await bind()).toMatchObject({ status: 403, body: { errcode: 'M_UNAUTHORIZED' } });
  refusal = [200, JSON.stringify({ errcode: 'no address' })];
  expect(await bind()).toMatchObject({ status: 502, body: { errcode: 'M_CONNECTION_FAILED' } });
  refusal = [500, '<html>'];
  expect(await bind()).toMatchObject({ status: 502, body: { errcode: 'M_CONNECTION_FAILED' } });
  expect(await unbind({ id_server: 'not a name' })).toMatchObject({
    status: 400,
    body: { errcode: 'M_INVALID_PARAM' },
  });
});
