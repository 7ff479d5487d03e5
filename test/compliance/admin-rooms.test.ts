/** Rooms through Synapse's administration API: what its tools ask, and what becomes of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPage } from '#projections/audit/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const ROOMS = '/_synapse/admin/v1/rooms';

let app: TestApplication;
let admin: TestClient;
let alice: TestClient;
let bob: TestClient;
let quarry: string;
let cellar: string;

beforeAll(async () => {
  app = await startApplication();
  [admin, alice, bob] = [await app.register('admin'), await app.register('alice'), await app.register('bob')];
  await app.context.accounts.setAdmin(admin.userId, true);
  quarry = await create(alice, {
    name: 'Quarry',
    preset: 'public_chat',
    visibility: 'public',
    room_alias_name: 'quarry',
  });
  cellar = await create(bob, { name: 'Cellar' });
  await bob.ok('POST', `/rooms/${quarry}/join`, {});
});
afterAll(() => app.close());

const path = (room: string, rest = '') => `${ROOMS}/${encodeURIComponent(room)}${rest}`;

async function create(who: TestClient, options: object): Promise<string> {
  return String((await who.ok('POST', '/createRoom', options))['room_id']);
}

describe('the list of rooms', () => {
  it('is paged, ordered and searched', async () => {
    const all = await admin.ok('GET', ROOMS);
    expect(all).toMatchObject({ total_rooms: 2, offset: 0, rooms: [{ name: 'Cellar' }, { name: 'Quarry' }] });
    const largest = await admin.ok('GET', `${ROOMS}?order_by=joined_members&limit=1`);
    expect(largest).toMatchObject({
      rooms: [
        {
          room_id: quarry,
          joined_members: 2,
          joined_local_members: 2,
          public: true,
          federatable: true,
          creator: alice.userId,
          join_rules: 'public',
          canonical_alias: '#quarry:localhost',
        },
      ],
      next_batch: 1,
    });
    expect(await admin.ok('GET', `${ROOMS}?order_by=joined_members&limit=1&from=1`)).toMatchObject({
      prev_batch: 0,
      rooms: [{ name: 'Cellar' }],
    });
    for (const term of ['quar', '%23QUARRY', encodeURIComponent(quarry)]) {
      expect(await admin.ok('GET', `${ROOMS}?search_term=${term}`)).toMatchObject({
        rooms: [{ room_id: quarry }],
        total_rooms: 1,
      });
    }
    expect(await admin.ok('GET', `${ROOMS}?public_rooms=true`)).toMatchObject({
      rooms: [{ room_id: quarry }],
      total_rooms: 1,
    });
    expect(await alice.call('GET', ROOMS)).toMatchObject({ status: 403 });
  });
});

describe('a room', () => {
  it('is shown with its members and state', async () => {
    expect(await admin.ok('GET', path(quarry))).toMatchObject({ name: 'Quarry', topic: null, tombstoned: false });
    expect(await admin.ok('GET', path(quarry, '/members'))).toEqual({ members: [alice.userId, bob.userId], total: 2 });
    const { state } = (await admin.ok('GET', path(quarry, '/state?type=m.room.name'))) as unknown as {
      state: object[];
    };
    expect(state).toMatchObject([{ type: 'm.room.name', content: { name: 'Quarry' }, sender: alice.userId }]);
    expect(await admin.ok('GET', path(quarry, '/forward_extremities'))).toMatchObject({ count: 1 });
    expect((await admin.call('GET', path('!none:localhost'))).status).toBe(404);
  });

  it('is shown as it was: at an event, at a time, at a position of the log', async () => {
    const { event_id: first } = await alice.ok('PUT', `/rooms/${quarry}/state/m.room.topic`, { topic: 'first' });
    const position = app.engine.reader.frontier;
    await alice.ok('PUT', `/rooms/${quarry}/state/m.room.topic`, { topic: 'second' });
    const topicAsOf = async (asof: string) => {
      const answer = await admin.ok('GET', path(quarry, `/state?type=m.room.topic&asof=${encodeURIComponent(asof)}`));
      return (answer as unknown as { state: { content: { topic: string } }[] }).state.map(
        ({ content }) => content.topic,
      );
    };
    expect(await topicAsOf(String(first))).toEqual(['first']);
    expect(await topicAsOf(String(position))).toEqual(['first']);
    expect(await topicAsOf(new Date(app.context.clock() + 60_000).toISOString())).toEqual(['second']);
    expect(await admin.call('GET', path(quarry, '/members?asof=2001-01-01'))).toMatchObject({ status: 404 });
    expect(await admin.call('GET', path(quarry, '/members?asof=teatime'))).toMatchObject({ status: 400 });
  });

  it('that is blocked lets nobody in, and its members stay', async () => {
    await admin.ok('PUT', path(quarry, '/block'), { block: true });
    expect(await admin.ok('GET', path(quarry, '/block'))).toEqual({ block: true, user_id: admin.userId });
    expect(await admin.call('POST', `/rooms/${quarry}/join`, {})).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect(await alice.call('POST', `/rooms/${quarry}/invite`, { user_id: admin.userId })).toMatchObject({
      status: 403,
    });
    await bob.ok('PUT', `/rooms/${quarry}/send/m.room.message/b1`, { msgtype: 'm.text', body: 'still here' });
    await admin.ok('PUT', path(quarry, '/block'), { block: false });
    expect(await admin.ok('GET', path(quarry, '/block'))).toEqual({ block: false });
    const entries = auditPage(app.engine.reader, { action: 'room.block' }, { limit: 10 }).entries;
    expect(entries).toMatchObject([
      { before: { block: false }, after: { block: true } },
      { before: { block: true }, after: { block: false } },
    ]);
  });

  it('gets another administrator, in the name of one who is there', async () => {
    await admin.ok('POST', path(quarry, '/make_room_admin'), { user_id: bob.userId });
    await bob.ok('PUT', `/rooms/${quarry}/state/m.room.topic`, { topic: 'now Bob' });
    await admin.ok('POST', path(cellar, '/make_room_admin'), {});
    const sync = await admin.ok('GET', '/sync');
    expect(Object.keys((sync as unknown as { rooms: { invite?: object } }).rooms.invite ?? {})).toEqual([cellar]);
  });

  it('tells who could have seen an event', async () => {
    const { event_id: eventId } = await bob.ok('PUT', `/rooms/${cellar}/send/m.room.message/seen`, {
      msgtype: 'm.text',
      body: 'hush',
    });
    const audience = await admin.ok('GET', `/_stele/admin/audience/${encodeURIComponent(String(eventId))}`);
    expect(audience).toMatchObject({
      room_id: cellar,
      history_visibility: 'shared',
      anybody: false,
      users: [{ user_id: bob.userId, membership: 'join', since: 'sent' }],
    });
    expect((await admin.call('GET', '/_stele/admin/audience/$none')).status).toBe(404);
  });

  it('tells who could have seen an event by a moment, and which policies were in force', async () => {
    const { room_id: roomId } = await bob.ok('POST', '/createRoom', { preset: 'public_chat' });
    const room = String(roomId);
    const before = app.engine.reader.frontier;
    const { event_id: eventId } = await bob.ok('PUT', `/rooms/${room}/send/m.room.message/then`, {
      msgtype: 'm.text',
      body: 'welcome',
    });
    const sent = app.engine.reader.frontier;
    await alice.ok('POST', `/join/${room}`);
    const at = `/_stele/admin/audience/${encodeURIComponent(String(eventId))}`;
    const seenBy = async (asof: string) => {
      const { users } = await admin.ok('GET', `${at}?asof=${encodeURIComponent(asof)}`);
      return (users as unknown as { user_id: string }[]).map(({ user_id }) => user_id).sort();
    };
    expect(await seenBy(String(sent))).toEqual([bob.userId]);
    expect(await seenBy(String(eventId))).toEqual([bob.userId]);
    expect(await seenBy(String(app.engine.reader.frontier))).toEqual([alice.userId, bob.userId]);
    expect((await admin.call('GET', `${at}?asof=${before}`)).status).toBe(404);
    expect((await admin.call('GET', `${at}?asof=teatime`)).status).toBe(400);

    const rule = { entity: '@spam:*', recommendation: 'm.ban', reason: 'spam' };
    await bob.ok('PUT', `/rooms/${room}/state/m.policy.rule.user/one`, rule);
    const one = app.engine.reader.frontier;
    await bob.ok('PUT', `/rooms/${room}/state/m.policy.rule.server/two`, { ...rule, entity: 'evil.org' });
    const policies = async (more = '') => {
      const answer = await admin.ok('GET', path(room, `/state?type=${encodeURIComponent('m.policy.rule.*')}${more}`));
      return (answer as unknown as { state: { state_key: string }[] }).state.map(({ state_key }) => state_key).sort();
    };
    expect([await policies(), await policies(`&asof=${one}`)]).toEqual([['one', 'two'], ['one']]);
    const powers = await admin.ok('GET', path(room, `/state?type=m.room.power_levels&asof=${one}`));
    expect(powers['state']).toHaveLength(1);
  });

  it('is joined for a user', async () => {
    const carol = await app.register('carol');
    const joined = await admin.ok('POST', `/_synapse/admin/v1/join/${encodeURIComponent('#quarry:localhost')}`, {
      user_id: carol.userId,
    });
    expect(joined).toEqual({ room_id: quarry });
    expect(await admin.ok('GET', path(quarry, '/members'))).toMatchObject({ total: 3 });
  });
});

describe('a room that is removed', () => {
  it('is left by everybody; they find why in another one, under the old alias', async () => {
    const room = await create(alice, { name: 'Bad place', preset: 'public_chat', room_alias_name: 'bad' });
    await bob.ok('POST', `/rooms/${room}/join`, {});
    const { delete_id: id } = await admin.ok('DELETE', `/_synapse/admin/v2/rooms/${encodeURIComponent(room)}`, {
      new_room_user_id: admin.userId,
      room_name: 'Closed',
      message: 'The bad place is closed.',
      block: true,
      purge: false,
    });
    await app.context.tasks.settled();
    const status = await admin.ok('GET', `/_synapse/admin/v2/rooms/delete_status/${String(id)}`);
    expect(status).toMatchObject({
      status: 'complete',
      shutdown_room: {
        kicked_users: [alice.userId, bob.userId],
        failed_to_kick_users: [],
        local_aliases: ['#bad:localhost'],
      },
    });
    const replacement = (status['shutdown_room'] as unknown as { new_room_id: string }).new_room_id;
    expect(await admin.ok('GET', `/_synapse/admin/v2/rooms/${encodeURIComponent(room)}/delete_status`)).toMatchObject({
      results: [{ delete_id: id }],
    });
    expect(await alice.ok('GET', `/directory/room/${encodeURIComponent('#bad:localhost')}`)).toMatchObject({
      room_id: replacement,
    });
    expect((await bob.ok('GET', '/joined_rooms'))['joined_rooms']).toContain(replacement);
    expect((await bob.ok('GET', '/joined_rooms'))['joined_rooms']).not.toContain(room);
    expect(
      await bob.call('PUT', `/rooms/${replacement}/send/m.room.message/x`, { msgtype: 'm.text', body: 'why?' }),
    ).toMatchObject({ status: 403 });
    expect(await bob.call('POST', `/rooms/${room}/join`, {})).toMatchObject({ status: 403 });
  });

  it('that is not known here is blocked beforehand, or not there', async () => {
    expect(await admin.call('DELETE', path('!unknown:elsewhere.org'), { purge: false })).toMatchObject({ status: 404 });
    await admin.ok('DELETE', path('!unknown:elsewhere.org'), { block: true });
    expect(await admin.ok('GET', path('!unknown:elsewhere.org', '/block'))).toMatchObject({ block: true });
    expect(await admin.call('GET', '/_synapse/admin/v2/rooms/delete_status/none')).toMatchObject({ status: 404 });
  });
});

describe('history that is purged', () => {
  it('is gone from the room, and its state is not', async () => {
    const room = await create(alice, { name: 'Long ago' });
    const say = async (body: string, content: object = { msgtype: 'm.text', body }) =>
      String((await alice.ok('PUT', `/rooms/${room}/send/m.room.message/${body}`, content))['event_id']);
    await say('one');
    await say('empty', {});
    await alice.ok('PUT', `/rooms/${room}/state/m.room.topic`, { topic: 'kept' });
    const two = await say('two');
    const three = await say('three');
    const { purge_id: id } = await admin.ok(
      'POST',
      `/_synapse/admin/v1/purge_history/${room}/${encodeURIComponent(three)}`,
      {},
    );
    await app.context.tasks.settled();
    expect(await admin.ok('GET', `/_synapse/admin/v1/purge_history_status/${String(id)}`)).toEqual({
      status: 'complete',
    });
    const { chunk } = (await alice.ok('GET', `/rooms/${room}/messages?dir=b&limit=50`)) as unknown as {
      chunk: { event_id: string }[];
    };
    expect(chunk.map(({ event_id }) => event_id)).toEqual([three]);
    const { rooms } = (await alice.ok('GET', '/sync')) as unknown as {
      rooms: { join: Record<string, { timeline: { events: object[] }; state: { events: { type: string }[] } }> };
    };
    expect(rooms.join[room]?.timeline.events).toMatchObject([{ event_id: three, content: { body: 'three' } }]);
    const types = rooms.join[room]?.state.events.map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(['m.room.create', 'm.room.name', 'm.room.topic', 'm.room.member']));
    expect(await alice.ok('GET', `/rooms/${room}/event/${encodeURIComponent(two)}`)).toMatchObject({ content: {} });
    expect(await admin.call('POST', `/_synapse/admin/v1/purge_history/${room}/$none`, {})).toMatchObject({
      status: 404,
    });
    expect(await admin.call('POST', `/_synapse/admin/v1/purge_history/${room}`, {})).toMatchObject({ status: 400 });
  });
});
