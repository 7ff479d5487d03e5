/** Another server that lies, floods and leads astray. What it can reach is bounded; what it was told is kept. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { ForeignRoom } from '#src/rooms/receive/foreign-room.test-support.ts';
import { MAX_STATES_ASKED } from '#src/rooms/receive/pursuit.ts';
import type { TestAnswer, TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { HostilePeer } from '#test/support/hostile-peer.ts';

/** An answer is parsed in one piece, and its sender is in this process too; all that comes after is done in slices. */
const MAX_STALL_MS = 3000;

let network: TestNetwork;
let one: TestServer;
let peer: HostilePeer;
let alice: TestClient;

async function begin(version = '12'): Promise<void> {
  network = new TestNetwork();
  one = await startServerOn(network, 'one.test');
  peer = await HostilePeer.start('two.test', version, one.now());
  network.place('two.test', peer.peer.port);
  alice = await one.register('alice');
}
beforeEach(() => begin());
afterEach(async () => {
  await one.close();
  await peer.close();
});

const at = (rest: string) => `/rooms/${encodeURIComponent(peer.room.roomId)}${rest}`;
const join = (who = alice): Promise<TestAnswer> =>
  who.call('POST', `/join/${encodeURIComponent(peer.room.roomId)}?via=two.test`, {});
const joinedRooms = async () => (await alice.ok('GET', '/joined_rooms'))['joined_rooms'];

async function signed(method: 'PUT' | 'GET', path: string, content: JsonObject) {
  const { authorization, payload } = peer.request('one.test', method, path, content);
  const raw = await one.http.inject({
    method,
    url: path,
    headers: { authorization, 'content-type': 'application/json' },
    payload,
  });
  return { status: raw.statusCode, body: raw.json() as JsonObject };
}

async function transact(pdus: readonly JsonObject[], edus: readonly JsonObject[] = [], id?: string) {
  const { path, content } = peer.transaction(pdus, edus, id);
  return signed('PUT', path, content);
}

/** What was said of one event of a transaction: an error, or nothing. */
async function sent(event: { readonly eventId: string; readonly pdu: Pdu }): Promise<unknown> {
  const { status, body } = await transact([event.pdu]);
  expect(status).toBe(200);
  return ((body['pdus'] as JsonObject)[event.eventId] as JsonObject | undefined)?.['error'];
}

const message = (body: string, more: object = {}) => ({
  sender: '@ann:two.test',
  type: 'm.room.message',
  content: { body, msgtype: 'm.text' },
  ...more,
});

async function isShown(eventId: string): Promise<boolean> {
  return (await alice.call('GET', at(`/event/${encodeURIComponent(eventId)}`))).status === 200;
}

/** The longest turn of the event loop, in milliseconds of work. */
async function longestStall(work: () => Promise<unknown>): Promise<number> {
  let longestMs = 0;
  let beforeMs = cpuMs();
  let look = setImmediate(function lookAgain() {
    const nowMs = cpuMs();
    longestMs = Math.max(longestMs, nowMs - beforeMs);
    beforeMs = nowMs;
    look = setImmediate(lookAgain);
  });
  await work();
  clearImmediate(look);
  return longestMs;
}

/** What this thread has worked: unlike the clock it does not go on while others have the processor. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

describe('who lets a user in', () => {
  const answerOfJoin = (change: (answer: JsonObject) => JsonObject | string) => {
    let isAsked = false;
    peer.lie = ({ path, body }) => {
      if (isAsked || !path.includes('/send_join/')) return undefined;
      isAsked = true;
      peer.room.take('$probe', body as Pdu);
      const { before } = peer.room.events.get('$probe') ?? expect.fail();
      peer.room.ends = peer.room.ends.filter((end) => end !== '$probe');
      peer.room.ends.push(...(body['prev_events'] as string[]));
      const state = [...before.values()].flatMap((id) => peer.room.events.get(id)?.pdu ?? []);
      return { body: change({ event: body, state, auth_chain: peer.room.withAuthChain(before.values()) }) };
    };
  };
  const withoutCreate = (list: unknown) => (list as JsonObject[]).filter(({ type }) => type !== 'm.room.create');

  it.each<[string, (answer: JsonObject) => JsonObject | string]>([
    ['tells of no room', () => ({ state: [], auth_chain: [] })],
    [
      'keeps the create event back',
      (answer) => ({
        ...answer,
        state: withoutCreate(answer['state']),
        auth_chain: withoutCreate(answer['auth_chain']),
      }),
    ],
    [
      'has another create event than the room is named after',
      (answer) => {
        const other = [...new ForeignRoom('12', { ann: '@eve:two.test' }).events.values()].map(({ pdu }) => pdu);
        return { ...answer, state: other, auth_chain: other };
      },
    ],
    [
      'has changed the create event',
      (answer) => {
        const forged = (list: unknown) =>
          (list as JsonObject[]).map((event) =>
            event['type'] === 'm.room.create' ? { ...event, sender: '@eve:two.test' } : event,
          );
        return { ...answer, state: forged(answer['state']), auth_chain: forged(answer['auth_chain']) };
      },
    ],
    ['gives lists that are none', (answer) => ({ ...answer, state: 'all of it', auth_chain: { a: 1 } })],
    ['gives no JSON', () => '{"state":['],
    ['gives what nests too deep', () => `{"state":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
  ])('and %s is not believed; an honest answer is', async (_what, change) => {
    answerOfJoin(change);
    const { status, body } = await join();
    expect(status).toBe(502);
    expect(body).toMatchObject({ errcode: expect.stringMatching(/^M_/), error: expect.any(String) });
    expect(await joinedRooms()).toEqual([]);
    expect((await join()).status).toBe(200);
    expect(await joinedRooms()).toEqual([peer.room.roomId]);
  });

  it('cannot make the server read for ever', async () => {
    peer.lie = ({ path }) => {
      if (!path.includes('/make_join/')) return undefined;
      return (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const chunk = ' '.repeat(64 * 1024);
        const write = (): void => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on('drain', write);
        response.on('error', () => {});
        write();
      };
    };
    expect((await join()).status).toBe(502);
  });

  it('cannot stop the server with a state of many events that are worth nothing', async () => {
    answerOfJoin((answer) => {
      const sample = peer.room.events.get(peer.room.last)?.pdu;
      const garbage = Array.from({ length: 20_000 }, (_, index) => ({ ...sample, state_key: `@u${index}:two.test` }));
      return { ...answer, state: [...(answer['state'] as JsonObject[]), ...(garbage as JsonObject[])] };
    });
    let status = 0;
    const stall = await longestStall(async () => {
      status = (await join()).status;
    });
    expect(status).toBe(200);
    const members = (await alice.ok('GET', at('/joined_members')))['joined'] as unknown as object;
    expect(Object.keys(members).sort()).toEqual([alice.userId, '@ann:two.test', '@bob:two.test'].sort());
    expect(stall).toBeLessThan(MAX_STALL_MS);
  });

  it('a state of fifty megabytes is taken in, or turned down, in bounded time and memory', async () => {
    const EVENTS = 850;
    const before = process.memoryUsage().rss;
    answerOfJoin((answer) => {
      const sample = peer.room.events.get(peer.room.last)?.pdu;
      const padding = 'x'.repeat(60_000);
      const large = Array.from({ length: EVENTS }, (_, index) => ({
        ...sample,
        type: 'org.example.large',
        state_key: `${index}`,
        content: { padding },
      }));
      return { ...answer, state: [...(answer['state'] as JsonObject[]), ...(large as JsonObject[])] };
    });
    const startedMs = performance.now();
    const { status } = await join();
    expect(status).toBe(200);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(1024 * 1024 * 1024);
    expect(await joinedRooms()).toEqual([peer.room.roomId]);
  });
});

describe('who sends events', () => {
  beforeEach(async () => {
    expect((await join()).status).toBe(200);
  });

  it('gets the same answer to the same transaction, whatever is in it', async () => {
    const [first, second] = [peer.room.add(message('one')), peer.room.add(message('two'))];
    const answer = await transact([first.pdu], [], 'again');
    expect(await transact([second.pdu], [], 'again')).toEqual(answer);
    expect([await isShown(first.eventId), await isShown(second.eventId)]).toEqual([true, false]);
  });

  it('cannot change what it signed', async () => {
    const event = peer.room.add(message('as signed'));
    const forged = { ...event.pdu, content: { body: 'forged', msgtype: 'm.text' } };
    await transact([forged]);
    const shown = await alice.call('GET', at(`/event/${encodeURIComponent(event.eventId)}`));
    expect(JSON.stringify(shown.body)).not.toContain('forged');
    const other = peer.room.add(message('wrongly signed'));
    const [name] = Object.keys(other.pdu['signatures'] as object);
    const signatures = { [String(name)]: { 'ed25519:1': 'A'.repeat(86) } };
    expect(await sent({ ...other, pdu: { ...other.pdu, signatures } as Pdu })).toMatch(/signature/);
    expect(await isShown(other.eventId)).toBe(false);
  });

  it('may send more events than fit, or anything but events, and is told so', async () => {
    const { pdu } = peer.room.add(message('x'));
    expect((await transact(Array.from({ length: 51 }, () => pdu))).status).toBe(400);
    const odd = [
      null,
      1,
      'x',
      [],
      {},
      { room_id: 1 },
      { room_id: peer.room.roomId },
      { ...pdu, depth: 'deep' },
      { ...pdu, type: 5 },
    ];
    expect((await transact(odd as JsonObject[])).status).toBe(200);
    expect((await transact([{ ...pdu, content: JSON.parse('{"__proto__":{"a":1}}') as JsonObject }])).status).toBe(200);
  });

  it('cannot build on events of other rooms', async () => {
    const other = new ForeignRoom('12', { ann: '@eve:two.test', bob: '@bob:two.test' });
    for (const [id, event] of other.events) peer.room.events.set(id, event);
    const onPrev = peer.room.add(message('x', { prev: [other.last], auth: [] }));
    expect(await sent(onPrev)).toEqual(expect.any(String));
    const [, member] = [...other.events.keys()];
    const onAuth = peer.room.add(message('y', { auth: [String(member)] }));
    await sent(onAuth);
    expect([await isShown(onPrev.eventId), await isShown(onAuth.eventId)]).toEqual([false, false]);
  });

  it('cannot send it into a hunt for ever more events', async () => {
    const { room } = peer;
    const hidden = (prev: readonly string[]) => room.add(message(`${Math.random()}`, { prev }));
    const roots = [room.last];
    const layers = Array.from({ length: 6 }, () => {
      const layer = Array.from({ length: 20 }, () => hidden(roots));
      roots.splice(0, roots.length, ...layer.map(({ eventId }) => eventId));
      return layer;
    });
    peer.lie = ({ path }) => {
      if (path.includes('/get_missing_events/'))
        return { body: { events: (layers.at(-1) ?? []).map(({ pdu }) => pdu) } };
      if (path.includes('/state_ids/')) return { body: { pdu_ids: [], auth_chain_ids: [] } };
      return undefined;
    };
    await sent(hidden(roots));
    expect(peer.count('/state_ids/')).toBeLessThanOrEqual(MAX_STATES_ASKED);
    expect(peer.count('/event/')).toBeLessThan(100);
    expect((await alice.call('PUT', at('/send/m.room.message/t0'), { body: 'on', msgtype: 'm.text' })).status).toBe(
      200,
    );
  });

  it('cannot make it ask for a state of half a million events that there are not', async () => {
    const { room } = peer;
    room.add(message('hidden'));
    const follower = room.add(message('follower'));
    const last = room.add(message('last'));
    const ids = Array.from({ length: 500_000 }, (_, index) => `$${String(index).padStart(43, 'A')}`);
    peer.lie = ({ path }) => {
      if (path.includes('/get_missing_events/')) return { body: { events: [follower.pdu] } };
      if (path.includes('/state_ids/')) return { body: { pdu_ids: ids, auth_chain_ids: [] } };
      return undefined;
    };
    const before = peer.peer.requests.length;
    const stall = await longestStall(() => sent(last));
    expect(peer.peer.requests.length - before).toBeLessThan(20);
    expect(stall).toBeLessThan(MAX_STALL_MS);
    peer.lie = () => undefined;
    expect((await alice.ok('GET', at('/joined_members')))['joined']).toMatchObject({
      '@ann:two.test': {},
      '@bob:two.test': {},
    });
    expect(
      (await alice.call('PUT', at('/send/m.room.message/t1'), { body: 'still here', msgtype: 'm.text' })).status,
    ).toBe(200);
  });

  it('cannot lead it round in circles', async () => {
    await one.close();
    await peer.close();
    await begin('1');
    expect((await join()).status).toBe(200);
    const { room } = peer;
    // Before version 3 servers choose the ids, so two events can follow, and authorise, each other.
    const a = room.add(message('a'));
    const b = room.add(message('b'));
    const [refA, refB] = [a, b].map(({ eventId }) => [eventId, { sha256: 'A'.repeat(43) }]);
    const circle = [
      { ...a.pdu, prev_events: [refB], auth_events: [refB] },
      { ...b.pdu, prev_events: [refA], auth_events: [refA] },
    ] as unknown as Pdu[];
    peer.lie = ({ path }) => {
      if (path.includes('/get_missing_events/')) return { body: { events: circle } };
      if (path.includes('/state_ids/'))
        return { body: { pdu_ids: [a.eventId, b.eventId], auth_chain_ids: [a.eventId] } };
      if (path.includes('/event/'))
        return {
          body: { pdus: path.includes(encodeURIComponent(a.eventId)) ? [circle[0] as Pdu] : [circle[1] as Pdu] },
        };
      return undefined;
    };
    const before = peer.peer.requests.length;
    const { status } = await transact(circle);
    expect(status).toBe(200);
    expect(peer.peer.requests.length - before).toBeLessThan(100);
    expect([await isShown(a.eventId), await isShown(b.eventId)]).toEqual([false, false]);
  });

  it('may flood it with EDUs of any shape', async () => {
    const types = [
      'm.typing',
      'm.presence',
      'm.receipt',
      'm.direct_to_device',
      'm.device_list_update',
      'm.signing_key_update',
      'm.unknown',
    ];
    const contents: JsonObject[] = [
      {},
      { room_id: peer.room.roomId, user_id: '@ann:two.test', typing: true },
      {
        push: Array.from({ length: 5000 }, (_, index) => ({
          user_id: `@u${index}:two.test`,
          presence: 'online',
        })) as unknown as JsonObject[],
      },
      { push: [null, 1, { user_id: 5 }] },
      { sender: '@ann:one.test', type: 'x', message_id: 'm', messages: { [alice.userId]: { '*': {} } } },
      { sender: '@ann:two.test', type: 5, message_id: {}, messages: [] } as unknown as JsonObject,
      { user_id: '@ann:two.test', device_id: 'D', stream_id: 1e300, prev_id: ['x'] } as unknown as JsonObject,
      {
        [peer.room.roomId]: { 'm.read': { '@ann:two.test': { data: null, event_ids: [1, {}] } } },
      } as unknown as JsonObject,
      { __proto__: { 'm.read': {} } } as unknown as JsonObject,
    ];
    const edus = types.flatMap((type) =>
      contents.map((content) => ({ edu_type: type, content }) as unknown as JsonObject),
    );
    for (let round = 0; round < 20; round += 1) expect((await transact([], edus)).status).toBe(200);
    expect(
      (
        await transact(
          [],
          Array.from({ length: 101 }, () => edus[0] as JsonObject),
        )
      ).status,
    ).toBe(400);
    expect((await alice.call('GET', '/sync')).status).toBe(200);
  });

  it('is shut out by the access list however it writes its name', async () => {
    peer.room.add({
      sender: '@ann:two.test',
      type: 'm.room.server_acl',
      stateKey: '',
      content: { allow: ['*'], deny: ['TWO.*'] },
    });
    const acl = peer.room.events.get(peer.room.last) ?? expect.fail();
    expect(await sent(acl)).toBeUndefined();
    expect(await sent(peer.room.add(message('after')))).toMatch(/access list/);
  });

  it('may have any clock', async () => {
    for (const [index, ts] of [0, 1, Number.MAX_SAFE_INTEGER].entries()) {
      const event = peer.room.add(message(`at ${ts}`, { depth: index === 2 ? Number.MAX_SAFE_INTEGER : undefined }));
      await transact([{ ...event.pdu, origin_server_ts: ts }]);
    }
    expect((await alice.call('PUT', at('/send/m.room.message/t2'), { body: 'on', msgtype: 'm.text' })).status).toBe(
      200,
    );
  });
});

describe('at the same moment', () => {
  it('two users of one server come in, and both are in', async () => {
    const bob = await one.register('bob');
    const carol = await one.register('carol');
    const answers = await Promise.all([join(alice), join(bob), join(carol)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const members = (await alice.ok('GET', at('/joined_members')))['joined'] as unknown as object;
    expect(Object.keys(members)).toEqual(expect.arrayContaining([alice.userId, bob.userId, carol.userId]));
    for (const who of [alice, bob, carol]) {
      expect((await who.call('PUT', at('/send/m.room.message/t3'), { body: 'in', msgtype: 'm.text' })).status).toBe(
        200,
      );
    }
  });

  it('users of two servers come in, and both are in', async () => {
    const three = await startServerOn(network, 'three.test');
    const [bob, carol] = [await three.register('bob'), await three.register('carol')];
    const { room_id: roomId } = await alice.ok('POST', '/createRoom', { preset: 'public_chat' });
    const path = `/rooms/${encodeURIComponent(String(roomId))}`;
    const joins = [bob, carol].map((who) =>
      who.ok('POST', `/join/${encodeURIComponent(String(roomId))}?via=one.test`, {}),
    );
    const messages = Array.from({ length: 20 }, (_, index) =>
      alice.ok('PUT', `${path}/send/m.room.message/r${index}`, { body: 'x', msgtype: 'm.text' }),
    );
    await Promise.all([...joins, ...messages]);
    const members = async (who: TestClient) =>
      Object.keys((await who.ok('GET', `${path}/joined_members`))['joined'] as unknown as object).sort();
    const all = [alice.userId, bob.userId, carol.userId].sort();
    await expect.poll(() => members(alice)).toEqual(all);
    await expect.poll(() => members(bob)).toEqual(all);
    await three.close();
  });
});
