/** Whatever is said, read, redacted, left and joined again: counts are what one gets by counting anew. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findRoom } from '#projections/rooms/queries.ts';
import { PushProfiles } from '#src/push/push-profiles.ts';
import { type RoomUnread, UnreadCounts } from '#src/push/unread.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { createRoom } from '#test/client-api/sync-client.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { holds } from '#test/support/property.ts';

const RUNS = 25;

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeEach(async () => {
  app = await startApplication({ push: { enabled: false } });
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterEach(() => app.close());

const step = fc.record({
  what: fc.constantFrom(
    ...['say', 'say', 'say', 'mention', 'notice', 'reply', 'reply', 'react', 'own', 'ownReply', 'rename'],
    ...['read', 'readPrivate', 'readMain', 'readThread', 'redact', 'redact', 'rejoin', 'check', 'mute'],
  ),
  at: fc.nat({ max: 30 }),
});

type Step = { readonly what: string; readonly at: number };

interface Said {
  readonly id: string;
  readonly isOwn: boolean;
  readonly thread: string;
  readonly weight: 0 | 1 | 2;
  /** How many relations lead from it to an event that names the thread; undefined for what relates to nothing. */
  readonly hops: number | undefined;
  isRedacted: boolean;
}

/** What happened, and nothing else. */
class Model {
  readonly said: Said[] = [];
  readonly read = new Map<string, number>();
  joinedAt = 0;
  everything = -1;
  isMuted = false;

  say(id: string, isOwn: boolean, weight: 0 | 1 | 2, thread = 'main', hops?: number): void {
    this.said.push({ id, isOwn, weight, thread, hops, isRedacted: false });
  }

  counts(): Record<string, [number, number]> {
    const counts: Record<string, [number, number]> = {};
    for (const [index, { isOwn, isRedacted, thread, weight }] of this.said.entries()) {
      const lastOwn = this.said.findLastIndex((one) => one.isOwn && one.thread === thread);
      const readUpTo = Math.max(this.everything, this.read.get(thread) ?? -1, lastOwn);
      if (index < this.joinedAt || index <= readUpTo || isOwn || isRedacted) continue;
      if (weight === 0 || (this.isMuted && weight === 1)) continue;
      const [notifications, highlights] = counts[thread] ?? [0, 0];
      counts[thread] = [notifications + 1, highlights + Number(weight === 2)];
    }
    return counts;
  }
}

class Run {
  readonly model = new Model();
  readonly room: string;

  constructor(room: string) {
    this.room = room;
  }

  async take({ what, at }: Step): Promise<void> {
    const { model } = this;
    const target = model.said[at % Math.max(model.said.length, 1)];
    switch (what) {
      case 'say':
        return model.say(await this.send(alice, text({})), false, 1);
      case 'mention':
        return model.say(await this.send(alice, text({ 'm.mentions': { user_ids: [bob.userId] } })), false, 2);
      case 'notice':
        return model.say(await this.send(alice, { ...text({}), msgtype: 'm.notice' }), false, 0);
      case 'own':
        return model.say(await this.send(bob, text({})), true, 0);
      case 'rename':
        await bob.ok('PUT', `/profile/${bob.userId}/displayname`, { displayname: `bob ${app.now()}` });
        return;
      case 'reply':
      case 'ownReply':
        if (target === undefined || target.hops !== undefined) return;
        return this.relate(what === 'reply' ? alice : bob, 'm.thread', target.id, target.id, 0);
      case 'react':
        if (target === undefined || target.isRedacted) return;
        return this.refer(target);
      case 'rejoin':
        await bob.ok('POST', `/rooms/${this.room}/leave`);
        await bob.ok('POST', `/join/${this.room}`);
        model.joinedAt = model.said.length;
        return;
      case 'mute':
        model.isMuted = !model.isMuted;
        if (model.isMuted) await bob.ok('PUT', `/pushrules/global/room/${this.room}`, { actions: [] });
        else await bob.ok('DELETE', `/pushrules/global/room/${this.room}`);
        return;
      case 'redact':
        if (target === undefined) return;
        await alice.ok('PUT', `/rooms/${this.room}/redact/${target.id}/${app.now()}`, {});
        target.isRedacted = true;
        return;
      case 'check':
        return this.check();
      default:
        if (target !== undefined) await this.read(what, target, model.said.indexOf(target));
    }
  }

  async refer({ id, thread, hops = 0 }: Said): Promise<void> {
    // Three relations are followed, no more.
    await this.relate(alice, 'm.reference', id, hops < 3 ? thread : 'main', hops + 1);
  }

  async relate(by: TestClient, rel_type: string, event_id: string, thread: string, hops: number): Promise<void> {
    const id = await this.send(by, text({ 'm.relates_to': { rel_type, event_id } }));
    this.model.say(id, by === bob, 1, thread, hops);
  }

  async read(what: string, { id, thread }: Said, index: number): Promise<void> {
    const { model } = this;
    const isThreaded = what === 'readMain' || what === 'readThread';
    const thread_id = what === 'readMain' ? 'main' : thread;
    const type = what === 'readPrivate' ? 'm.read.private' : 'm.read';
    const at = `/rooms/${this.room}/receipt/${type}/${encodeURIComponent(id)}`;
    // Refused for a thread that the event is not in, which is as good.
    if ((await bob.call('POST', at, isThreaded ? { thread_id } : {})).status !== 200) return;
    if (!isThreaded) model.everything = Math.max(model.everything, index);
    else model.read.set(thread_id, Math.max(model.read.get(thread_id) ?? -1, index));
  }

  async send(by: TestClient, content: object): Promise<string> {
    const at = `/rooms/${this.room}/send/m.room.message/${app.now()}`;
    return String((await by.ok('PUT', at, content)).event_id);
  }

  /** By the counts that go on, and by ones that begin now. */
  async check(): Promise<void> {
    const { reader, push } = app.context;
    const room = findRoom(reader, this.room);
    if (room === undefined) throw new Error('there is no room');
    const expected = this.model.counts();
    for (const counts of [push.unread, new UnreadCounts(new PushProfiles())]) {
      expect(flat(await counts.of(reader, room, bob.userId, sharedPacer))).toEqual(expected);
    }
  }
}

function text(more: object): object {
  return { msgtype: 'm.text', body: 'x', 'm.mentions': {}, ...more };
}

function flat({ main, threads, total }: RoomUnread): Record<string, [number, number]> {
  const counts: Record<string, [number, number]> = {};
  for (const [thread, { notifications, highlights }] of [['main', main] as const, ...threads]) {
    if (notifications > 0) counts[thread] = [notifications, highlights];
  }
  const sum = Object.values(counts).reduce((all, [notifications]) => all + notifications, 0);
  expect(total.notifications).toBe(sum);
  return counts;
}

it('are right after any history', { timeout: 120_000 }, async () => {
  await holds(
    fc.array(step, { minLength: 5, maxLength: 60 }),
    async (steps) => {
      const room = await createRoom(alice, { preset: 'public_chat' });
      await bob.ok('POST', `/join/${room}`);
      const run = new Run(room);
      for (const one of steps) await run.take(one);
      await run.check();
    },
    RUNS,
  );
});

it('are right in the middle of concurrent sends and receipts', { timeout: 60_000 }, async () => {
  const room = await createRoom(alice, { preset: 'public_chat' });
  await bob.ok('POST', `/join/${room}`);
  const run = new Run(room);
  const { reader, push } = app.context;
  const stored = findRoom(reader, room);
  if (stored === undefined) throw new Error('there is no room');
  const ids: string[] = [];
  const saying = (async () => {
    for (let count = 0; count < 120; count += 1) ids.push(await run.send(alice, text({})));
  })();
  const reading = (async () => {
    while (ids.length < 100) {
      const last = ids.at(-1);
      if (last !== undefined) await bob.ok('POST', `/rooms/${room}/receipt/m.read/${last}`, {});
      await push.unread.of(reader, stored, bob.userId, sharedPacer);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await Promise.all([saying, reading]);
  const warm = await push.unread.of(reader, stored, bob.userId, sharedPacer);
  const cold = await new UnreadCounts(new PushProfiles()).of(reader, stored, bob.userId, sharedPacer);
  expect(warm.total).toEqual(cold.total);
  expect(warm.total.notifications).toBeLessThan(120);
  expect(warm.total.notifications).toBeGreaterThan(0);
});
