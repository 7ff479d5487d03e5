/** A client that has followed a sliding sync, whatever its windows and lost answers, knows what one knows that begins now. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { holds } from '#test/support/property.ts';
import { deedsAnd, History, isDeed } from './random-history.ts';
import { type SlidingAnswer, type SlidingRoom, slide, slidingCall } from './sliding-sync-client.ts';
import type { EventAnswer } from './sync-client.ts';

const RUNS = 25;

let app: TestApplication;
let watcher: TestClient;
let actors: readonly TestClient[];
let runs = 0;

beforeEach(async () => {
  app = await startApplication({ push: { enabled: false } });
});

afterEach(() => app.close());

type Known = Map<string, string>;

const FACTS = ['name', 'avatar', 'heroes', 'is_dm', 'membership', 'bump_stamp', 'invite_state', 'knock_state'] as const;
const COUNTS = ['joined_count', 'invited_count', 'notification_count', 'highlight_count'] as const;

class KnownRoom {
  state: Known = new Map();
  timeline: string[] = [];
  facts: Record<string, unknown> = {};

  take(answer: SlidingRoom): void {
    if (answer.initial === true) {
      this.state = new Map();
      this.timeline = [];
      this.facts = {};
    }
    if (answer.limited === true) this.timeline = [];
    for (const { event_id } of answer.timeline ?? [])
      if (!this.timeline.includes(event_id)) this.timeline.push(event_id);
    for (const { type, state_key, event_id } of answer.required_state ?? []) {
      const key = `${type} ${state_key}`;
      if (event_id === undefined) this.state.delete(key);
      else this.state.set(key, event_id);
    }
    for (const name of [...FACTS, ...COUNTS]) {
      const value = answer[name];
      if (value === null) delete this.facts[name];
      else if (value !== undefined) this.facts[name] = value;
    }
    // Of a room that the user is not in nothing is counted.
    if (this.facts['membership'] !== 'join') for (const name of COUNTS) delete this.facts[name];
    // Only a room without a name has heroes.
    if (this.facts['name'] !== undefined) delete this.facts['heroes'];
    if (this.facts['is_dm'] === false) delete this.facts['is_dm'];
  }
}

/** A client that takes in what answers tell. */
class Follower {
  readonly rooms = new Map<string, KnownRoom>();
  readonly globalData: Known = new Map();
  readonly roomData: Known = new Map();
  /** By room, user, type and thread: the event. */
  readonly receipts: Known = new Map();
  counts: Record<string, unknown> = {};
  pos: string | undefined;

  take(answer: SlidingAnswer): void {
    this.pos = answer.pos;
    this.counts = answer.lists;
    for (const [roomId, room] of Object.entries(answer.rooms)) {
      const known = this.rooms.get(roomId) ?? new KnownRoom();
      known.take(room);
      this.rooms.set(roomId, known);
    }
    const { account_data, receipts } = answer.extensions;
    for (const { type, content } of account_data?.global ?? []) this.globalData.set(type, JSON.stringify(content));
    for (const [roomId, events] of Object.entries(account_data?.rooms ?? {}))
      for (const { type, content } of events) this.roomData.set(`${roomId} ${type}`, JSON.stringify(content));
    for (const [roomId, { content }] of Object.entries(receipts?.rooms ?? {})) this.#read(roomId, content as Receipts);
  }

  #read(roomId: string, content: Receipts): void {
    for (const [eventId, byType] of Object.entries(content))
      for (const [type, byUser] of Object.entries(byType))
        for (const [userId, { thread_id }] of Object.entries(byUser)) {
          this.receipts.set(`${roomId} ${userId} ${type} ${thread_id}`, eventId);
        }
  }
}

type Receipts = Record<string, Record<string, Record<string, { readonly thread_id?: string }>>>;

const EXTENSIONS = { account_data: { enabled: true }, receipts: { enabled: true }, typing: { enabled: true } };

const REQUIRED = {
  little: [['m.room.create', '']],
  members: [['m.room.member', '*']],
  me: [
    ['m.room.member', '$ME'],
    ['m.room.topic', ''],
  ],
  all: [['*', '*']],
};

/** What a client asks for between deeds. */
const windows = fc.record({
  first: fc.nat({ max: 1 }),
  last: fc.nat({ max: 1 }),
  limit: fc.integer({ min: 0, max: 4 }),
  required: fc.constantFrom(...(Object.keys(REQUIRED) as (keyof typeof REQUIRED)[])),
  isSubscribed: fc.boolean(),
});

type Window = typeof windows extends fc.Arbitrary<infer W> ? W : never;

const steps = fc.array(
  fc.record({
    step: deedsAnd('sync', 'sync', 'sync', 'lost', 'lost', 'check', 'turn', 'turn', 'widen', 'cold'),
    window: windows,
  }),
  { minLength: 10, maxLength: 70 },
);

const EVERYTHING = {
  lists: { all: { ranges: [[0, 99]], timeline_limit: 3, required_state: REQUIRED.all } },
  extensions: EXTENSIONS,
};

function bodyOf({ first, last, limit, required, isSubscribed }: Window, roomId: string): object {
  const rule = { timeline_limit: limit, required_state: REQUIRED[required] };
  return {
    lists: { all: { ranges: [[first, Math.max(first, last)]], ...rule } },
    extensions: EXTENSIONS,
    ...(isSubscribed && { room_subscriptions: { [roomId]: rule } }),
  };
}

it('a client that follows knows what a new one is told', { timeout: 3_600_000 }, async () => {
  await holds(
    steps,
    async (history) => {
      runs += 1;
      watcher = await app.register(`watcher${runs}`);
      actors = [await app.register(`one${runs}`), await app.register(`two${runs}`)];
      const world = await History.begin(app, watcher, actors);
      const follower = new Follower();
      let body: object = EVERYTHING;
      for (const { step, window } of history) {
        if (isDeed(step)) {
          await world.take(step);
          continue;
        }
        if (step.what === 'widen') body = EVERYTHING;
        // As after a restart.
        if (step.what === 'cold') app.context.push.unread.clear();
        if (step.what === 'turn') body = bodyOf(window, world.rooms[step.room] ?? '');
        if (step.what !== 'lost') await look(follower, body);
        else await slidingCall(watcher, body, follower.pos === undefined ? {} : { pos: follower.pos });
        if (step.what === 'check') await compare(follower, world);
      }
      await compare(follower, world);
    },
    RUNS,
  );
});

async function look(follower: Follower, body: object): Promise<void> {
  follower.take(await slide(watcher, body, follower.pos === undefined ? {} : { pos: follower.pos }));
}

/** Asks for all there is on the connection that was followed, and on a new one. */
async function compare(follower: Follower, world: History): Promise<void> {
  await look(follower, EVERYTHING);
  const fresh = new Follower();
  fresh.take(await slide(watcher, { ...EVERYTHING, conn_id: 'fresh' }));
  expect(follower.globalData).toEqual(fresh.globalData);
  for (const roomId of world.rooms) {
    const known = follower.rooms.get(roomId);
    const room = fresh.rooms.get(roomId);
    if (room === undefined) continue;
    if (known === undefined) throw new Error('the room is not known');
    expect(known.facts).toEqual(room.facts);
    if (room.facts['membership'] !== 'join') continue;
    expect(known.state).toEqual(room.state);
    expect(known.state).toEqual(await currentState(roomId));
    const both = Math.min(known.timeline.length, room.timeline.length);
    expect(known.timeline.slice(-both)).toEqual(room.timeline.slice(-both));
    expect(ofRoom(follower.roomData, roomId)).toEqual(ofRoom(fresh.roomData, roomId));
    const receipts = ofRoom(follower.receipts, roomId);
    for (const [key, eventId] of ofRoom(fresh.receipts, roomId)) expect(receipts.get(key)).toBe(eventId);
  }
}

function ofRoom(known: Known, roomId: string): Known {
  return new Map([...known].filter(([key]) => key.startsWith(roomId)));
}

async function currentState(roomId: string): Promise<Known> {
  const events = (await watcher.ok('GET', `/rooms/${roomId}/state`)) as unknown as EventAnswer[];
  return new Map(events.map(({ type, state_key, event_id }) => [`${type} ${state_key}`, event_id]));
}
