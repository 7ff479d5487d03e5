/** What happens at the bounds of reading: many events that no filter lets through, many members, tokens of long ago. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { findRoom } from '#projections/rooms/queries.ts';
import { NO_FILTER } from '#src/client-api/filters/filter.ts';
import { SLICE_MS } from '#src/sync/pacer.ts';
import { RecentChanges } from '#src/sync/recent-changes.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sayIn, sync } from './sync-client.ts';

const MANY_EVENTS = 5200;
const AT_ONCE = 400;

let app: TestApplication;
let alice: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
});

afterEach(() => app.close());

async function sendMany(
  roomId: string,
  event: (index: number) => { type: string; stateKey?: string; sender?: string },
) {
  for (let sent = 0; sent < MANY_EVENTS; sent += AT_ONCE) {
    const sending = Array.from({ length: Math.min(AT_ONCE, MANY_EVENTS - sent) }, (_, index) =>
      app.context.rooms.send(roomId, { sender: alice.userId, content: { n: sent + index }, ...event(sent + index) }),
    );
    await Promise.all(sending);
  }
}

it('a filter that lets almost nothing through gets a limited timeline, and the rest by paging on', async () => {
  const roomId = await createRoom(alice);
  const needle = await sayIn(alice, roomId, 'needle');
  await sendMany(roomId, () => ({ type: 'org.example.hay' }));
  const filter = { room: { timeline: { types: ['m.room.message'] } } };
  const room = (await sync(alice, { filter })).rooms?.join?.[roomId];
  expect(room?.timeline).toMatchObject({ events: [], limited: true });
  const found: unknown[] = [];
  let _pages = 0;
  for (let from: unknown = room?.timeline.prev_batch; from !== undefined; _pages += 1) {
    const query = `dir=b&from=${String(from)}&filter=${encodeURIComponent('{"types":["m.room.message"]}')}`;
    const page = await alice.ok('GET', `/rooms/${roomId}/messages?${query}`);
    found.push(...(page.chunk as unknown as { event_id: string }[]).map(({ event_id }) => event_id));
    from = page.end;
  }
  expect(found).toEqual([needle]);
  const all = await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&filter=${encodeURIComponent('{"types":["x"]}')}`);
  expect(all).toMatchObject({ chunk: [], end: expect.any(String) });
});

it('a token of any age works', async () => {
  const roomId = await createRoom(alice, { name: 'Stones' });
  const { next_batch: since } = await sync(alice);
  await sendMany(roomId, (index) => ({ type: 'org.example.state', stateKey: String(index) }));
  const other = await createRoom(alice);
  await sendMany(other, () => ({ type: 'org.example.hay' }));
  const answer = await sync(alice, { since });
  expect(Object.keys(answer.rooms?.join ?? {})).toEqual([roomId, other]);
  const room = answer.rooms?.join?.[roomId];
  expect(room?.timeline.limited).toBe(true);
  expect((room?.state?.events.length ?? 0) + (room?.timeline.events.length ?? 0)).toBe(MANY_EVENTS);
});

it('a room with a long state does not hold the event loop while it is written out', async () => {
  const roomId = await createRoom(alice);
  await sendMany(roomId, (index) => ({ type: 'org.example.state', stateKey: String(index) }));
  const respond = () =>
    app.context.sync.respond({
      viewer: { userId: alice.userId, deviceKey: alice.deviceId },
      filter: NO_FILTER,
      since: undefined,
      isFullState: false,
      stateSection: 'state',
      timeoutMs: 0,
      checkAccess: () => undefined,
      stops: () => [],
    });
  await respond();
  // Time goes by at every look at the clock, so that each slice uses up its turn whatever the machine.
  let nowMs = performance.now();
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    nowMs += SLICE_MS / 2 + 1;
    return nowMs;
  });
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const answer = await respond();
  isOver = true;
  clock.mockRestore();
  expect(answer.length).toBeGreaterThan(MANY_EVENTS * 100);
  // Written out in one go there would be one turn.
  expect(turns).toBeGreaterThan(10);
});

it('what changed is remembered for so many positions, and no more', async () => {
  const roomId = await createRoom(alice);
  const { reader, rooms } = app.context;
  const recent = new RecentChanges(10);
  const room = findRoom(reader, roomId)?.id;
  expect(recent.roomsSince(reader, reader.frontier)).toEqual(new Set());
  expect(recent.keptMemberships(reader, alice.userId, reader.frontier - 2)).toBe(true);
  const start = reader.frontier;
  for (let count = 0; count < 35; count += 1) {
    await rooms.send(roomId, { sender: alice.userId, type: 'org.example', content: {} });
    expect(recent.roomsSince(reader, reader.frontier - 1)).toEqual(new Set([room]));
    expect(recent.roomsSince(reader, reader.frontier)).toEqual(new Set());
  }
  expect(recent.roomsSince(reader, start)).toBeUndefined();
  expect(recent.keptMemberships(reader, alice.userId, start)).toBe(false);
  expect(recent.roomsSince(reader, reader.frontier - 10)).toEqual(new Set([room]));
  await alice.ok('POST', `/rooms/${roomId}/leave`);
  expect(recent.keptMemberships(reader, alice.userId, reader.frontier - 1)).toBe(false);
});
