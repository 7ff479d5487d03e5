/** A server that lets somebody in, leaves out the members, and lies about what it leaves out. */
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { heldEventsOf, isPartial } from '#projections/rooms/partial.ts';
import { eventById, findRoom, serversIn } from '#projections/rooms/queries.ts';
import { eventIdOf } from '#protocol/hashing.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { serverTopic } from '#src/bus/bus.ts';
import { LocalBus } from '#src/bus/local-bus.ts';
import type { FederationClient } from '#src/federation/client.ts';
import { FederationError } from '#src/federation/errors.ts';
import { MemberFetching } from '#src/federation/member-fetching.ts';
import { silentLog } from '#src/log/logger.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { HostilePeer } from '#test/support/hostile-peer.ts';

const PATIENCE = { timeout: 60_000 };
const MAL = '@mal:two.test';
const ANN = '@ann:two.test';

let network: TestNetwork;
let one: TestServer;
let peer: HostilePeer;
let alice: TestClient;
let joinId: string;
let servers: unknown;
/** Requests for states that are not answered. */
let unanswered: ServerResponse[];
/** What is answered to who asks for the state before the join; an honest answer where undefined. */
let stateTold: JsonObject | 'nothing' | undefined;

beforeEach(async () => {
  network = new TestNetwork();
  one = await startServerOn(network, 'one.test');
  peer = await HostilePeer.start('two.test', '12', one.now());
  network.place('two.test', peer.peer.port);
  alice = await one.register('alice');
  joinId = '';
  unanswered = [];
  servers = ['two.test'];
  stateTold = 'nothing';
  const { room } = peer;
  peer.lie = ({ path, body }) => {
    if (path.includes('/send_join/')) {
      joinId = eventIdOf(body as Pdu, room.rules);
      room.take(joinId, body as Pdu);
      const told = [...stateBefore()].filter(([key]) => !key.includes('m.room.member')).map(([, id]) => id);
      return {
        body: {
          event: body,
          state: pdusOf(told),
          auth_chain: room.withAuthChain([...told, joinId]).filter((event) => event !== body),
          members_omitted: true,
          servers_in_room: servers as string[],
        },
      };
    }
    if (!path.includes('/v1/state/')) return undefined;
    if (stateTold === 'nothing') return (response) => void unanswered.push(response);
    return { body: stateTold ?? honestState() };
  };
});
afterEach(async () => {
  await one.close();
  await peer.close();
});

const stateBefore = (): ReadonlyMap<string, string> => peer.room.events.get(joinId)?.before ?? new Map();
function honestState(): JsonObject {
  const all = [...stateBefore().values()];
  return { pdus: pdusOf(all), auth_chain: peer.room.withAuthChain(all) };
}
const pdusOf = (ids: Iterable<string>) => [...ids].flatMap((id) => peer.room.events.get(id)?.pdu ?? []);
const at = (rest: string) => `/rooms/${encodeURIComponent(peer.room.roomId)}${rest}`;
const roomOf = () => findRoom(one.engine.reader, peer.room.roomId)?.id ?? -1;
const isAwaiting = () => isPartial(one.engine.reader, roomOf());
const join = () => alice.call('POST', `/join/${encodeURIComponent(peer.room.roomId)}?via=two.test`, {});
const say = (body: string) => alice.call('PUT', at(`/send/m.room.message/${body}`), { body, msgtype: 'm.text' });

async function transact(...pdus: JsonObject[]): Promise<void> {
  const { path, content } = peer.transaction(pdus);
  const { authorization, payload } = peer.request('one.test', 'PUT', path, content);
  const headers = { authorization, 'content-type': 'application/json' };
  expect((await one.http.inject({ method: 'PUT', url: path, headers, payload })).statusCode).toBe(200);
}

function message(sender: string, body: string, prev?: string[]) {
  const content = { body, msgtype: 'm.text' };
  return peer.room.add({ sender, type: 'm.room.message', content, ...(prev && { prev }) });
}

it('does not give somebody a voice who was banned by what it left out', async () => {
  const { room } = peer;
  const member = (sender: string, membership: string) =>
    room.add({ sender, type: 'm.room.member', stateKey: MAL, content: { membership } });
  const came = member(MAL, 'join');
  member(ANN, 'ban');
  expect((await join()).status).toBe(200);
  const banned = message(MAL, 'still here', [came.eventId]);
  const theirs = message(ANN, 'hello', [joinId]);
  await transact(banned.pdu, theirs.pdu);
  const { reader } = one.engine;
  expect([...heldEventsOf(reader, roomOf())]).toHaveLength(2);
  // It did not tell within the moment that is waited for, and is asked again.
  await expect.poll(() => unanswered.length, PATIENCE).toBe(2);
  unanswered[1]?.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(honestState()));
  await expect.poll(() => eventById(reader, theirs.eventId) !== undefined, PATIENCE).toBe(true);
  await expect.poll(() => [...heldEventsOf(reader, roomOf())].length, PATIENCE).toBe(0);
  expect(eventById(reader, banned.eventId)).toBeUndefined();
});

it('does not keep somebody waiting who comes in anew', async () => {
  expect((await join()).status).toBe(200);
  await expect.poll(() => unanswered.length, PATIENCE).toBe(1);
  await alice.ok('POST', at('/leave'), {});
  stateTold = undefined;
  expect((await join()).status).toBe(200);
  await expect.poll(isAwaiting, PATIENCE).toBe(false);
});

it.each<[string, unknown]>([
  ['none', []],
  ['what are no servers', [7, null, 'not a name', `${'x'.repeat(300)}.test`, 'one.test']],
])('is sent what happens in the room, though it names %s', async (_what, named) => {
  servers = named;
  expect((await join()).status).toBe(200);
  expect([...serversIn(one.engine.reader, roomOf())].sort()).toEqual(['one.test', 'two.test']);
  expect((await say('hello')).status).toBe(200);
  await expect.poll(() => peer.count('/v1/send/'), PATIENCE).toBeGreaterThan(0);
});

it('knows some thousands of servers in the room, however many it names', async () => {
  servers = Array.from({ length: 6000 }, (_, index) => `s${index}.test`);
  expect((await join()).status).toBe(200);
  const known = new Set(serversIn(one.engine.reader, roomOf()));
  expect(known).toContain('two.test');
  expect(known.size).toBe(5001);
});

it.each<[string, unknown]>([
  ['does not name the servers', undefined],
  ['names them in no list', { 'two.test': true }],
])('lets nobody in where it %s', async (_what, named) => {
  servers = named;
  expect((await join()).status).toBe(502);
  expect((await alice.ok('GET', '/joined_rooms'))['joined_rooms']).toEqual([]);
});

it.each<[string, () => JsonObject]>([
  ['nothing', () => ({})],
  ['no create event', () => ({ pdus: [], auth_chain: [] })],
  ['lists that are none', () => ({ pdus: 'all of it', auth_chain: 7 })],
])('keeps nobody in a room of whose members it tells %s', async (_what, told) => {
  stateTold = told();
  expect((await join()).status).toBe(200);
  await expect.poll(() => peer.count('/v1/state/'), PATIENCE).toBeGreaterThan(0);
  expect((await say('mine')).status).toBe(200);
  expect(isAwaiting()).toBe(true);
  await alice.ok('POST', at('/leave'), {});
  expect((await alice.call('GET', at('/members'))).status).toBe(200);
  stateTold = undefined;
  expect((await join()).status).toBe(200);
  await expect.poll(isAwaiting, PATIENCE).toBe(false);
  expect(Object.keys((await alice.ok('GET', at('/joined_members')))['joined'] as unknown as object).sort()).toEqual(
    [alice.userId, ANN, '@bob:two.test'].sort(),
  );
});

/** Fetches the members beside the server's own task, which hangs, from whoever tells. */
function fetching(tells: (server: string) => boolean, firstPauseMs: number) {
  const asked: string[] = [];
  const bus = new LocalBus();
  const read: FederationClient['read'] = async ({ destination }, make) => {
    asked.push(destination);
    if (!tells(destination)) throw new FederationError('unreachable', destination, 'it is gone');
    return make(
      (async function* () {
        yield Buffer.from(JSON.stringify(honestState()));
      })(),
    );
  };
  const { rooms, receiver, reader } = one.context;
  const task = new MemberFetching({
    client: { read },
    bus,
    rooms,
    receiver,
    reader,
    log: one.log,
    serverName: 'one.test',
    logger: silentLog(),
    firstPauseMs,
  });
  const recover = (server: string): void => bus.publish([serverTopic(server)], BEFORE_FIRST);
  return { asked, task, recover };
}

describe('where most servers of the room are gone', () => {
  beforeEach(async () => {
    servers = ['two.test', ...Array.from({ length: 30 }, (_, index) => `s${index}.test`)];
    expect((await join()).status).toBe(200);
  });

  it('asks all of them in turn', async () => {
    const { asked, task } = fetching((server) => server === 's28.test', 1);
    task.start();
    await expect.poll(isAwaiting, PATIENCE).toBe(false);
    expect(asked.at(-1)).toBe('s28.test');
    expect(asked.slice(0, 10)).toEqual(['two.test', ...new Set(asked.slice(1, 10))]);
    await task.close();
  });

  it('asks the first that is there again at once', async () => {
    const { asked, task, recover } = fetching((server) => asked.length > 10 && server === 's9.test', 1e8);
    task.start();
    const isToldBy = (server: string) => () => {
      recover(server);
      return !isAwaiting();
    };
    await expect.poll(() => asked.length, PATIENCE).toBe(10);
    recover('elsewhere.test');
    await expect.poll(isToldBy('s9.test'), PATIENCE).toBe(true);
    expect(asked.slice(10)).toEqual(['s9.test']);
    await task.close();
  });
});
