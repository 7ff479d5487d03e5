/** Each section of a sync has a filter of its own, with all of its fields; and says what it has to with any of them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, eventIds, type RoomAnswer, type SyncAnswer, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let roomId: string;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  roomId = await createRoom(alice, { preset: 'public_chat', name: 'Stones' });
  await bob.ok('POST', `/join/${roomId}`, {});
});
afterEach(() => app.close());

const joined = (answer: SyncAnswer, id = roomId): RoomAnswer => answer.rooms?.join?.[id] ?? expect.fail(`no ${id}`);
const types = (section: { readonly events: readonly { readonly type: string }[] } | undefined): string[] =>
  (section?.events ?? []).map(({ type }) => type);

/** Something of every kind happens in a room. */
async function stir(id: string): Promise<void> {
  const eventId = await sayIn(bob, id, 'hello');
  await bob.ok('PUT', `/rooms/${id}/send/m.room.message/image${id}`, {
    msgtype: 'm.image',
    body: 'i',
    url: 'mxc://a/b',
  });
  await bob.ok('POST', `/rooms/${id}/receipt/m.read/${eventId}`, {});
  await bob.ok('PUT', `/rooms/${id}/typing/${bob.userId}`, { typing: true, timeout: 30_000 });
  await alice.ok('PUT', `/user/${alice.userId}/rooms/${id}/account_data/org.example.one`, { a: 1 });
  await alice.ok('PUT', `/user/${alice.userId}/rooms/${id}/account_data/org.example.two`, { a: 2 });
  await alice.ok('PUT', `/rooms/${id}/state/m.room.topic`, { topic: 'later' });
}

describe.each([
  [
    'types',
    { types: ['org.example.o*', 'm.typing', 'm.room.to*'] },
    ['m.room.topic'],
    ['m.typing'],
    ['org.example.one'],
  ],
  [
    'not_types',
    { not_types: ['m.receipt', 'm.room.message', 'org.example.one'] },
    ['m.room.topic'],
    ['m.typing'],
    ['org.example.two'],
  ],
  ['types and not_types', { types: ['m.*'], not_types: ['m.room.*', 'm.receipt'] }, [], ['m.typing'], []],
  ['no types', { types: [] }, [], [], []],
])('a filter by %s', (_name, filter, timeline, ephemeral, accountData) => {
  it('holds for the events of a room, what passes there, and the data of its user', async () => {
    const { next_batch: since } = await sync(alice);
    await stir(roomId);
    const room = { timeline: filter, ephemeral: filter, account_data: filter, state: { types: [] } };
    const answer = (await sync(alice, { since, filter: { room } })).rooms?.join?.[roomId];
    expect(types(answer?.timeline)).toEqual(timeline);
    expect(types(answer?.ephemeral)).toEqual(ephemeral);
    expect(types(answer?.account_data)).toEqual(accountData);
  });
});

describe('a filter by sender and content', () => {
  it.each([
    ['senders', { senders: ['@alice:localhost'] }, ['m.room.topic']],
    ['not_senders', { not_senders: ['@alice:localhost'] }, ['m.room.message', 'm.room.message']],
    ['both, of which the second counts', { senders: ['@bob:localhost'], not_senders: ['@bob:localhost'] }, []],
    ['contains_url', { contains_url: true }, ['m.room.message']],
    ['contains_url, false', { contains_url: false }, ['m.room.message', 'm.room.topic']],
    ['limit', { limit: 1 }, ['m.room.topic']],
  ])('%s', async (_name, timeline, expected) => {
    const { next_batch: since } = await sync(alice);
    await stir(roomId);
    const room = joined(await sync(alice, { since, filter: { room: { timeline } } }));
    expect(types(room.timeline)).toEqual(expected);
    expect(room.timeline.limited).toBe('limit' in timeline);
  });
});

describe('a filter by room', () => {
  it('holds for one section, or for all', async () => {
    const other = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${other}`, {});
    const { next_batch: since } = await sync(alice);
    for (const id of [roomId, other]) await stir(id);
    const sections = ['timeline', 'ephemeral', 'account_data', 'state'] as const;
    for (const section of sections) {
      const answer = await sync(alice, { since, filter: { room: { [section]: { not_rooms: [other] } } } });
      for (const each of sections) {
        const isHidden = each === section;
        const events = joined(answer, other)[each]?.events ?? [];
        // What the timeline does not show of the state is in the state.
        if (each === 'state') expect(types({ events })).toEqual(section === 'timeline' ? ['m.room.topic'] : []);
        else expect(events.length > 0).toBe(!isHidden);
        if (each !== 'state') expect(joined(answer, roomId)[each]?.events.length).toBeGreaterThan(0);
      }
    }
    const one = await sync(alice, { since, filter: { room: { rooms: [roomId, other], not_rooms: [other] } } });
    expect(Object.keys(one.rooms?.join ?? {})).toEqual([roomId]);
    const none = await sync(alice, { since, filter: { room: { rooms: [], timeline: { rooms: [roomId] } } } });
    expect(none.rooms).toBeUndefined();
  });
});

describe('global account data', () => {
  it('has a filter of its own', async () => {
    const { next_batch: since } = await sync(alice);
    for (const type of ['org.example.one', 'org.example.two']) {
      await alice.ok('PUT', `/user/${alice.userId}/account_data/${type}`, {});
    }
    const wanted = async (account_data: object) =>
      types((await sync(alice, { since, filter: { account_data } })).account_data);
    expect(await wanted({ types: ['org.example.o*'] })).toEqual(['org.example.one']);
    expect(await wanted({ not_types: ['org.example.o*'] })).toEqual(['org.example.two']);
    expect(await wanted({ types: [] })).toEqual([]);
  });
});

describe('the state after the timeline', () => {
  const lazy = { room: { state: { lazy_load_members: true }, timeline: { limit: 2 } } };

  it('has the members that the timeline needs, where they are loaded lazily', async () => {
    for (const body of ['one', 'two']) await sayIn(alice, roomId, body);
    const { next_batch: since } = await sync(alice, { filter: lazy, use_state_after: true });
    await sayIn(bob, roomId, 'hello');
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'now' });
    const room = joined(await sync(alice, { since, filter: lazy, use_state_after: true }));
    expect(room.state).toBeUndefined();
    expect((room.state_after?.events ?? []).map(({ type, state_key }) => [type, state_key])).toEqual([
      ['m.room.member', bob.userId],
      ['m.room.topic', ''],
    ]);
  });

  it('is there though it is empty, also of a room that was left', async () => {
    const { next_batch: since } = await sync(alice);
    await sayIn(bob, roomId, 'hello');
    const { next_batch, ...answer } = await sync(alice, { since, use_state_after: true });
    expect(joined({ ...answer, next_batch }).state_after).toEqual({ events: [] });
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'last' });
    await alice.ok('POST', `/rooms/${roomId}/leave`, {});
    await bob.ok('PUT', `/rooms/${roomId}/send/m.room.message/gone`, { msgtype: 'm.text', body: 'alone at last' });
    const left = (await sync(alice, { since: next_batch, use_state_after: true })).rooms?.leave?.[roomId];
    expect(left).not.toHaveProperty('state');
    expect(types(left?.state_after)).toEqual(['m.room.topic', 'm.room.member']);
    expect(types(left?.timeline)).toEqual(['m.room.topic', 'm.room.member']);
  });

  it('is whole for a new client, of which the timeline is the end', async () => {
    const sent = [await sayIn(alice, roomId, 'one'), await sayIn(alice, roomId, 'two')];
    const room = joined(await sync(alice, { filter: { room: { timeline: { limit: 2 } } }, use_state_after: true }));
    expect(eventIds(room.timeline)).toEqual(sent);
    const whole = (await alice.ok('GET', `/rooms/${roomId}/state`)) as unknown as { event_id: string }[];
    expect(eventIds(room.state_after ?? { events: [] }).sort()).toEqual(whole.map(({ event_id }) => event_id).sort());
  });
});
