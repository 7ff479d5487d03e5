/** Events of old room versions with numbers that parsers treat differently, by every way in and every way out. */
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { contentHash, eventIdOf, hasValidContentHash } from '#protocol/hashing.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { signJson, verifyEventSignature } from '#protocol/signing.ts';
import { authorize } from '#src/federation/signed-request.ts';
import { type ForeignEvent, keyOfServer } from '#src/rooms/receive/foreign-room.test-support.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { HostilePeer } from '#test/support/hostile-peer.ts';

const PEER = 'two.test';
const ANN = `@ann:${PEER}`;
/** As the peer writes them, and as all servers hash them. */
const WRITTEN = '{"big":9007199254740993,"float":1.0,"huge":-1180591620717411303424,"hundred":1e2,"tiny":0.0000001}';
const HASHED = '{"big":9007199254740993,"float":1.0,"huge":-1180591620717411303424,"hundred":100.0,"tiny":1e-07}';

let one: TestServer;
let peer: HostilePeer;
let alice: TestClient;

async function begin(version: string): Promise<void> {
  const network = new TestNetwork();
  one = await startServerOn(network, 'one.test');
  peer = await HostilePeer.start(PEER, version, one.now());
  network.place(PEER, peer.peer.port);
  alice = await one.register('alice');
}
afterEach(async () => {
  await one.close();
  await peer.close();
});

/** An event in which the content `{"n": …}` holds the numbers, hashed and signed as they are written. */
function withNumbers(event: ForeignEvent, content: JsonObject = { n: parseJsonExactly(WRITTEN) }): ForeignEvent {
  const { rules } = peer.room;
  const { hashes: _, signatures: __, ...draft } = { ...event.pdu, content };
  const hashed = { ...draft, hashes: { sha256: contentHash(draft, rules) } };
  const { signatures } = signJson(redact(hashed as unknown as Pdu, rules), PEER, keyOfServer(PEER), 'loose');
  const pdu = { ...hashed, signatures } as unknown as Pdu;
  peer.room.events.delete(event.eventId);
  peer.room.ends = peer.room.ends.filter((id) => id !== event.eventId);
  return peer.room.adopt(pdu, eventIdOf(pdu, rules));
}

function message(): ForeignEvent {
  return withNumbers(peer.room.add({ sender: ANN, type: 'm.room.message', content: { n: 1 } }));
}

/** Text in which the numbers are written as Python never would. */
function asWritten(text: string): string {
  return text.replaceAll(HASHED, WRITTEN);
}

async function signed(method: 'PUT' | 'GET' | 'POST', uri: string, content?: JsonObject) {
  const payload = content && canonicalJson(content, 'loose');
  const parts = { method, uri, origin: PEER, destination: 'one.test', content: payload };
  const headers = { authorization: authorize(parts, keyOfServer(PEER)), 'content-type': 'application/json' };
  const raw = await one.http.inject({
    method,
    url: uri,
    headers,
    ...(payload !== undefined && { payload: asWritten(payload) }),
  });
  return { status: raw.statusCode, body: parseJsonExactly(raw.payload) as JsonObject, text: raw.payload };
}

async function send(pdus: readonly Pdu[]): Promise<JsonObject> {
  const { path, content } = peer.transaction(pdus);
  const { status, body } = await signed('PUT', path, content);
  expect(status).toBe(200);
  return body['pdus'] as JsonObject;
}

async function join(): Promise<void> {
  await alice.ok('POST', `/join/${encodeURIComponent(peer.room.roomId)}?via=${PEER}`, {});
}

/** What the server gives the peer for an event is the event. */
async function expectServed(event: ForeignEvent): Promise<void> {
  const { text, body } = await signed('GET', `/_matrix/federation/v1/event/${encodeURIComponent(event.eventId)}`);
  expect(text).toContain(HASHED);
  const [pdu] = body['pdus'] as readonly JsonValue[] as readonly Pdu[];
  expectGenuine(pdu, event.eventId);
}

function expectGenuine(pdu: Pdu | undefined, eventId: string): void {
  const { rules } = peer.room;
  if (pdu === undefined) throw new Error(`${eventId} is not there`);
  expect(eventIdOf(pdu, rules)).toBe(eventId);
  expect(hasValidContentHash(pdu, rules)).toBe(true);
  expect(verifyEventSignature(pdu, rules, PEER, 'ed25519:1', keyOfServer(PEER).publicKey)).toBe(true);
}

/** The event as a client sees it, as text. */
async function shown(eventId: string): Promise<string> {
  const at = `/rooms/${encodeURIComponent(peer.room.roomId)}/event/${encodeURIComponent(eventId)}`;
  return (await alice.call('GET', at)).raw.payload;
}

describe.each(['1', '3', '5'])('in a room of version %s', (version) => {
  it('an event of a transaction is taken in, shown, and served as it was hashed', async () => {
    await begin(version);
    await join();
    const event = message();
    expect(await send([event.pdu])).toEqual({ [event.eventId]: {} });
    expect(await shown(event.eventId)).toContain(`"content":{"n":${HASHED}}`);
    await expectServed(event);
    // Others can build on it.
    const next = peer.room.add({ sender: ANN, type: 'm.room.message', content: { body: 'next' } });
    expect(await send([next.pdu])).toEqual({ [next.eventId]: {} });
  });

  it('state of a join answer is taken in, and told to others', async () => {
    await begin(version);
    const topic = withNumbers(
      peer.room.add({ sender: ANN, type: 'm.room.topic', stateKey: '', content: { topic: 'x' } }),
    );
    await join();
    await expectServed(topic);
    const at = `/_matrix/federation/v1/state/${encodeURIComponent(peer.room.roomId)}?event_id=${encodeURIComponent(peer.room.last)}`;
    const { body } = await signed('GET', at);
    const told = (body['pdus'] as readonly JsonValue[]).filter(isJsonObject) as unknown as Pdu[];
    expectGenuine(
      told.find(({ type }) => type === 'm.room.topic'),
      topic.eventId,
    );
  });

  it('events that fill a gap are taken in', async () => {
    await begin(version);
    await join();
    const missed = message();
    const last = peer.room.add({ sender: ANN, type: 'm.room.message', content: { body: 'last' } });
    peer.lie = ({ path }) =>
      path.includes('/get_missing_events/')
        ? { body: asWritten(canonicalJson({ events: [missed.pdu] }, 'loose')) }
        : undefined;
    expect(await send([last.pdu])).toEqual({ [last.eventId]: {} });
    expect(await shown(missed.eventId)).toContain(HASHED);
    await expectServed(missed);
  });

  it('an invite is signed and shown', async () => {
    await begin(version);
    const event = withNumbers(
      peer.room.add({ sender: ANN, type: 'm.room.member', stateKey: alice.userId, content: { membership: 'invite' } }),
      { membership: 'invite', n: parseJsonExactly(WRITTEN) } as JsonObject,
    );
    const uri = `/_matrix/federation/v2/invite/${encodeURIComponent(peer.room.roomId)}/${encodeURIComponent(event.eventId)}`;
    const content = { event: event.pdu, room_version: version, invite_room_state: [] } as unknown as JsonObject;
    const { status, body } = await signed('PUT', uri, content);
    expect(status).toBe(200);
    const both = body['event'] as unknown as Pdu;
    expectGenuine(both, event.eventId);
    const { publicKey, keyId } = one.signingKey;
    expect(verifyEventSignature(both, peer.room.rules, 'one.test', keyId, publicKey)).toBe(true);
    const sync = await alice.ok('GET', '/sync');
    expect(Object.keys((sync['rooms'] as unknown as { invite: object }).invite)).toEqual([peer.room.roomId]);
  });

  it('a redacted one is served as redaction leaves it, under its id', async () => {
    await begin(version);
    await join();
    const event = message();
    await send([event.pdu]);
    const redaction = peer.room.add({ sender: ANN, type: 'm.room.message', content: {} });
    const {
      hashes: _,
      signatures: __,
      ...draft
    } = { ...redaction.pdu, type: 'm.room.redaction', redacts: event.eventId };
    const again = withNumbers({ ...redaction, pdu: draft as unknown as Pdu }, {});
    expect(await send([again.pdu])).toEqual({ [again.eventId]: {} });
    const { body } = await signed('GET', `/_matrix/federation/v1/event/${encodeURIComponent(event.eventId)}`);
    const [pdu] = body['pdus'] as readonly JsonValue[] as readonly Pdu[];
    expect(pdu?.content).toEqual({});
    expect(eventIdOf(pdu as Pdu, peer.room.rules)).toBe(event.eventId);
  });
});

it('since version 6 such an event is dropped, the rest of its transaction taken in', async () => {
  await begin('6');
  await join();
  const good = peer.room.add({ sender: ANN, type: 'm.room.message', content: { body: 'good' } });
  const odd = peer.room.add({ sender: ANN, type: 'm.room.message', content: { n: 1 } });
  const { path, content } = peer.transaction([good.pdu, odd.pdu]);
  const written = parseJsonExactly(canonicalJson(content).replace('"n":1}', '"n":1.0}')) as JsonObject;
  const { status, body } = await signed('PUT', path, written);
  expect(status).toBe(200);
  const answers = body['pdus'] as { [eventId: string]: JsonObject };
  expect(answers[good.eventId]).toEqual({});
  expect(await shown(good.eventId)).toContain('good');
  expect(JSON.parse(await shown(odd.eventId))).toMatchObject({ errcode: 'M_NOT_FOUND' });
});
