/** A room that shuts a server out: at every request that has to do with the room, and for what is in no history. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findRoom, stateContent } from '#projections/rooms/queries.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { federationPath } from '#src/federation/client.ts';
import { FederationError } from '#src/federation/errors.ts';
import type { TestClient } from '#test/support/application.ts';
import type { TestServer } from '#test/support/federation.ts';
import { sendEdusAs, TwoServers } from './two-in-a-room.ts';

let servers: TwoServers;
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
let eventId: string;

beforeAll(async () => {
  servers = await TwoServers.start();
  ({ one, two } = servers);
  ({ alice, bob, roomId } = await servers.meet());
  const said = await alice.ok('PUT', at('/send/m.room.message/1'), { msgtype: 'm.text', body: 'x' });
  eventId = String(said['event_id']);
  const acl = { allow: ['*'], deny: ['TWO.*'], allow_ip_literals: false };
  await alice.ok('PUT', at('/state/m.room.server_acl'), acl);
  const room = findRoom(one.context.reader, roomId) ?? expect.fail();
  await vi.waitUntil(() => stateContent(one.context.reader, room.id, 'm.room.server_acl') !== undefined, {
    timeout: 30_000,
  });
});
afterAll(() => servers.close());

const at = (rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;

const member = (membership: string, sender: string, stateKey = sender): JsonObject => ({
  type: 'm.room.member',
  room_id: roomId,
  sender,
  state_key: stateKey,
  content: { membership },
  origin_server_ts: 1,
  depth: 1,
  prev_events: [],
  auth_events: [],
  hashes: { sha256: 'x' },
});

type Asking = [method: 'GET' | 'PUT' | 'POST', path: () => string, content?: () => JsonObject];
const query = (): string => `?event_id=${encodeURIComponent(eventId)}`;

/** What the specification has protected, and what else is about a room. */
const PROTECTED: readonly Asking[] = [
  ['GET', () => `${federationPath`/_matrix/federation/v1/make_join/${roomId}/${'@new:two.test'}`}?ver=11&ver=12`],
  ['GET', () => federationPath`/_matrix/federation/v1/make_leave/${roomId}/${bob.userId}`],
  ['GET', () => `${federationPath`/_matrix/federation/v1/make_knock/${roomId}/${'@new:two.test'}`}?ver=11&ver=12`],
  ...(['v1', 'v2'] as const).flatMap((version): Asking[] => [
    [
      'PUT',
      () => federationPath`/_matrix/federation/${version}/send_join/${roomId}/${'$a'}`,
      () => member('join', '@new:two.test'),
    ],
    [
      'PUT',
      () => federationPath`/_matrix/federation/${version}/send_leave/${roomId}/${'$a'}`,
      () => member('leave', bob.userId),
    ],
  ]),
  [
    'PUT',
    () => federationPath`/_matrix/federation/v1/send_knock/${roomId}/${'$a'}`,
    () => member('knock', '@new:two.test'),
  ],
  [
    'PUT',
    () => federationPath`/_matrix/federation/v1/invite/${roomId}/${'$a'}`,
    () => member('invite', bob.userId, alice.userId),
  ],
  [
    'PUT',
    () => federationPath`/_matrix/federation/v2/invite/${roomId}/${'$a'}`,
    () => ({ event: member('invite', bob.userId, alice.userId), room_version: '12', invite_room_state: [] }),
  ],
  ['GET', () => federationPath`/_matrix/federation/v1/state/${roomId}` + query()],
  ['GET', () => federationPath`/_matrix/federation/v1/state_ids/${roomId}` + query()],
  [
    'GET',
    () => `${federationPath`/_matrix/federation/v1/backfill/${roomId}`}?limit=5&v=${encodeURIComponent(eventId)}`,
  ],
  ['GET', () => federationPath`/_matrix/federation/v1/event_auth/${roomId}/${eventId}`],
  [
    'POST',
    () => federationPath`/_matrix/federation/v1/get_missing_events/${roomId}`,
    () => ({ earliest_events: [], latest_events: [eventId] }),
  ],
  ['GET', () => federationPath`/_matrix/federation/v1/event/${eventId}`],
  ['GET', () => `${federationPath`/_matrix/federation/v1/timestamp_to_event/${roomId}`}?ts=0&dir=f`],
  [
    'PUT',
    () => federationPath`/_matrix/federation/v1/exchange_third_party_invite/${roomId}`,
    () => ({
      ...member('invite', alice.userId, bob.userId),
      content: { membership: 'invite', third_party_invite: { signed: {} } },
    }),
  ],
];

describe('nothing is answered to', () => {
  it.each(
    PROTECTED.map((asking) => [`${asking[0]} ${asking[1].toString().replace(/^[^`]*`|`.*$/gs, '')}`, asking] as const),
  )('%s', async (_name, [method, path, content]) => {
    const asked = two.context.federation.client.request({
      destination: 'one.test',
      method,
      path: path(),
      ...(content && { content: content() }),
    });
    const error = await asked.then(
      () => 'an answer',
      (reason: unknown) => (reason instanceof FederationError ? `${reason.status} ${reason.errcode}` : reason),
    );
    expect(error).toBe('403 M_FORBIDDEN');
  });
});

it('each of its events is refused by itself', async () => {
  const { rooms } = two.context;
  const event = { sender: bob.userId, type: 'm.room.message', content: { body: 'x' } };
  const { pdu } = rooms.sign(rooms.draft(roomId, event), rooms.rules(roomId));
  const answer = await two.context.federation.client.request({
    destination: 'one.test',
    method: 'PUT',
    path: '/_matrix/federation/v1/send/acl1',
    content: { origin: 'two.test', origin_server_ts: 1, pdus: [pdu] },
  });
  expect(Object.values(answer['pdus'] as JsonObject)).toEqual([{ error: expect.stringMatching(/access list/) }]);
});

it('who types and reads there is passed over, and other rooms are not', async () => {
  const other = await servers.meet();
  const seen = await other.alice.ok('PUT', `/rooms/${encodeURIComponent(other.roomId)}/send/m.room.message/1`, {
    msgtype: 'm.text',
    body: 'x',
  });
  const read = (userId: string, event: string): JsonObject => ({
    'm.read': { [userId]: { event_ids: [event], data: { ts: 1 } } },
  });
  const before = one.log.head();
  await sendEdusAs(
    two,
    'one.test',
    ['m.typing', { room_id: roomId, user_id: bob.userId, typing: true }],
    ['m.receipt', { [roomId]: read(bob.userId, eventId) }],
  );
  expect([one.context.typing.usersIn(roomId), one.log.head()]).toEqual([[], before]);
  await sendEdusAs(two, 'one.test', [
    'm.receipt',
    { [roomId]: read(bob.userId, eventId), [other.roomId]: read(other.bob.userId, String(seen['event_id'])) },
  ]);
  expect(one.log.head()).toBe(before + 1);
});
