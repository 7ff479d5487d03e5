/** What `/sync` says of a room whose history forks: another server sends events that follow older ones. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '#protocol/pdu.ts';
import { deviceListNews } from '#src/encryption/device-list-news.ts';
import type { ForeignEvent, ForeignEventSpec } from '#src/rooms/receive/foreign-room.test-support.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { type EventAnswer, type RoomAnswer, type SyncAnswer, sync } from '#test/client-api/sync-client.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { HostilePeer } from '#test/support/hostile-peer.ts';

const ANN = '@ann:two.test';
const BOB = '@bob:two.test';
const CAROL = '@carol:two.test';
const RUNS = 6;

let one: TestServer;
let peer: HostilePeer;
let alice: TestClient;

beforeEach(async () => {
  const network = new TestNetwork();
  one = await startServerOn(network, 'one.test');
  peer = await HostilePeer.start('two.test', '12', one.now());
  network.place('two.test', peer.peer.port);
  alice = await one.register('alice');
  const { status } = await alice.call('POST', `/join/${encodeURIComponent(peer.room.roomId)}?via=two.test`, {});
  expect(status).toBe(200);
});
afterEach(async () => {
  await one.close();
  await peer.close();
});

async function deliver(event: ForeignEvent): Promise<ForeignEvent> {
  const { path, content } = peer.transaction([event.pdu]);
  const { authorization, payload } = peer.request('one.test', 'PUT', path, content);
  const headers = { authorization, 'content-type': 'application/json' };
  const answer = await one.http.inject({ method: 'PUT', url: path, headers, payload });
  expect(answer.statusCode).toBe(200);
  return event;
}

/** The peer makes an event and sends it. */
const send = (spec: ForeignEventSpec): Promise<ForeignEvent> => deliver(peer.room.add(spec));
const setTopic = (topic: string, prev: readonly string[]): Promise<ForeignEvent> =>
  send({ sender: BOB, type: 'm.room.topic', stateKey: '', content: { topic }, prev });
const ban = (prev: readonly string[]): Promise<ForeignEvent> =>
  send({ sender: ANN, type: 'm.room.member', stateKey: BOB, content: { membership: 'ban' }, prev });

const roomIn = (answer: SyncAnswer): RoomAnswer | undefined => answer.rooms?.join?.[peer.room.roomId];
const ids = (events: readonly EventAnswer[] | undefined): string[] => (events ?? []).map(({ event_id }) => event_id);

type State = Map<string, string>;

function applied(state: State, events: readonly EventAnswer[] = []): State {
  for (const { type, state_key, event_id } of events) {
    if (state_key !== undefined) state.set(`${type} ${state_key}`, event_id);
  }
  return state;
}

async function currentState(): Promise<State> {
  const events = await alice.ok('GET', `/rooms/${encodeURIComponent(peer.room.roomId)}/state`);
  return applied(new Map(), events as unknown as EventAnswer[]);
}

describe('an event that came on a fork and lost', () => {
  it('is shown in the timeline, and changes nothing for who asks for the state after it', async () => {
    const prev = [...peer.room.ends];
    const name = { sender: BOB, type: 'm.room.name', stateKey: '', prev };
    // Of two names that do not know of each other, the later one stands, whichever comes first.
    const earlier = peer.room.add({ ...name, content: { name: 'earlier' } });
    const later = await deliver(peer.room.add({ ...name, content: { name: 'later' } }));
    const { next_batch: since } = await sync(alice);
    await deliver(earlier);
    expect((await currentState()).get('m.room.name ')).toBe(later.eventId);
    for (const use_state_after of [false, true]) {
      const room = roomIn(await sync(alice, { since, use_state_after }));
      expect(ids(room?.timeline.events)).toEqual([earlier.eventId]);
      expect(room?.timeline.limited).toBe(false);
      expect(ids(use_state_after ? room?.state_after?.events : room?.state?.events)).toEqual([]);
    }
    // A new client: the state before what it is shown, and the state at its end.
    const filter = { room: { timeline: { limit: 1 } } };
    for (const use_state_after of [false, true]) {
      const room = roomIn(await sync(alice, { filter, use_state_after }));
      expect(ids(room?.timeline.events)).toEqual([earlier.eventId]);
      const told = applied(new Map(), use_state_after ? room?.state_after?.events : room?.state?.events);
      expect(told.get('m.room.name ')).toBe(later.eventId);
    }
  });
});

describe('an event that a fork took away again', () => {
  it('is not in the state after the timeline', async () => {
    const { next_batch: since } = await sync(alice);
    const fork = [...peer.room.ends];
    const topic = await setTopic('Bob was here', fork);
    const banned = await ban(fork);
    expect((await currentState()).has('m.room.topic ')).toBe(false);
    const room = roomIn(await sync(alice, { since, use_state_after: true }));
    expect(ids(room?.timeline.events)).toEqual([topic.eventId, banned.eventId]);
    expect(ids(room?.state_after?.events)).toEqual([banned.eventId]);
  });

  it('is not in the state before the timeline where that begins after it', async () => {
    const { next_batch: since } = await sync(alice);
    const fork = [...peer.room.ends];
    await setTopic('Bob was here', fork);
    await ban(fork);
    const last = await send({ sender: ANN, type: 'm.room.message', content: { body: 'so much for Bob' } });
    const filter = { room: { timeline: { limit: 1 } } };
    const room = roomIn(await sync(alice, { since, filter }));
    expect(ids(room?.timeline.events)).toEqual([last.eventId]);
    expect(room?.timeline.limited).toBe(true);
    expect((room?.state?.events ?? []).map(({ type }) => type)).toEqual(['m.room.member']);
  });
});

describe('a member whom a fork took away again', () => {
  it('is somebody whose devices need not be followed any more, however long ago the client looked', async () => {
    const fork = [...peer.room.ends];
    await send({ sender: CAROL, type: 'm.room.member', stateKey: CAROL, content: { membership: 'join' }, prev: fork });
    const { next_batch: since } = await sync(alice);
    const seen = one.context.reader.frontier;
    await send({ sender: ANN, type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'invite' }, prev: fork });
    expect((await currentState()).has(`m.room.member ${CAROL}`)).toBe(false);
    expect(await sync(alice, { since })).toHaveProperty('device_lists', { left: [CAROL] });
    const { reader } = one.context;
    const question = { reader, viewer: alice.userId, since: seen, upTo: reader.frontier, pacer: sharedPacer };
    const { changed, left } = await deviceListNews({ ...question, memberships: undefined });
    expect([[...changed], [...left]]).toEqual([[], [CAROL]]);
  });
});

describe('a room that forks again and again', () => {
  const step = fc.record({
    what: fc.constantFrom('name', 'topic', 'other', 'message', 'sync'),
    /** Which older event it follows; 0 for the newest. */
    back: fc.nat(6),
    isAnn: fc.boolean(),
  });

  it('is the same for a client that follows the state after as for one that asks for all of it', async () => {
    let serial = 0;
    const script = fc.array(step, { minLength: 6, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(script, fc.integer({ min: 1, max: 5 }), async (steps, limit) => {
        const filter = { room: { timeline: { limit } } };
        const first = await sync(alice, { filter, use_state_after: true });
        const follower = applied(new Map(), roomIn(first)?.state_after?.events);
        expect(follower).toEqual(await currentState());
        let since = first.next_batch;
        const chain = [peer.room.last];
        for (const { what, back, isAnn } of [...steps, { what: 'sync', back: 0, isAnn: true }]) {
          if (what === 'sync') {
            const answer = await sync(alice, { since, filter, use_state_after: true });
            since = answer.next_batch;
            expect(roomIn(answer)?.state).toBeUndefined();
            applied(follower, roomIn(answer)?.state_after?.events);
            expect(follower).toEqual(await currentState());
            const whole = await sync(alice, { filter, use_state_after: true });
            expect(applied(new Map(), roomIn(whole)?.state_after?.events)).toEqual(follower);
            continue;
          }
          serial += 1;
          const content: JsonObject = { [what === 'message' ? 'body' : what]: `${serial}` };
          const prev = back === 0 ? undefined : [chain.at(-back) ?? peer.room.last];
          const isState = what !== 'message';
          const event = await send({
            sender: isAnn ? ANN : BOB,
            type: what === 'other' ? 'org.example.other' : `m.room.${what}`,
            content,
            ...(isState && { stateKey: '' }),
            ...(prev && { prev }),
          });
          chain.push(event.eventId);
        }
      }),
      { numRuns: RUNS, seed: 1 },
    );
  });
});
