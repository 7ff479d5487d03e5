/** More of everything than makes sense, from a server that signs it: what it costs is bounded, and nothing of it is kept. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '#protocol/pdu.ts';
import { authorize } from '#src/federation/signed-request.ts';
import type { TestClient } from '#test/support/application.ts';
import type { TestServer } from '#test/support/federation.ts';
import { sendEdusAs, TwoServers } from './two-in-a-room.ts';

let servers: TwoServers;
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
let serial = 0;

beforeAll(async () => {
  servers = await TwoServers.start();
  ({ one, two } = servers);
  ({ alice, bob, roomId } = await servers.meet());
});
afterAll(() => servers.close());

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
const LONG = 'x'.repeat(300_000);

type Edu = [type: string, content: JsonObject];

it.each<[string, () => Edu[]]>([
  [
    'who types in ten thousand rooms that are not here',
    () => many(100, (index): Edu => ['m.typing', { room_id: `!${index}:two.test`, user_id: bob.userId, typing: true }]),
  ],
  [
    'who types in a room with a name of a million characters',
    () => [['m.typing', { room_id: `!${LONG}:two.test`, user_id: bob.userId, typing: true }]],
  ],
  [
    'ten thousand receipts of people who are not there, of long names, in rooms that are not here',
    () => [
      [
        'm.receipt',
        {
          [roomId]: {
            'm.read': Object.fromEntries(
              many(10_000, (index) => [`@u${index}:two.test`, { event_ids: ['$e'], data: { ts: 1 } }]),
            ),
          },
        },
      ],
      ['m.receipt', { [roomId]: { 'm.read': { [bob.userId]: { event_ids: [`$${LONG}`], data: { ts: 1 } } } } }],
      [
        'm.receipt',
        { [roomId]: { 'm.read': { [bob.userId]: { event_ids: ['$e'], data: { ts: 1, thread_id: LONG } } } } },
      ],
      ['m.receipt', { [roomId]: { 'm.read': { [`@${LONG}:two.test`]: { event_ids: ['$e'], data: { ts: 1 } } } } }],
      ['m.receipt', Object.fromEntries(many(5000, (index) => [`!${index}:two.test`, { 'm.read': {} }]))],
    ],
  ],
  [
    'where fifty thousand people are whom nobody knows',
    () =>
      many(
        100,
        (round): Edu => [
          'm.presence',
          { push: many(500, (index) => ({ user_id: `@p${round}_${index}:two.test`, presence: 'online' })) },
        ],
      ),
  ],
  [
    'devices with names of a million characters, of strangers and of none',
    () => [
      ['m.device_list_update', { user_id: bob.userId, device_id: LONG, stream_id: 5, prev_id: [] }],
      ['m.device_list_update', { user_id: '@stranger:two.test', device_id: 'D', stream_id: 5, prev_id: [] }],
      ['m.device_list_update', { user_id: alice.userId, device_id: 'D', stream_id: 5, prev_id: [] }],
      ['m.device_list_update', { user_id: bob.userId, device_id: 'D', stream_id: '5', prev_id: [] }],
      ['m.signing_key_update', { user_id: '@stranger:two.test', master_key: { keys: { a: LONG } } }],
    ],
  ],
  [
    'messages for people who are not here, and for too many',
    () => [
      ...[50, 1001].map(
        (count): Edu => [
          'm.direct_to_device',
          {
            sender: bob.userId,
            type: 'm.x',
            message_id: `m${count}`,
            messages: Object.fromEntries(many(count, (index) => [`@nobody${index}:one.test`, { '*': {} }])),
          },
        ],
      ),
      [
        'm.direct_to_device',
        { sender: bob.userId, type: LONG, message_id: 'a', messages: { [alice.userId]: { '*': {} } } },
      ],
      [
        'm.direct_to_device',
        { sender: bob.userId, type: 'x', message_id: LONG, messages: { [alice.userId]: { '*': {} } } },
      ],
      [
        'm.direct_to_device',
        { sender: bob.userId, type: 'x', message_id: 'b', messages: { [alice.userId]: { NONE: {} } } },
      ],
    ],
  ],
])('of %s nothing is kept', async (_what, edus) => {
  const before = [one.log.head(), one.context.presence.size, one.context.typing.usersIn(roomId)];
  await sendEdusAs(two, 'one.test', ...edus());
  expect([one.log.head(), one.context.presence.size, one.context.typing.usersIn(roomId)]).toEqual(before);
});

async function put(payload: string | Buffer, headers: Record<string, string> = {}) {
  serial += 1;
  const url = `/_matrix/federation/v1/send/flood${serial}`;
  const parts = { method: 'PUT', uri: url, origin: 'two.test', destination: 'one.test', content: payload.toString() };
  const { statusCode, body } = await one.http.inject({
    method: 'PUT',
    url,
    headers: { ...headers, authorization: authorize(parts, two.signingKey) },
    payload,
  });
  return { status: statusCode, body: JSON.parse(body) as JsonObject };
}

it.each<[string, () => string | Buffer, string]>([
  ['compressed', () => gzipSync(`{"pdus":[${'[],'.repeat(30_000_000)}1]}`), 'M_NOT_JSON'],
  ['nested too deep', () => `{"pdus":${'['.repeat(5000)}${']'.repeat(5000)}}`, 'M_BAD_JSON'],
  ['no object', () => '[]', 'M_BAD_JSON'],
  ['no UTF-8', () => Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'M_NOT_JSON'],
])('a transaction that is %s is none', async (_what, payload, errcode) => {
  expect(await put(payload(), { 'content-encoding': 'gzip' })).toMatchObject({ status: 400, body: { errcode } });
});

it('events of rooms that are not here, or have no room, are not taken in', async () => {
  const { rooms } = two.context;
  const made = await bob.ok('POST', '/createRoom', {});
  const elsewhere = String(made['room_id']);
  const event = { sender: bob.userId, type: 'm.room.message', content: { body: 'x' } };
  const { pdu, eventId } = rooms.sign(rooms.draft(elsewhere, event), rooms.rules(elsewhere));
  const before = one.log.head();
  const strange = [pdu, { ...pdu, room_id: 5 }, { ...pdu, room_id: `!${LONG}` }, null, [], 'x', { room_id: roomId }];
  const { status, body } = await put(JSON.stringify({ pdus: strange }));
  expect(status).toBe(200);
  expect((body['pdus'] as JsonObject)[eventId]).toEqual({ error: 'This server is not in the room.' });
  expect(one.log.head()).toBe(before);
});
