/** Rooms of every version: what clients see of them, and what a peer that is handed their events would check. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { checkEventFormat } from '#protocol/event-format.ts';
import { authEventIdsOf, prevEventIdsOf } from '#protocol/event-references.ts';
import { eventIdOf, hasValidContentHash, referenceHash } from '#protocol/hashing.ts';
import type { EventReference, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { signingKeyFromSeed, verifyEventSignature } from '#protocol/signing.ts';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, type EventAnswer, sayIn, sync } from './sync-client.ts';

/** The key that the application in test/support signs with. */
const SIGNING_KEY = signingKeyFromSeed('ed25519:test', Buffer.alloc(32, 1));

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});
afterAll(() => app.close());

it('the capabilities list them all as stable', async () => {
  const { capabilities } = await alice.ok('GET', '/capabilities');
  const available = Object.fromEntries(SUPPORTED_ROOM_VERSIONS.map((version) => [version, 'stable']));
  expect(capabilities).toMatchObject({ 'm.room_versions': { default: '12', available } });
});

it.each(['0', '13', 'org.example.x', ''])('nobody makes a room of version %j', async (version) => {
  const { status, body } = await alice.call('POST', '/createRoom', { room_version: version });
  expect([status, body.errcode]).toEqual([400, 'M_UNSUPPORTED_ROOM_VERSION']);
});

describe.each(SUPPORTED_ROOM_VERSIONS)('a room of version %s', (version) => {
  const rules = roomVersionRules(version) as RoomVersionRules;
  const number = Number(version);
  const eventIdForm =
    number <= 2 ? /^\$[A-Za-z0-9_-]{24}:localhost$/ : number === 3 ? /^\$[A-Za-z0-9+/]{43}$/ : /^\$[A-Za-z0-9_-]{43}$/;

  const state = (roomId: string, type: string, key = '') =>
    alice.ok('GET', `/rooms/${roomId}/state/${type}/${encodeURIComponent(key)}`);
  const event = async (by: TestClient, roomId: string, id: string) =>
    (await by.ok('GET', `/rooms/${roomId}/event/${encodeURIComponent(id)}`)) as unknown as EventAnswer;
  let transactions = 0;
  const redactIn = (by: TestClient, roomId: string, id: string) =>
    by.call('PUT', `/rooms/${roomId}/redact/${encodeURIComponent(id)}/v${version}-${++transactions}`, {
      reason: 'typo',
    });

  it('is made with the ids, the creator and the powers of its version', async () => {
    const creation_content = { creator: '@mallory:localhost', 'm.federate': false };
    const roomId = await createRoom(alice, { room_version: version, creation_content });
    expect(roomId).toMatch(number === 12 ? /^![A-Za-z0-9_-]{43}$/ : /^![A-Za-z]+:localhost$/);
    const create = await state(roomId, 'm.room.create');
    expect(create).toMatchObject({ room_version: version, 'm.federate': false });
    expect(create['creator']).toBe(number <= 10 ? alice.userId : undefined);
    const { users, events } = await state(roomId, 'm.room.power_levels');
    expect(users).toEqual(number === 12 ? {} : { [alice.userId]: 100 });
    expect(events).toMatchObject({ 'm.room.tombstone': number === 12 ? 150 : 100 });
  });

  it('takes power levels as texts before version 10, and never what is no number', async () => {
    const make = (override: object) =>
      alice.call('POST', '/createRoom', { room_version: version, power_level_content_override: override });
    const { status, body } = await make({ events_default: '50' });
    if (number >= 10) expect([status, body.errcode]).toEqual([400, 'M_INVALID_ROOM_STATE']);
    else {
      const roomId = String(body['room_id']);
      await alice.ok('PUT', `/rooms/${roomId}/state/m.room.join_rules`, { join_rule: 'public' });
      await bob.ok('POST', `/join/${roomId}`);
      expect((await bob.call('PUT', `/rooms/${roomId}/send/m.room.message/low`, {})).status).toBe(403);
    }
    expect((await make({ users: { [bob.userId]: 'high' } })).body.errcode).toBe('M_INVALID_ROOM_STATE');
    expect((await make({ events_default: 0.5 })).body.errcode).toBe(
      number >= 10 ? 'M_INVALID_ROOM_STATE' : 'M_BAD_JSON',
    );
  });

  it('people come and go, talk and set state, and see it in /sync and /messages', async () => {
    const roomId = await createRoom(alice, { room_version: version, name: 'Henge' });
    const since = (await sync(bob)).next_batch;
    await alice.ok('POST', `/rooms/${roomId}/invite`, { user_id: bob.userId });
    expect((await sync(bob, { since })).rooms?.invite?.[roomId]).toBeDefined();
    await bob.ok('POST', `/join/${roomId}`);
    const said = await sayIn(bob, roomId, 'hello');
    expect(said).toMatch(eventIdForm);
    const topic = await alice.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'Stones' });
    const timeline = (await sync(alice, { since })).rooms?.join?.[roomId]?.timeline.events ?? [];
    expect(timeline.map(({ type }) => type).slice(-4)).toEqual([
      'm.room.member',
      'm.room.member',
      'm.room.message',
      'm.room.topic',
    ]);
    expect(timeline.slice(-2).map(({ event_id }) => event_id)).toEqual([said, topic['event_id']]);
    const { chunk } = await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=2`);
    expect(chunk).toMatchObject([{ event_id: topic['event_id'] }, { event_id: said, content: { body: 'hello' } }]);
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    expect((await bob.call('PUT', `/rooms/${roomId}/send/m.room.message/late`, {})).status).toBe(403);
    expect((await sync(bob, { since })).rooms?.leave?.[roomId]).toBeDefined();
  });

  it.each(['knock', 'restricted', 'knock_restricted'])(
    'join rule %s means something from its version on',
    async (rule) => {
      const club = await createRoom(alice, { preset: 'public_chat' });
      await bob.ok('POST', `/join/${club}`);
      const allow = [{ type: 'm.room_membership', room_id: club }];
      const content = { join_rule: rule, ...(rule !== 'knock' && { allow }) };
      const initial_state = [{ type: 'm.room.join_rules', content }];
      const roomId = await createRoom(alice, { room_version: version, initial_state });
      const knocked = (await bob.call('POST', `/knock/${roomId}`, {})).status;
      expect(knocked).toBe(
        (rule === 'knock' && number >= 7) || (rule === 'knock_restricted' && number >= 10) ? 200 : 403,
      );
      const joined = (await bob.call('POST', `/join/${roomId}`, {})).status;
      expect(joined).toBe(
        (rule === 'restricted' && number >= 8) || (rule === 'knock_restricted' && number >= 10) ? 200 : 403,
      );
    },
  );

  it('redacts by either endpoint, and clients old and new find what was redacted', async () => {
    const roomId = await createRoom(alice, { room_version: version, preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    const [one, two] = [await sayIn(alice, roomId, 'oops'), await sayIn(alice, roomId, 'again')];
    expect((await redactIn(bob, roomId, one)).body.errcode).toBe('M_FORBIDDEN');
    const first = String((await redactIn(alice, roomId, one)).body['event_id']);
    const { event_id } = await alice.ok('PUT', `/rooms/${roomId}/send/m.room.redaction/sent`, { redacts: two });
    for (const [target, redaction] of [
      [one, first],
      [two, String(event_id)],
    ] as const) {
      const names = { event_id: redaction, redacts: target, content: { redacts: target } };
      expect(await event(bob, roomId, redaction)).toMatchObject(names);
      const redacted = await event(bob, roomId, target);
      expect([redacted.content, redacted.unsigned?.redacted_because]).toMatchObject([{}, names]);
      expect(redacted.unsigned).toMatchObject({ redacted_by: redaction });
    }
    const { chunk } = await bob.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=1`);
    expect(chunk).toMatchObject([{ type: 'm.room.redaction', redacts: two, content: { redacts: two } }]);
    expect((await alice.call('PUT', `/rooms/${roomId}/send/m.room.redaction/none`, {})).status).toBeGreaterThan(399);
  });

  it('takes the redact level to redact what others sent', async () => {
    const roomId = await createRoom(alice, {
      room_version: version,
      preset: 'public_chat',
      power_level_content_override: {
        users: { ...(number < 12 && { [alice.userId]: 100 }), [bob.userId]: 50 },
      },
    });
    await bob.ok('POST', `/join/${roomId}`);
    const said = await sayIn(alice, roomId, 'rude');
    expect((await redactIn(bob, roomId, said)).status).toBe(200);
    expect((await event(alice, roomId, said)).content).toEqual({});
  });

  it('a redaction that is redacted names its target only where redaction keeps that', async () => {
    const roomId = await createRoom(alice, { room_version: version });
    const said = await sayIn(alice, roomId, 'oops');
    const redaction = String((await redactIn(alice, roomId, said)).body['event_id']);
    await redactIn(alice, roomId, redaction);
    const shown = await event(alice, roomId, redaction);
    expect(shown.content).toEqual(number >= 11 ? { redacts: said } : {});
    expect('redacts' in shown).toBe(number >= 11);
  });

  it('every event is one that a peer takes: form, id, hash, signature and what it names', async () => {
    const pdus = new Map<string, Pdu>();
    for await (const records of app.log.readAll(-1)) {
      for (const record of records) {
        const read = record.kind === PDU_KIND ? readPduRecord(record) : undefined;
        if (read?.meta.roomVersion !== version) continue;
        const { pdu } = read;
        expect(checkEventFormat(pdu, rules)).toMatchObject({ valid: true });
        expect(eventIdOf(pdu, rules)).toBe(read.meta.eventId);
        expect(read.meta.eventId).toMatch(eventIdForm);
        expect(hasValidContentHash(pdu, rules)).toBe(true);
        expect(verifyEventSignature(pdu, rules, 'localhost', SIGNING_KEY.keyId, SIGNING_KEY.publicKey)).toBe(true);
        if (pdu.type === 'm.room.redaction') {
          expect(typeof (number >= 11 ? pdu.content.redacts : pdu['redacts'])).toBe('string');
          expect(number >= 11 ? pdu['redacts'] : pdu.content.redacts).toBeUndefined();
        }
        const reference = (id: string): EventReference => {
          const named = redact(pdus.get(id) as Pdu, rules);
          const sha256 = Buffer.from(referenceHash(named, rules), 'base64url').toString('base64').replace('=', '');
          return number <= 2 ? [id, { sha256 }] : id;
        };
        expect(pdu.prev_events).toEqual(prevEventIdsOf(pdu, rules).map(reference));
        expect(pdu.auth_events).toEqual(authEventIdsOf(pdu, rules).map(reference));
        if (pdu.type !== 'm.room.create') expect(pdu.prev_events).toHaveLength(1);
        pdus.set(read.meta.eventId, pdu);
      }
    }
    expect(pdus.size).toBeGreaterThan(30);
  });
});

it('a room version that is no text is refused', async () => {
  const answer = await request(app.http, 'POST', '/createRoom', { room_version: 10 }, alice.accessToken);
  expect([answer.status, answer.body.errcode]).toEqual([400, 'M_BAD_JSON']);
});
