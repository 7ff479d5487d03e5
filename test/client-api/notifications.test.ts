/** What users have been notified of. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sayIn } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let rooms: string[];

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  rooms = [];
  for (let made = 0; made < 3; made += 1) {
    const room = await createRoom(alice, { preset: 'public_chat' });
    await sayIn(alice, room, 'before bob');
    await bob.ok('POST', `/join/${room}`);
    rooms.push(room);
  }
});

afterAll(() => app.close());

interface Notification {
  readonly event: { readonly event_id: string; readonly room_id?: string };
  readonly read: boolean;
  readonly room_id: string;
  readonly ts: number;
  readonly actions: readonly unknown[];
}

async function page(by: TestClient, query = ''): Promise<{ list: Notification[]; next: string | undefined }> {
  const { notifications, next_token } = await by.ok('GET', `/notifications${query}`);
  return { list: notifications as unknown as Notification[], next: next_token as string | undefined };
}

it('are listed over all rooms, the newest first, page by page', async () => {
  expect((await page(bob)).list).toEqual([]);
  const sent: string[] = [];
  for (let count = 0; count < 40; count += 1) sent.push(await sayIn(alice, rooms[count % 3] ?? '', `message ${count}`));
  await sayIn(bob, rooms[0] ?? '', 'not mine');
  const found: string[] = [];
  let query = '?limit=7';
  for (let pages = 0; pages < 10; pages += 1) {
    const { list, next } = await page(bob, query);
    found.push(...list.map(({ event }) => event.event_id));
    if (next === undefined) break;
    query = `?limit=7&from=${next}`;
  }
  expect(found).toEqual(sent.toReversed());
});

it('say what was done, and whether it has been read', async () => {
  const first = await sayIn(alice, rooms[1] ?? '', 'Bob, look');
  const second = await sayIn(alice, rooms[1] ?? '', 'and this');
  await bob.ok('POST', `/rooms/${rooms[1]}/receipt/m.read/${first}`);
  const { list } = await page(bob, '?limit=2');
  expect(list).toMatchObject([
    { event: { event_id: second }, read: false, room_id: rooms[1], ts: expect.any(Number), actions: ['notify', {}] },
    { event: { event_id: first }, read: true, actions: ['notify', {}, { set_tweak: 'highlight' }] },
  ]);
  expect(list[0]?.event.room_id).toBeUndefined();
  const highlights = await page(bob, '?only=highlight');
  expect(highlights.list.map(({ event }) => event.event_id)).toEqual([first]);
});

it('tell of invitations, not of what was redacted, ignored or silenced', async () => {
  const carol = await app.register('carol');
  const hidden = await createRoom(alice, { invite: [carol.userId] });
  await sayIn(alice, hidden, 'nothing for carol yet');
  expect((await page(carol)).list).toMatchObject([{ room_id: hidden, event: { type: 'm.room.member' }, read: false }]);
  const dave = await app.register('dave');
  await dave.ok('POST', `/join/${rooms[2]}`);
  const gone = await sayIn(alice, rooms[2] ?? '', 'gone');
  await alice.ok('PUT', `/rooms/${rooms[2]}/redact/${gone}/x`, {});
  expect((await page(dave)).list).toEqual([]);
  const kept = await sayIn(alice, rooms[2] ?? '', 'kept');
  expect((await page(dave)).list.map(({ event }) => event.event_id)).toEqual([kept]);
  await dave.ok('PUT', `/pushrules/global/room/${rooms[2]}`, { actions: [] });
  expect((await page(dave)).list).toEqual([]);
});

it.each(['?from=nonsense', '?limit=0', '?limit=many'])('are not listed for %s', async (query) => {
  expect(await bob.call('GET', `/notifications${query}`)).toMatchObject({
    status: 400,
    body: { errcode: 'M_INVALID_PARAM' },
  });
});
