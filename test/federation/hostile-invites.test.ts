/** A server that invites a user into more rooms than there can be. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildEvent } from '#protocol/build-event.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { MAX_OPEN_INVITES } from '#src/federation/inbound/invites.ts';
import { keyOfServer } from '#src/rooms/receive/foreign-room.test-support.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { HostilePeer } from '#test/support/hostile-peer.ts';

const INVITES = 1200;
/** Invites that are on their way at a time, which may go beyond the bound together. */
const PARALLEL = 20;
/** What is told of a room with an invite, and around it. */
const MAX_SHOWN_PER_INVITE = 80 * 1024;

const network = new TestNetwork();
let one: TestServer;
let peer: HostilePeer;
let alice: TestClient;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  peer = await HostilePeer.start('two.test', '11', one.now());
  network.place('two.test', peer.peer.port);
  alice = await one.register('alice');
});
afterAll(async () => {
  await one.close();
  await peer.close();
});

async function invite(index: number): Promise<number> {
  const { rules } = peer.room;
  const roomId = `!flood${index}:two.test`;
  const { pdu, eventId } = buildEvent(
    {
      type: 'm.room.member',
      room_id: roomId,
      sender: '@ann:two.test',
      state_key: alice.userId,
      content: { membership: 'invite', displayname: 'x'.repeat(1000) },
      origin_server_ts: index,
      depth: 1,
      prev_events: [`$${'A'.repeat(43)}`],
      auth_events: [],
    },
    rules,
    'two.test',
    keyOfServer('two.test'),
  );
  const told = Array.from({ length: 30 }, (_, number) => ({
    type: 'm.room.name',
    state_key: String(number),
    sender: '@ann:two.test',
    content: { name: 'y'.repeat(3000) },
  }));
  const path = `/_matrix/federation/v2/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId)}`;
  const content = { event: pdu, room_version: '11', invite_room_state: told } as unknown as JsonObject;
  const { authorization, payload } = peer.request('one.test', 'PUT', path, content);
  const headers = { authorization, 'content-type': 'application/json' };
  const { statusCode } = await one.http.inject({ method: 'PUT', url: path, headers, payload });
  return statusCode;
}

it('is turned away when there are too many, and the user can go on', { timeout: 180_000 }, async () => {
  const statuses = new Map<number, number>();
  for (let index = 0; index < INVITES; index += PARALLEL) {
    const some = await Promise.all(Array.from({ length: PARALLEL }, (_, offset) => invite(index + offset)));
    for (const status of some) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  const sync = await alice.ok('GET', '/sync');
  const invited = Object.keys((sync['rooms'] as unknown as { invite: object }).invite);
  expect(invited.length).toBe(statuses.get(200));
  expect(invited.length).toBeLessThan(MAX_OPEN_INVITES + PARALLEL);
  expect(statuses.get(403)).toBe(INVITES - invited.length);
  expect(JSON.stringify(sync).length).toBeLessThan(invited.length * MAX_SHOWN_PER_INVITE);
  const { room_id: roomId } = await alice.ok('POST', '/createRoom', {});
  const next = await alice.ok('GET', `/sync?since=${sync['next_batch']}`);
  expect((next['rooms'] as unknown as { join: object }).join).toHaveProperty([String(roomId)]);
});
