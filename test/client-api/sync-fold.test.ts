/** A client that has followed sync after sync, some of them lost, knows what one knows that asks for everything now. */

import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { holds } from '#test/support/property.ts';
import { deedsAnd, History, isDeed } from './random-history.ts';
import { type EventAnswer, type RoomAnswer, type SyncAnswer, type SyncParameters, sync } from './sync-client.ts';

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

/** What a client keeps of a room that it is in, or was in. */
class KnownRoom {
  readonly state: Known = new Map();
  readonly accountData: Known = new Map();
  /** By user, type and thread: the event. */
  readonly receipts: Known = new Map();
  timeline: string[] = [];
  summary: Record<string, unknown> = {};
  unread: unknown;

  take(answer: RoomAnswer, isAfter: boolean): void {
    const { timeline } = answer;
    if (timeline.limited) this.timeline = [];
    this.timeline.push(...timeline.events.map(({ event_id }) => event_id));
    if (isAfter) this.#set(answer.state_after?.events ?? []);
    else this.#set([...(answer.state?.events ?? []), ...timeline.events]);
    Object.assign(this.summary, answer.summary);
    for (const { type, content } of answer.account_data?.events ?? [])
      this.accountData.set(type, JSON.stringify(content));
    for (const { type, content } of answer.ephemeral?.events ?? []) if (type === 'm.receipt') this.#read(content);
    if (answer.unread_notifications !== undefined) {
      const { unread_notifications, unread_thread_notifications } = answer as unknown as Record<string, unknown>;
      this.unread = { unread_notifications, unread_thread_notifications };
    }
  }

  #set(events: readonly EventAnswer[]): void {
    for (const { type, state_key, event_id } of events) {
      if (state_key !== undefined) this.state.set(`${type} ${state_key}`, event_id);
    }
  }

  #read(content: Record<string, unknown>): void {
    for (const [eventId, byType] of Object.entries(
      content as Record<string, Record<string, Record<string, { thread_id?: string }>>>,
    ))
      for (const [type, byUser] of Object.entries(byType))
        for (const [userId, { thread_id }] of Object.entries(byUser)) {
          this.receipts.set(`${userId} ${type} ${thread_id}`, eventId);
        }
  }
}

/** A client that takes in what syncs tell, as the specification has it. */
class Follower {
  readonly joined = new Map<string, KnownRoom>();
  readonly left = new Map<string, KnownRoom>();
  readonly invited = new Map<string, string>();
  readonly knocked = new Map<string, string>();
  readonly accountData: Known = new Map();

  take({ account_data, rooms = {} }: SyncAnswer, isAfter: boolean): void {
    for (const { type, content } of account_data?.events ?? []) this.accountData.set(type, JSON.stringify(content));
    const { join = {}, leave = {}, invite = {}, knock = {} } = rooms;
    for (const [roomId, answer] of Object.entries(join)) {
      const room = this.joined.get(roomId) ?? this.left.get(roomId) ?? new KnownRoom();
      room.take(answer, isAfter);
      this.#moveTo(this.joined, roomId, room);
    }
    for (const [roomId, answer] of Object.entries(leave)) {
      const room = this.joined.get(roomId) ?? this.left.get(roomId) ?? new KnownRoom();
      room.take(answer, isAfter);
      this.#moveTo(this.left, roomId, room);
    }
    for (const [roomId, { invite_state }] of Object.entries(invite)) {
      this.#moveTo(this.invited, roomId, JSON.stringify(invite_state));
    }
    for (const [roomId, { knock_state }] of Object.entries(knock)) {
      this.#moveTo(this.knocked, roomId, JSON.stringify(knock_state));
    }
  }

  forget(roomId: string): void {
    this.left.delete(roomId);
  }

  #moveTo<T>(section: Map<string, T>, roomId: string, room: T): void {
    for (const other of [this.joined, this.left, this.invited, this.knocked]) other.delete(roomId);
    section.set(roomId, room);
  }
}

const step = deedsAnd('sync', 'sync', 'sync', 'sync', 'lost', 'check', 'cold', 'full');
const histories = fc.record({
  steps: fc.array(step, { minLength: 10, maxLength: 70 }),
  limit: fc.integer({ min: 1, max: 5 }),
  isAfter: fc.boolean(),
});

it('a client that follows knows what a new one is told', { timeout: 3_600_000 }, async () => {
  await holds(
    histories,
    async ({ steps, limit, isAfter }) => {
      runs += 1;
      watcher = await app.register(`watcher${runs}`);
      actors = [await app.register(`one${runs}`), await app.register(`two${runs}`)];
      const history = await History.begin(app, watcher, actors);
      const follower = new Follower();
      const filter = { room: { timeline: { limit, unread_thread_notifications: true } } };
      const asked: SyncParameters = { filter, use_state_after: isAfter };
      let since: string | undefined;
      const look = async (isFull: boolean): Promise<void> => {
        const answer = await sync(watcher, { ...asked, full_state: isFull, ...(since !== undefined && { since }) });
        since = answer.next_batch;
        follower.take(answer, isAfter);
      };
      for (const one of [...steps, { what: 'check' as const, room: 0, actor: 0, at: 0 }]) {
        if (isDeed(one)) {
          await history.take(one);
        } else if (one.what === 'cold') {
          // As after a restart.
          app.context.push.unread.clear();
        } else if (one.what === 'lost') {
          await sync(watcher, { ...asked, ...(since !== undefined && { since }) });
        } else {
          await look(one.what === 'full');
        }
        if (one.what === 'check') await compare(follower, asked);
      }
    },
    RUNS,
  );
});

async function compare(follower: Follower, asked: SyncParameters): Promise<void> {
  const fresh = new Follower();
  const filter = { room: { include_leave: true, timeline: { limit: 3, unread_thread_notifications: true } } };
  fresh.take(await sync(watcher, { ...asked, filter }), asked.use_state_after === true);
  expect(follower.accountData).toEqual(fresh.accountData);
  expect(follower.invited).toEqual(fresh.invited);
  expect(follower.knocked).toEqual(fresh.knocked);
  expect([...follower.joined.keys()].sort()).toEqual([...fresh.joined.keys()].sort());
  for (const [roomId, room] of fresh.joined) sameRoom(follower.joined.get(roomId), room);
  for (const [roomId, room] of fresh.left) {
    const known = follower.left.get(roomId);
    if (room.state.size > 1 && known !== undefined) expect(known.state).toEqual(room.state);
  }
}

function sameRoom(known: KnownRoom | undefined, fresh: KnownRoom): void {
  if (known === undefined) throw new Error('the room is not known');
  expect(known.state).toEqual(fresh.state);
  // Where it has a name now, its members do not name it, whoever did before.
  expect({ ...known.summary, ...(fresh.summary['m.heroes'] === undefined && { 'm.heroes': undefined }) }).toEqual(
    fresh.summary,
  );
  expect(known.accountData).toEqual(fresh.accountData);
  expect(known.receipts).toEqual(fresh.receipts);
  expect(known.unread).toEqual(fresh.unread);
  const both = Math.min(known.timeline.length, fresh.timeline.length);
  expect(both).toBeGreaterThan(0);
  expect(known.timeline.slice(-both)).toEqual(fresh.timeline.slice(-both));
}
