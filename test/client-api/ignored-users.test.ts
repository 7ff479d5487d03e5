/** Nothing of somebody whom one ignores is told, by any way of reading, but for the state of rooms. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { everything, slide } from './sliding-sync-client.ts';
import { createRoom, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let troll: TestClient;
let room: string;
let root: string;
/** What the troll said: by itself, in a thread, about something. */
let said: readonly string[];

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  troll = await app.register('troll');
  room = await createRoom(alice, { preset: 'public_chat' });
  await troll.ok('POST', `/join/${room}`);
  root = await sayIn(alice, room, 'root');
});

afterEach(() => app.close());

async function saySomething(): Promise<void> {
  said = [
    await sayIn(troll, room, 'spam'),
    await relate('m.room.message', { rel_type: 'm.thread', event_id: root }),
    await relate('m.room.message', { rel_type: 'm.reference', event_id: root }),
    await relate('m.reaction', { rel_type: 'm.annotation', event_id: root, key: 'boo' }),
  ];
}

async function relate(type: string, relation: object): Promise<string> {
  const content = { msgtype: 'm.text', body: 'spam', 'm.relates_to': relation };
  return String((await troll.ok('PUT', `/rooms/${room}/send/${type}/${app.now()}`, content)).event_id);
}

async function ignore(...users: readonly TestClient[]): Promise<void> {
  const ignored_users = Object.fromEntries(users.map(({ userId }) => [userId, {}]));
  await alice.ok('PUT', `/user/${alice.userId}/account_data/m.ignored_user_list`, { ignored_users });
}

/** What the troll does beside saying something. */
async function makeNoise(): Promise<void> {
  await troll.ok('PUT', `/presence/${troll.userId}/status`, { presence: 'online', status_msg: 'spam' });
  await troll.ok('POST', `/rooms/${room}/receipt/m.read/${root}`, {});
  await troll.ok('PUT', `/rooms/${room}/typing/${troll.userId}`, { typing: true, timeout: 30_000 });
  await troll.ok('POST', '/createRoom', { invite: [alice.userId] });
}

const EXTENSIONS = { receipts: { enabled: true }, typing: { enabled: true }, account_data: { enabled: true } };

/** Everything that can be read, by where it was read. */
async function everyReading(since: string): Promise<Record<string, unknown>> {
  const of = (at: string) => alice.ok('GET', at);
  const { account_data: _, ...first } = await sync(alice);
  const { account_data: __, ...later } = await sync(alice, { since });
  const { extensions, rooms } = await slide(alice, { ...everything(), extensions: EXTENSIONS });
  const { account_data: ___, ...old } = await of('/initialSync');
  return {
    first,
    later,
    sliding: { rooms, ...extensions, account_data: undefined },
    old,
    oldRoom: await of(`/rooms/${room}/initialSync`),
    stream: (await of(`/events?from=${since}&timeout=0`)).chunk as unknown,
    messages: await of(`/rooms/${room}/messages?dir=b&limit=100`),
    context: await of(`/rooms/${room}/context/${root}`),
    root: await of(`/rooms/${room}/event/${root}`),
    relations: await of(`/_matrix/client/v1/rooms/${room}/relations/${root}`),
    threads: await of(`/_matrix/client/v1/rooms/${room}/threads`),
    search: await alice.ok('POST', '/search', { search_categories: { room_events: { search_term: 'spam' } } }),
    notifications: await of('/notifications'),
  };
}

/** Without what says who is in the room, and which rules there are. */
function traces(reading: unknown): string[] {
  const found: string[] = [];
  const look = (value: unknown): void => {
    if (typeof value === 'string' && (value === troll.userId || said.includes(value))) found.push(value);
    if (Array.isArray(value)) for (const one of value) look(one);
    else if (
      value instanceof Object &&
      !('type' in value && ['m.room.member', 'm.ignored_user_list'].includes(String(value.type)))
    )
      for (const [key, one] of Object.entries(value)) {
        // Members name a room whoever they are.
        if (key === 'm.heroes' || key === 'heroes') continue;
        look(key);
        look(one);
      }
  };
  look(reading);
  return found;
}

it('somebody whom one does not ignore is seen wherever one reads', async () => {
  const { next_batch: since } = await sync(alice);
  await saySomething();
  await makeNoise();
  for (const [where, reading] of Object.entries(await everyReading(since))) {
    expect([where, traces(reading).length > 0]).toEqual([where, true]);
  }
});

it('somebody whom one ignores is seen nowhere', async () => {
  const { next_batch: since } = await sync(alice);
  await ignore(troll);
  await saySomething();
  await makeNoise();
  for (const [where, reading] of Object.entries(await everyReading(since))) {
    expect([where, traces(reading)]).toEqual([where, []]);
  }
  for (const eventId of said) {
    expect((await alice.call('GET', `/rooms/${room}/event/${eventId}`)).status).toBe(404);
    expect((await alice.call('GET', `/rooms/${room}/context/${eventId}`)).status).toBe(404);
    expect((await alice.call('GET', `/_matrix/client/v1/rooms/${room}/relations/${eventId}`)).status).toBe(404);
  }
  const at = `/_matrix/client/v1/rooms/${room}/timestamp_to_event?dir=b&ts=${app.now()}`;
  expect(said).not.toContain((await alice.ok('GET', at)).event_id);
});

it('what they set in rooms is seen, and they are there again when they are ignored no more', async () => {
  await ignore(troll);
  const { next_batch: since } = await sync(alice);
  await alice.ok('PUT', `/rooms/${room}/state/m.room.power_levels`, {
    users: { [troll.userId]: 50 },
  });
  await troll.ok('PUT', `/rooms/${room}/state/m.room.topic`, { topic: 'theirs' });
  const told = await sync(alice, { since });
  expect(told.rooms?.join?.[room]?.timeline.events.map(({ type }) => type)).toContain('m.room.topic');
  await saySomething();
  await makeNoise();
  const { next_batch: later } = await sync(alice, { since: told.next_batch });
  await ignore();
  const again = await sync(alice, { since: later });
  expect(Object.keys(again.rooms?.invite ?? {})).toHaveLength(1);
  expect(traces((await sync(alice)).rooms?.join).length).toBeGreaterThan(0);
});
