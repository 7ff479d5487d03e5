/** Whatever happened: a client with any old token learns exactly what it missed, by sync and by paging back through the gap. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { holds } from '#test/support/property.ts';
import { createRoom, type EventAnswer, type RoomAnswer, type SyncAnswer, sayIn, sync } from './sync-client.ts';

const RUNS = 12;

let app: TestApplication;
let watcher: TestClient;
let actors: readonly TestClient[];

beforeEach(async () => {
  app = await startApplication();
  watcher = await app.register('watcher');
  actors = [await app.register('one'), await app.register('two')];
});

afterEach(() => app.close());

const step = fc.record({
  room: fc.nat({ max: 1 }),
  actor: fc.nat({ max: 1 }),
  what: fc.constantFrom('say', 'say', 'say', 'name', 'topic', 'move', 'watcherMoves', 'token'),
});

interface Step {
  readonly room: number;
  readonly actor: number;
  readonly what: string;
}

async function take({ room, actor, what }: Step, rooms: readonly string[]): Promise<void> {
  const roomId = rooms[room] ?? '';
  const client = actors[actor] ?? watcher;
  switch (what) {
    case 'move':
      await move(client, roomId);
      break;
    case 'watcherMoves':
      await move(watcher, roomId);
      break;
    case 'say':
      // Fails where the actor is not in the room just now, which is as good.
      await client.call('PUT', `/rooms/${roomId}/send/m.room.message/${app.now()}`, { body: 'x', msgtype: 'm.text' });
      break;
    default:
      await client.call('PUT', `/rooms/${roomId}/state/m.room.${what}`, { [what]: String(app.now()) });
  }
}

async function move(client: TestClient, roomId: string): Promise<void> {
  const { joined_rooms } = await client.ok('GET', '/joined_rooms');
  const how = (joined_rooms as unknown as string[]).includes(roomId) ? 'leave' : 'join';
  await client.ok('POST', `/rooms/${roomId}/${how}`, {});
}

/** Event ids of a room with their positions, from the log itself. */
async function history(roomId: string): Promise<{ readonly position: number; readonly eventId: string }[]> {
  const found: { position: number; eventId: string }[] = [];
  for await (const batch of app.log.readAll(-1)) {
    for (const record of batch) {
      const read = record.kind === PDU_KIND ? readPduRecord(record) : undefined;
      if (read?.meta.roomId === roomId) found.push({ position: record.position, eventId: read.meta.eventId });
    }
  }
  return found;
}

/** The events before a timeline, back to where the client has been, the oldest first. */
async function gap(roomId: string, { prev_batch }: RoomAnswer['timeline'], since: string): Promise<string[]> {
  const found: string[] = [];
  for (let from: unknown = prev_batch; from !== undefined; ) {
    const query = `dir=b&limit=3&from=${String(from)}&to=${since}`;
    const page = await watcher.ok('GET', `/rooms/${roomId}/messages?${query}`);
    found.push(...(page.chunk as unknown as EventAnswer[]).map(({ event_id }) => event_id));
    from = page.end;
  }
  return found.reverse();
}

type State = Map<string, string>;

function applied(state: State, events: readonly EventAnswer[]): State {
  for (const { type, state_key, event_id } of events) {
    if (state_key !== undefined) state.set(`${type}\0${state_key}`, event_id);
  }
  return state;
}

async function currentState(roomId: string): Promise<State> {
  return applied(new Map(), (await watcher.ok('GET', `/rooms/${roomId}/state`)) as unknown as EventAnswer[]);
}

it('a client that was in its rooms all the time misses nothing and is told nothing twice', async () => {
  const script = fc.array(step, { minLength: 5, maxLength: 40 });
  const limits = fc.integer({ min: 1, max: 6 });
  await holds(
    fc.tuple(script, limits),
    async ([steps, limit]) => {
      const rooms = await Promise.all([1, 2].map(() => createRoom(watcher, openRoom())));
      for (const actor of actors) for (const roomId of rooms) await actor.ok('POST', `/join/${roomId}`);
      const starts = [await sync(watcher, { filter: { room: { timeline: { limit: 1 } } } })];
      const taken = steps.filter(({ what }) => what !== 'watcherMoves');
      for (const one of taken) {
        if (one.what === 'token') starts.push(await sync(watcher, { filter: { room: { timeline: { limit: 1 } } } }));
        else await take(one, rooms);
      }
      for (const start of starts) for (const roomId of rooms) await knowsAll(start, roomId, limit);
    },
    RUNS,
  );
});

async function knowsAll(start: SyncAnswer, roomId: string, limit: number): Promise<void> {
  const since = start.next_batch;
  const known = start.rooms?.join?.[roomId];
  const position = Number(/^s(\d+)_/.exec(since)?.[1]);
  const missed = (await history(roomId)).filter((event) => event.position > position).map(({ eventId }) => eventId);
  const filter = { room: { timeline: { limit }, rooms: [roomId] } };
  for (const use_state_after of [false, true]) {
    const answer = (await sync(watcher, { since, filter, use_state_after })).rooms?.join?.[roomId];
    if (answer === undefined) {
      expect(missed).toEqual([]);
      continue;
    }
    const { timeline } = answer;
    const told = timeline.events.map(({ event_id }) => event_id);
    expect(timeline.limited).toBe(missed.length > limit);
    expect(await gap(roomId, timeline, since)).toEqual(missed.slice(0, -told.length));
    expect(told).toEqual(missed.slice(-limit));
    if (known === undefined) continue;
    const state = applied(new Map(), [...(known.state?.events ?? []), ...known.timeline.events]);
    if (use_state_after) applied(state, answer.state_after?.events ?? []);
    else applied(applied(state, answer.state?.events ?? []), timeline.events);
    expect(state).toEqual(await currentState(roomId));
  }
}

it('a client whose user comes and goes is told everything that it may see, once a chain, and nothing else', async () => {
  const script = fc.array(step, { minLength: 10, maxLength: 40 });
  await holds(
    script,
    async (steps) => {
      const initial_state = [
        { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
      ];
      const rooms = await Promise.all([1, 2].map(() => createRoom(actors[0] ?? watcher, openRoom(initial_state))));
      let since = (await sync(watcher)).next_batch;
      const told = new Map(rooms.map((roomId) => [roomId, [] as string[]]));
      const filter = { room: { timeline: { limit: 100 } } };
      for (const one of [...steps, { room: 0, actor: 0, what: 'token' }]) {
        if (one.what !== 'token') {
          await take(one, rooms);
          continue;
        }
        const answer = await sync(watcher, { since, filter });
        since = answer.next_batch;
        for (const [roomId, events] of told) {
          const room = answer.rooms?.join?.[roomId] ?? answer.rooms?.leave?.[roomId];
          events.push(...(room?.timeline.events ?? []).map(({ event_id }) => event_id));
        }
      }
      for (const [roomId, events] of told) {
        const { early, seen, state } = await seenFromInside(roomId);
        // What was set while they were out, and still stands when they are in again, is part of the state that they may see.
        expect(new Set(events.filter((eventId) => !early.has(eventId) && !state.has(eventId)))).toEqual(seen);
      }
    },
    RUNS,
  );
});

/**
 * The events of a room that came while the watcher was in it, and those that say that they came in or out; and apart from them
 * the early ones, from before its history visibility was set, and the state that was set while they were out.
 */
async function seenFromInside(roomId: string): Promise<Record<'early' | 'seen' | 'state', Set<string>>> {
  const early = new Set<string>();
  const state = new Set<string>();
  const seen = new Set<string>();
  let isIn = false;
  let isEarly = true;
  for await (const batch of app.log.readAll(-1)) {
    for (const record of batch) {
      const read = record.kind === PDU_KIND ? readPduRecord(record) : undefined;
      if (read?.meta.roomId !== roomId) continue;
      const { type, state_key, content } = read.pdu;
      const isOwn = type === 'm.room.member' && state_key === watcher.userId;
      if (isEarly) early.add(read.meta.eventId);
      else if (isOwn || isIn) seen.add(read.meta.eventId);
      else if (state_key !== undefined) state.add(read.meta.eventId);
      if (isOwn) isIn = content.membership === 'join';
      if (type === 'm.room.history_visibility') isEarly = false;
    }
  }
  return { early, seen, state };
}

function openRoom(initial_state: readonly object[] = []): object {
  return { preset: 'public_chat', initial_state, power_level_content_override: { state_default: 0 } };
}

const lazyStep = fc.record({
  actor: fc.nat({ max: 1 }),
  what: fc.constantFrom('say', 'say', 'rename', 'move', 'sync', 'sync', 'lostSync', 'fresh'),
});

it('a client that loads members lazily knows every sender as they are now, whatever answers were lost', async () => {
  const script = fc.array(lazyStep, { minLength: 10, maxLength: 40 });
  await holds(
    fc.tuple(script, fc.integer({ min: 1, max: 4 })),
    async ([steps, limit]) => {
      const roomId = await createRoom(watcher, openRoom());
      for (const actor of actors) await actor.ok('POST', `/join/${roomId}`);
      const filter = { room: { rooms: [roomId], timeline: { limit }, state: { lazy_load_members: true } } };
      let since: string | undefined;
      let known: State = new Map();
      for (const { actor, what } of steps) {
        const client = actors[actor] ?? watcher;
        if (what === 'rename') await rename(client, roomId);
        else if (what === 'say' || what === 'move') await take({ room: 0, actor, what }, [roomId]);
        if (!['sync', 'lostSync', 'fresh'].includes(what)) continue;
        if (what === 'fresh') {
          since = undefined;
          known = new Map();
        }
        const answer = await sync(watcher, { filter, ...(since !== undefined && { since }) });
        if (what === 'lostSync') continue;
        since = answer.next_batch;
        const room = answer.rooms?.join?.[roomId];
        applied(applied(known, room?.state?.events ?? []), room?.timeline.events ?? []);
        const current = await currentState(roomId);
        for (const { sender } of room?.timeline.events ?? []) {
          const key = `m.room.member\0${sender}`;
          expect(known.get(key)).toBe(current.get(key));
        }
      }
    },
    RUNS,
  );
});

async function rename(client: TestClient, roomId: string): Promise<void> {
  // Refused while they are not in the room, which is as good.
  const content = { membership: 'join', displayname: `name ${app.now()}` };
  await client.call('PUT', `/rooms/${roomId}/state/m.room.member/${client.userId}`, content);
}

it('what is sent while a client waits is told once', async () => {
  const roomId = await createRoom(watcher);
  let { next_batch: since } = await sync(watcher);
  const told: string[] = [];
  const sent: string[] = [];
  const sending = (async () => {
    for (let count = 0; count < 60; count += 1) sent.push(await sayIn(watcher, roomId, `message ${count}`));
  })();
  const filter = { room: { timeline: { limit: 100 } } };
  while (told.length < 60) {
    const answer = await sync(watcher, { since, filter, timeout: 30_000 });
    since = answer.next_batch;
    told.push(...(answer.rooms?.join?.[roomId]?.timeline.events ?? []).map(({ event_id }) => event_id));
  }
  await sending;
  expect(told).toEqual(sent);
});
