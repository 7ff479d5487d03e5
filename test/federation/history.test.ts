/** What one server tells another of the past of a room: of events, of states, and nothing that no user of the other could see. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findRoom, isServerIn } from '#projections/rooms/queries.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { federationPath } from '#src/federation/client.ts';
import { FederationError } from '#src/federation/errors.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let three: TestServer;
let alice: TestClient;
let bob: TestClient;
let txn = 0;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  three = await startServerOn(network, 'three.test');
  one.context.search.start();
  alice = await one.register('alice');
  bob = await two.register('bob');
});
afterAll(async () => {
  for (const server of [one, two, three]) await server.close();
});

const at = (roomId: string, rest: string) => `/rooms/${encodeURIComponent(roomId)}${rest}`;

async function makeRoom(visibility = 'shared'): Promise<string> {
  const initial = { type: 'm.room.history_visibility', content: { history_visibility: visibility } };
  const made = await alice.ok('POST', '/createRoom', { preset: 'public_chat', initial_state: [initial] });
  return String(made['room_id']);
}
async function say(roomId: string, body: string): Promise<string> {
  const said = await alice.ok('PUT', at(roomId, `/send/m.room.message/${++txn}`), { msgtype: 'm.text', body });
  return String(said['event_id']);
}
const joinFrom = (who: TestClient, roomId: string) =>
  who.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});

/** What one.test answers to a server; its error as a text. */
async function ask(from: TestServer, path: string, content?: JsonObject): Promise<JsonObject & { error?: string }> {
  try {
    return await from.context.federation.client.request({
      destination: 'one.test',
      method: content === undefined ? 'GET' : 'POST',
      path,
      ...(content && { content }),
    });
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
    return { error: `${error.status} ${error.errcode}` };
  }
}
const v1 = '/_matrix/federation/v1';
const eventPath = (eventId: string) => v1 + federationPath`/event/${eventId}`;
const backfillPath = (roomId: string, from: readonly string[], limit = 50) =>
  `${v1}${federationPath`/backfill/${roomId}`}?limit=${limit}${from.map((id) => `&v=${encodeURIComponent(id)}`).join('')}`;
const missing = (from: TestServer, roomId: string, content: JsonObject) =>
  ask(from, v1 + federationPath`/get_missing_events/${roomId}`, content);

const pdusIn = (list: unknown) => list as readonly Pdu[];
const bodies = (list: unknown) =>
  pdusIn(list)
    .filter(({ type }) => type === 'm.room.message')
    .map(({ content }) => content['body'] ?? 'redacted');

describe('of rooms whose past is', () => {
  it.each([
    ['for everybody', 'world_readable', ['before', 'invited', 'joined']],
    ['for its members', 'shared', ['before', 'invited', 'joined']],
    ['for the invited', 'invited', ['redacted', 'invited', 'joined']],
    ['for those who were there', 'joined', ['redacted', 'redacted', 'joined']],
  ])('%s the other server is told what its users could see', async (_who, visibility, expected) => {
    const roomId = await makeRoom(visibility);
    const begin = await say(roomId, 'begin');
    const ids = [await say(roomId, 'before')];
    await alice.ok('POST', at(roomId, '/invite'), { user_id: bob.userId });
    ids.push(await say(roomId, 'invited'));
    await joinFrom(bob, roomId);
    ids.push(await say(roomId, 'joined'));
    const last = await say(roomId, 'last');

    const backfilled = await ask(two, backfillPath(roomId, [last]));
    expect(bodies(backfilled['pdus']).reverse().slice(1)).toEqual([...expected, 'last']);
    const between = await missing(two, roomId, { earliest_events: [begin], latest_events: [last] });
    expect(bodies(between['events'])).toEqual(expected);
    const singly = await Promise.all(ids.map(async (id) => (await ask(two, eventPath(id)))['pdus']));
    expect(singly.flatMap(bodies)).toEqual(expected);
  });

  it('for those who were there, and who were many', async () => {
    const roomId = await makeRoom('joined');
    const before = await say(roomId, 'before');
    const { rooms } = one.context;
    // More members than are looked at in one go; those of the other server come last.
    const joins = Array.from({ length: 1100 }, (_, index) => {
      const sender = `@a${index}:one.test`;
      return { sender, type: 'm.room.member', stateKey: sender, content: { membership: 'join' } };
    });
    for (let begin = 0; begin < joins.length; begin += 50) {
      await Promise.all(joins.slice(begin, begin + 50).map((join) => rooms.send(roomId, join)));
    }
    await joinFrom(bob, roomId);
    const after = await say(roomId, 'after');
    expect(bodies((await ask(two, eventPath(after)))['pdus'])).toEqual(['after']);
    expect(bodies((await ask(two, eventPath(before)))['pdus'])).toEqual(['redacted']);
  });
});

describe('a server is told nothing', () => {
  const everything = (roomId: string, eventId: string): [string, JsonObject?][] => [
    [eventPath(eventId)],
    [backfillPath(roomId, [eventId])],
    [v1 + federationPath`/get_missing_events/${roomId}`, { earliest_events: [], latest_events: [eventId] }],
    [`${v1}${federationPath`/state/${roomId}`}?event_id=${encodeURIComponent(eventId)}`],
    [`${v1}${federationPath`/state_ids/${roomId}`}?event_id=${encodeURIComponent(eventId)}`],
    [v1 + federationPath`/event_auth/${roomId}/${eventId}`],
    [`${v1}${federationPath`/timestamp_to_event/${roomId}`}?ts=0&dir=f`],
  ];
  const answers = (from: TestServer, roomId: string, eventId: string) =>
    Promise.all(everything(roomId, eventId).map(async ([path, content]) => (await ask(from, path, content)).error));
  const all = (error: string) => everything('', '').map(() => error);

  it('of rooms that it is not in, also ones that everybody may read', async () => {
    const roomId = await makeRoom('world_readable');
    const eventId = await say(roomId, 'hello');
    expect(await answers(three, roomId, eventId)).toEqual(all('403 M_FORBIDDEN'));
  });

  it('of rooms that it has left', async () => {
    const roomId = await makeRoom();
    await joinFrom(bob, roomId);
    const eventId = await say(roomId, 'hello');
    expect(await answers(two, roomId, eventId)).toEqual(everything('', '').map(() => undefined));
    await bob.ok('POST', at(roomId, '/leave'), {});
    const room = findRoom(one.context.reader, roomId) ?? expect.fail();
    await vi.waitUntil(() => !isServerIn(one.context.reader, room.id, 'two.test'), { timeout: 20_000 });
    expect(await answers(two, roomId, eventId)).toEqual(all('403 M_FORBIDDEN'));
  });

  it('of rooms that shut it out', async () => {
    const roomId = await makeRoom();
    await joinFrom(bob, roomId);
    await alice.ok('PUT', at(roomId, '/state/m.room.server_acl'), { allow: ['*'], deny: ['*.TEST'] });
    const eventId = await say(roomId, 'hello');
    expect(await answers(two, roomId, eventId)).toEqual(all('403 M_FORBIDDEN'));
  });

  it('of rooms and events that are not there, nor of events of another room than it names', async () => {
    expect(await answers(two, '!nowhere:one.test', '$nothing')).toEqual(all('404 M_NOT_FOUND'));
    const [here, there] = [await makeRoom(), await makeRoom()];
    await joinFrom(bob, here);
    const eventId = await say(there, 'elsewhere');
    const [, backfilled, between, state, stateIds, eventAuth] = await Promise.all(
      everything(here, eventId).map(([path, content]) => ask(two, path, content)),
    );
    expect([backfilled?.['pdus'], between?.['events']]).toEqual([[], []]);
    for (const answer of [state, stateIds, eventAuth]) expect(answer?.error).toBe('404 M_NOT_FOUND');
  });
});

describe('of events', () => {
  let roomId: string;
  let ids: string[];

  beforeAll(async () => {
    roomId = await makeRoom();
    await joinFrom(bob, roomId);
    ids = [];
    for (let index = 0; index < 120; index += 1) ids.push(await say(roomId, `${index}`));
  });
  const id = (index: number): string => ids[index] ?? expect.fail();

  it('it is told those before some, with them, the newest first, and no more than it asks for', async () => {
    const answer = await ask(two, backfillPath(roomId, [id(50)], 3));
    expect(answer).toMatchObject({ origin: 'one.test', origin_server_ts: expect.any(Number) });
    expect(bodies(answer['pdus'])).toEqual(['50', '49', '48']);
    expect(bodies((await ask(two, backfillPath(roomId, [id(119)], 100_000)))['pdus'])).toHaveLength(100);
    expect(await ask(two, backfillPath(roomId, [id(50)], -1))).toMatchObject({ error: '400 M_INVALID_PARAM' });
  });

  it('it is told those between some, without them, the oldest first: the newest of them if there are many', async () => {
    const between = async (content: JsonObject) => bodies((await missing(two, roomId, content))['events']);
    const [from, to] = [[id(10)], [id(14)]];
    expect(await between({ earliest_events: from, latest_events: to })).toEqual(['11', '12', '13']);
    expect(await between({ earliest_events: from, latest_events: to, limit: 2 })).toEqual(['12', '13']);
    const longer = { earliest_events: from, latest_events: [id(119)] };
    expect(await between(longer)).toHaveLength(10);
    expect(await between({ ...longer, limit: 1000 })).toHaveLength(20);
    expect(await between({ ...longer, limit: 0 })).toEqual([]);
  });

  it('none is older than it wants', async () => {
    const [pdu] = pdusIn((await ask(two, eventPath(id(12))))['pdus']);
    const content = { earliest_events: [], latest_events: [id(14)], min_depth: Number(pdu?.depth) };
    expect(bodies((await missing(two, roomId, content))['events'])).toEqual(['12', '13']);
    const beyond = { ...content, min_depth: Number.MAX_SAFE_INTEGER };
    expect(bodies((await missing(two, roomId, beyond))['events'])).toEqual([]);
    expect((await missing(two, roomId, { ...content, min_depth: -5 }))['events']).toHaveLength(10);
  });

  it('many ends that there are not cost little, and hide what there is', async () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `$${index}`);
    const began = process.cpuUsage();
    expect((await missing(two, roomId, { earliest_events: [], latest_events: many }))['events']).toEqual([]);
    // The other server is in this process too.
    expect(process.cpuUsage(began).user / 1000).toBeLessThan(2000);
  });
});

describe('of states', () => {
  let roomId: string;
  let first: string;
  let renamed: string;

  beforeAll(async () => {
    roomId = await makeRoom();
    await joinFrom(bob, roomId);
    await alice.ok('PUT', at(roomId, '/state/m.room.name'), { name: 'one' });
    first = await say(roomId, 'first');
    const answer = await alice.ok('PUT', at(roomId, '/state/m.room.name'), { name: 'two' });
    renamed = String(answer['event_id']);
  });
  const nameIn = (list: unknown) => pdusIn(list).find(({ type }) => type === 'm.room.name')?.content['name'];

  it('it is told the one before an event, and all that authorises it, as events and as ids', async () => {
    for (const [eventId, name] of [
      [first, 'one'],
      [renamed, 'one'],
      [await say(roomId, 'later'), 'two'],
    ] as const) {
      const query = `?event_id=${encodeURIComponent(eventId)}`;
      const state = await ask(two, `${v1}${federationPath`/state/${roomId}`}${query}`);
      const ids = await ask(two, `${v1}${federationPath`/state_ids/${roomId}`}${query}`);
      expect(nameIn(state['pdus'])).toBe(name);
      expect(pdusIn(state['pdus'])).toHaveLength((ids['pdu_ids'] as unknown as string[]).length);
      expect(pdusIn(state['auth_chain'])).toHaveLength((ids['auth_chain_ids'] as unknown as string[]).length);
      expect(pdusIn(state['auth_chain']).map(({ type }) => type)).toContain('m.room.create');
    }
    expect(await ask(two, v1 + federationPath`/state/${roomId}`)).toMatchObject({ error: '400 M_MISSING_PARAM' });
  });

  it('it is told what authorises an event', async () => {
    const answer = await ask(two, v1 + federationPath`/event_auth/${roomId}/${renamed}`);
    const types = pdusIn(answer['auth_chain']).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(['m.room.create', 'm.room.member', 'm.room.power_levels']));
    expect(types).not.toContain('m.room.name');
  });
});
