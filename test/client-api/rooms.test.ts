/** Rooms over HTTP: making them, coming and going, what may be sent, and how everything malformed is answered. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let carol: TestClient;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  carol = await app.register('carol');
});

afterAll(() => app.close());

async function createRoom(by: TestClient, request: object = {}): Promise<string> {
  return String((await by.ok('POST', '/createRoom', request))['room_id']);
}

async function state(by: TestClient, roomId: string, type: string, key = ''): Promise<Record<string, unknown>> {
  return by.ok('GET', `/rooms/${encodeURIComponent(roomId)}/state/${type}/${encodeURIComponent(key)}`);
}

describe('POST /createRoom', () => {
  it.each([
    ['private_chat', 'invite', 'shared', 'can_join'],
    ['trusted_private_chat', 'invite', 'shared', 'can_join'],
    // A room without the event lets no guest in.
    ['public_chat', 'public', 'shared', undefined],
  ])('%s sets join rule %s, history %s, guests %s', async (preset, joinRule, history, guests) => {
    const room = await createRoom(alice, { preset });
    expect(await state(alice, room, 'm.room.join_rules')).toEqual({ join_rule: joinRule });
    expect(await state(alice, room, 'm.room.history_visibility')).toEqual({ history_visibility: history });
    const { body } = await alice.call('GET', `/rooms/${encodeURIComponent(room)}/state/m.room.guest_access/`);
    expect(body['guest_access']).toBe(guests);
  });

  it('takes visibility for a preset, and lists a public room', async () => {
    const room = await createRoom(alice, { visibility: 'public', name: 'Agora' });
    expect(await state(alice, room, 'm.room.join_rules')).toEqual({ join_rule: 'public' });
    expect(await alice.ok('GET', `/directory/list/room/${encodeURIComponent(room)}`)).toEqual({ visibility: 'public' });
    const { chunk } = await alice.ok('GET', '/publicRooms');
    expect(chunk).toContainEqual(expect.objectContaining({ room_id: room, name: 'Agora', num_joined_members: 1 }));
  });

  it('makes name, topic, alias, invites and initial state', async () => {
    const room = await createRoom(alice, {
      name: 'Henge',
      topic: 'Stones',
      room_alias_name: 'henge',
      invite: [bob.userId],
      is_direct: true,
      initial_state: [{ type: 'org.example.colour', content: { colour: 'grey' } }],
    });
    expect(await state(alice, room, 'm.room.name')).toEqual({ name: 'Henge' });
    expect(await state(alice, room, 'm.room.topic')).toMatchObject({ topic: 'Stones' });
    expect(await state(alice, room, 'm.room.canonical_alias')).toEqual({ alias: '#henge:localhost' });
    expect(await state(alice, room, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'invite',
      is_direct: true,
    });
    expect(await state(alice, room, 'org.example.colour')).toEqual({ colour: 'grey' });
    expect(await bob.ok('GET', `/directory/room/${encodeURIComponent('#henge:localhost')}`)).toEqual({
      room_id: room,
      servers: ['localhost'],
    });
    expect((await bob.call('POST', '/createRoom', { room_alias_name: 'henge' })).body).toMatchObject({
      errcode: 'M_ROOM_IN_USE',
    });
  });

  it('takes content as it was sent, whatever its keys are called', async () => {
    const content = '{"__proto__":{"x":1},"constructor":[null,[true,[]]],"":""}';
    const room = await createRoom(
      alice,
      JSON.parse(`{"initial_state":[{"type":"org.example.odd","content":${content}}]}`),
    );
    expect(JSON.stringify(await state(alice, room, 'org.example.odd'))).toBe(
      '{"":"","__proto__":{"x":1},"constructor":[null,[true,[]]]}',
    );
  });

  it('makes one room of those that ask for the same alias at once', async () => {
    const before = (await carol.ok('GET', '/joined_rooms'))['joined_rooms'] as unknown as string[];
    const asked = Array.from({ length: 5 }, () => carol.call('POST', '/createRoom', { room_alias_name: 'cromlech' }));
    const answers = await Promise.all(asked);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400, 400, 400]);
    expect(answers.find(({ status }) => status === 400)?.body).toMatchObject({ errcode: 'M_ROOM_IN_USE' });
    expect((await carol.ok('GET', '/joined_rooms'))['joined_rooms']).toHaveLength(before.length + 1);
  });

  it('gives invitees of a trusted chat the power of the creator, in each way of saying so', async () => {
    const request = { preset: 'trusted_private_chat', invite: [bob.userId] };
    const old = await createRoom(alice, { ...request, room_version: '11' });
    expect(await state(alice, old, 'm.room.power_levels')).toMatchObject({
      users: { [alice.userId]: 100, [bob.userId]: 100 },
    });
    const recent = await createRoom(alice, { ...request, room_version: '12' });
    expect(await state(alice, recent, 'm.room.create')).toMatchObject({ additional_creators: [bob.userId] });
    expect(await state(alice, recent, 'm.room.power_levels')).toMatchObject({
      users: {},
      events: { 'm.room.tombstone': 150 },
    });
  });

  it.each([
    [{ room_version: 'from the future' }, 400, 'M_UNSUPPORTED_ROOM_VERSION'],
    [{ preset: 'open_plan' }, 400, 'M_BAD_JSON'],
    [{ invite: ['bob'] }, 400, 'M_BAD_JSON'],
    [{ name: 7 }, 400, 'M_BAD_JSON'],
    [{ initial_state: [{ content: {} }] }, 400, 'M_MISSING_PARAM'],
    [{ power_level_content_override: { users_default: 'high' } }, 400, 'M_INVALID_ROOM_STATE'],
    [{ room_alias_name: 'not:one' }, 400, 'M_INVALID_PARAM'],
    [{ creation_content: { additional_creators: 'me' } }, 400, 'M_BAD_JSON'],
  ])('refuses %j', async (request, status, errcode) => {
    const answer = await alice.call('POST', '/createRoom', request);
    expect(answer).toMatchObject({ status, body: { errcode } });
  });
});

describe('membership', () => {
  it('invite, join, leave, invite again, turn down', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    expect((await bob.call('POST', `/rooms/${room}/join`)).body).toMatchObject({ errcode: 'M_FORBIDDEN' });
    await alice.ok('POST', `/rooms/${room}/invite`, { user_id: bob.userId, reason: 'come in' });
    await bob.ok('POST', `/join/${room}`, {});
    await bob.ok('POST', `/join/${room}`, {});
    expect((await bob.ok('GET', '/joined_rooms'))['joined_rooms']).toContain(decodeURIComponent(room));
    await bob.ok('POST', `/rooms/${room}/leave`, {});
    await bob.ok('POST', `/rooms/${room}/leave`, {});
    expect((await bob.ok('GET', '/joined_rooms'))['joined_rooms']).not.toContain(decodeURIComponent(room));
    await alice.ok('POST', `/rooms/${room}/invite`, { user_id: bob.userId });
    await bob.ok('POST', `/rooms/${room}/leave`, {});
    expect((await bob.call('POST', `/rooms/${room}/join`)).status).toBe(403);
  });

  it('an invite says who is meant, or where that can be asked', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    const byAddress = { id_server: 'no/server', id_access_token: 'x', medium: 'email', address: 'a@b.example' };
    const invite = (body: object) => alice.call('POST', `/rooms/${room}/invite`, body);
    expect(await invite(byAddress)).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } });
    expect(await invite({ reason: 'why' })).toMatchObject({ status: 400, body: { errcode: 'M_MISSING_PARAM' } });
    expect(await invite({ user_id: 'bob' })).toMatchObject({ status: 400, body: { errcode: 'M_BAD_JSON' } });
  });

  it('kick, ban, unban: only with the power, only where it makes sense', async () => {
    const room = encodeURIComponent(await createRoom(alice, { preset: 'public_chat' }));
    await bob.ok('POST', `/rooms/${room}/join`);
    await carol.ok('POST', `/rooms/${room}/join`);
    const at = { user_id: bob.userId };
    expect((await carol.call('POST', `/rooms/${room}/kick`, at)).status).toBe(403);
    await alice.ok('POST', `/rooms/${room}/kick`, { ...at, reason: 'noise' });
    expect((await alice.call('POST', `/rooms/${room}/kick`, at)).status).toBe(403);
    await bob.ok('POST', `/rooms/${room}/join`);
    await alice.ok('POST', `/rooms/${room}/ban`, at);
    expect((await bob.call('POST', `/rooms/${room}/join`)).status).toBe(403);
    for (const of of ['state', 'members', 'messages?dir=b']) {
      expect((await bob.call('GET', `/rooms/${room}/${of}`)).body).toMatchObject({ errcode: 'M_FORBIDDEN' });
    }
    expect((await carol.call('POST', `/rooms/${room}/unban`, at)).status).toBe(403);
    await alice.ok('POST', `/rooms/${room}/unban`, at);
    expect((await alice.call('POST', `/rooms/${room}/unban`, at)).body).toMatchObject({ errcode: 'M_BAD_STATE' });
    await bob.ok('POST', `/rooms/${room}/join`);
  });

  it('knock, and be let in', async () => {
    const initialState = [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }];
    const room = await createRoom(alice, { initial_state: initialState, room_alias_name: 'knockers' });
    await bob.ok('POST', `/knock/${encodeURIComponent('#knockers:localhost')}`, { reason: 'please' });
    expect(await state(alice, room, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'knock',
      reason: 'please',
    });
    await alice.ok('POST', `/rooms/${encodeURIComponent(room)}/invite`, { user_id: bob.userId });
    await bob.ok('POST', `/rooms/${encodeURIComponent(room)}/join`);
  });

  it('restricted rooms let members of others in, with a voucher', async () => {
    const club = await createRoom(alice, { preset: 'public_chat' });
    const room = await createRoom(alice, {
      initial_state: [
        {
          type: 'm.room.join_rules',
          content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: club }] },
        },
      ],
    });
    expect((await bob.call('POST', `/rooms/${encodeURIComponent(room)}/join`)).status).toBe(403);
    await bob.ok('POST', `/rooms/${encodeURIComponent(club)}/join`);
    await bob.ok('POST', `/rooms/${encodeURIComponent(room)}/join`);
    expect(await state(alice, room, 'm.room.member', bob.userId)).toMatchObject({
      join_authorised_via_users_server: alice.userId,
    });
  });

  it.each(['join', 'put'])('nobody vouches for themselves to get into a restricted room (%s)', async (way) => {
    const club = await createRoom(alice);
    const room = await createRoom(alice, {
      initial_state: [
        {
          type: 'm.room.join_rules',
          content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: club }] },
        },
      ],
    });
    const member = { membership: 'join', join_authorised_via_users_server: alice.userId };
    const own = `/rooms/${encodeURIComponent(room)}/state/m.room.member/${encodeURIComponent(carol.userId)}`;
    const enter = (): Promise<unknown> =>
      way === 'put' ? carol.call('PUT', own, member) : carol.call('POST', `/join/${encodeURIComponent(room)}`, member);
    expect(await enter()).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
    await alice.ok('POST', `/rooms/${encodeURIComponent(club)}/invite`, { user_id: carol.userId });
    await carol.ok('POST', `/join/${encodeURIComponent(club)}`);
    expect(await enter()).toMatchObject({ status: 200 });
    expect(await state(alice, room, 'm.room.member', carol.userId)).toMatchObject({
      join_authorised_via_users_server: alice.userId,
    });
  });

  it('are of users only', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    for (const key of ['', 'bob', '@bob']) {
      const answer = await alice.call('PUT', `/rooms/${room}/state/m.room.member/${encodeURIComponent(key)}`, {
        membership: 'invite',
      });
      expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } });
    }
  });

  it('forget, only after leaving', async () => {
    const room = encodeURIComponent(await createRoom(alice, { preset: 'public_chat' }));
    await bob.ok('POST', `/rooms/${room}/join`);
    expect((await bob.call('POST', `/rooms/${room}/forget`)).status).toBe(400);
    await bob.ok('POST', `/rooms/${room}/leave`);
    await bob.ok('POST', `/rooms/${room}/forget`);
    expect((await bob.call('GET', `/rooms/${room}/messages?dir=b`)).status).toBe(403);
  });
});

describe('sending', () => {
  it('answers a transaction again with the same event, for one device', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    const body = { msgtype: 'm.text', body: 'hello' };
    const first = await alice.ok('PUT', `/rooms/${room}/send/m.room.message/t1`, body);
    expect(await alice.ok('PUT', `/rooms/${room}/send/m.room.message/t1`, body)).toEqual(first);
    expect(await alice.ok('PUT', `/rooms/${room}/send/m.room.message/t2`, body)).not.toEqual(first);
    const event = await alice.ok('GET', `/rooms/${room}/event/${encodeURIComponent(String(first['event_id']))}`);
    expect(event).toMatchObject({ content: body, sender: alice.userId, unsigned: { transaction_id: 't1' } });
  });

  it('sets state under the empty key with and without a slash, and once for the same content', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    const first = await alice.ok('PUT', `/rooms/${room}/state/m.room.topic`, { topic: 'a' });
    expect(await alice.ok('PUT', `/rooms/${room}/state/m.room.topic/`, { topic: 'a' })).toEqual(first);
    expect(await alice.ok('PUT', `/rooms/${room}/state/m.room.topic/`, { topic: 'b' })).not.toEqual(first);
  });

  it('redacts, and the event says by whom', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    const sent = await alice.ok('PUT', `/rooms/${room}/send/m.room.message/r1`, { msgtype: 'm.text', body: 'oops' });
    const eventId = encodeURIComponent(String(sent['event_id']));
    // The same id, but another endpoint.
    const redaction = await alice.ok('PUT', `/rooms/${room}/redact/${eventId}/r1`, { reason: 'typo' });
    expect(await alice.ok('GET', `/rooms/${room}/event/${eventId}`)).toMatchObject({
      content: {},
      unsigned: { redacted_because: { event_id: redaction['event_id'], content: { reason: 'typo' } } },
    });
  });

  it('does not redact an event of another room', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    const other = encodeURIComponent(await createRoom(alice));
    const sent = await alice.ok('PUT', `/rooms/${other}/send/m.room.message/o1`, { msgtype: 'm.text', body: 'here' });
    const eventId = encodeURIComponent(String(sent['event_id']));
    expect((await alice.call('PUT', `/rooms/${room}/redact/${eventId}/o2`, {})).status).toBe(400);
  });

  it.each([
    ['{', 400, 'M_NOT_JSON'],
    ['[]', 400, 'M_BAD_JSON'],
    ['"text"', 400, 'M_BAD_JSON'],
    ['{"a":1.5}', 400, 'M_BAD_JSON'],
    ['{"a":9007199254740993}', 400, 'M_BAD_JSON'],
    [`{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`, 400, undefined],
    [`{"a":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`, 400, undefined],
    [JSON.stringify({ body: 'x'.repeat(65_600) }), 413, 'M_TOO_LARGE'],
  ])('refuses %.20s', async (body, status, errcode) => {
    const room = encodeURIComponent(await createRoom(alice));
    const answer = await alice.call('PUT', `/rooms/${room}/send/m.room.message/bad`, body);
    expect(answer.status).toBe(status);
    if (errcode !== undefined) expect(answer.body).toMatchObject({ errcode });
  });

  it('refuses types and state keys that are too long, unknown rooms, and strangers', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    const long = 'x'.repeat(256);
    expect((await alice.call('PUT', `/rooms/${room}/send/${long}/1`, {})).body).toMatchObject({
      errcode: 'M_TOO_LARGE',
    });
    expect((await alice.call('PUT', `/rooms/${room}/state/a/${long}`, {})).body).toMatchObject({
      errcode: 'M_TOO_LARGE',
    });
    expect((await alice.call('PUT', '/rooms/!none:localhost/send/a/1', {})).status).toBe(404);
    expect((await bob.call('PUT', `/rooms/${room}/send/a/1`, {})).body).toMatchObject({ errcode: 'M_FORBIDDEN' });
  });

  it('says 503 while the log takes no writes, goes on reading, and recovers', async () => {
    const room = encodeURIComponent(await createRoom(alice, { name: 'Dry' }));
    app.log.refuseWrites('the disk is full');
    try {
      const refused = await alice.call('PUT', `/rooms/${room}/send/m.room.message/full`, { body: 'x' });
      expect(refused.status).toBe(503);
      expect(refused.body['error']).toContain('disk is full');
      expect(await state(alice, decodeURIComponent(room), 'm.room.name')).toEqual({ name: 'Dry' });
    } finally {
      app.log.refuseWrites(undefined);
    }
    await alice.ok('PUT', `/rooms/${room}/send/m.room.message/full`, { body: 'x' });
  });
});

describe('the directory', () => {
  it('makes and removes aliases, for who may', async () => {
    const room = await createRoom(alice, { preset: 'public_chat' });
    const path = `/directory/room/${encodeURIComponent('#obelisk:localhost')}`;
    expect((await alice.call('GET', path)).status).toBe(404);
    await alice.ok('PUT', path, { room_id: room });
    expect((await bob.call('PUT', path, { room_id: room })).status).toBe(409);
    expect(await alice.ok('GET', `/rooms/${encodeURIComponent(room)}/aliases`)).toEqual({
      aliases: ['#obelisk:localhost'],
    });
    expect((await bob.call('GET', `/rooms/${encodeURIComponent(room)}/aliases`)).status).toBe(403);
    expect((await bob.call('DELETE', path)).status).toBe(403);
    await alice.ok('PUT', `/rooms/${encodeURIComponent(room)}/state/m.room.canonical_alias`, {
      alias: '#obelisk:localhost',
    });
    await alice.ok('DELETE', path);
    expect(await state(alice, room, 'm.room.canonical_alias')).toEqual({});
    expect((await alice.call('DELETE', path)).status).toBe(404);
  });

  it.each([
    ['#other:example.org', 'M_INVALID_PARAM'],
    ['obelisk', 'M_INVALID_PARAM'],
  ])('does not make %s', async (alias, errcode) => {
    const room = await createRoom(alice);
    const answer = await alice.call('PUT', `/directory/room/${encodeURIComponent(alias)}`, { room_id: room });
    expect(answer.body).toMatchObject({ errcode });
  });

  it('lets only members name a room', async () => {
    const room = await createRoom(alice);
    const path = `/directory/room/${encodeURIComponent('#squat:localhost')}`;
    for (const roomId of [room, '!none:localhost']) {
      expect(await bob.call('PUT', path, { room_id: roomId })).toMatchObject({
        status: 403,
        body: { errcode: 'M_FORBIDDEN' },
      });
    }
  });

  it('lets a canonical alias point to its own room only', async () => {
    const room = encodeURIComponent(await createRoom(alice));
    const answer = await alice.call('PUT', `/rooms/${room}/state/m.room.canonical_alias/`, {
      alias: '#nowhere:localhost',
    });
    expect(answer.body).toMatchObject({ errcode: 'M_BAD_ALIAS' });
  });

  it('shows nothing on the list of public rooms that was redacted', async () => {
    const room = await createRoom(alice, { visibility: 'public' });
    const at = `/rooms/${encodeURIComponent(room)}`;
    const topic = await alice.ok('PUT', `${at}/state/m.room.topic/`, { topic: 'The address of somebody' });
    const listed = async (): Promise<unknown> =>
      (await alice.ok('POST', '/publicRooms', { filter: { generic_search_term: 'address of' } }))['chunk'];
    expect(await listed()).toHaveLength(1);
    await alice.ok('PUT', `${at}/redact/${encodeURIComponent(String(topic['event_id']))}/unsay`, {});
    expect(await listed()).toEqual([]);
  });

  it('pages and filters the list of public rooms', async () => {
    for (const name of ['Menhir', 'Dolmen', 'Cairn']) await createRoom(alice, { visibility: 'public', name });
    const first = await alice.ok('POST', '/publicRooms', { limit: 1 });
    expect(first['chunk']).toHaveLength(1);
    const second = await alice.ok('POST', '/publicRooms', { limit: 1, since: first['next_batch'] });
    expect(second['chunk']).not.toEqual(first['chunk']);
    const found = await alice.ok('POST', '/publicRooms', { filter: { generic_search_term: 'dOLm' } });
    expect(found['chunk']).toEqual([expect.objectContaining({ name: 'Dolmen' })]);
    expect((await alice.call('GET', '/publicRooms?since=nonsense')).body).toMatchObject({ errcode: 'M_INVALID_PARAM' });
  });
});
