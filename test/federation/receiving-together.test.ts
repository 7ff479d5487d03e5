/** Transactions of several servers that come at the same moment: others are not kept waiting for all of their events. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { receivingFrom } from '#src/bus/work.ts';
import { Transactions } from '#src/federation/inbound/transactions.ts';
import { silentLog } from '#src/log/logger.ts';
import { TwoServers } from './two-in-a-room.ts';

const ROOMS = 4;
const EVENTS = 50;
/** What each event takes, without a pause. */
const EVENT_MS = 1;
/** So that no slice of the event loop has all events of even one transaction. */
const LEAST_TURNS = 10;

let servers: TwoServers;
beforeEach(async () => {
  servers = await TwoServers.start();
});
afterEach(() => servers.close());

it('the event loop turns while they are taken in, and each room has its events in order', async () => {
  const { bus, reader, serverName, federation } = servers.one.context;
  const rooms: string[] = [];
  for (let room = 0; room < ROOMS; room += 1) rooms.push((await servers.meet()).roomId);
  const taken = new Map<string, unknown[]>();
  const transactions = new Transactions({
    reader,
    bus,
    serverName,
    receiver: {
      enqueue: async ({ roomId }, _origin, event) => {
        for (const endMs = performance.now() + EVENT_MS; performance.now() < endMs; );
        taken.set(roomId, [...(taken.get(roomId) ?? []), event['depth']]);
        return { verdict: { kind: 'accept' } };
      },
      receiveOutOfBand: () => expect.fail('both servers are in the rooms'),
    },
    edus: new Map(),
    counts: federation.counts,
    logger: silentLog(),
  });
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const depths = Array.from({ length: EVENTS }, (_, depth) => depth);
  await Promise.all(
    rooms.map((roomId, index) => {
      const events = depths.map((depth) => ({ room_id: roomId, type: 'm.room.message', depth }));
      return transactions.receive('two.test', `${index}`, events, []);
    }),
  );
  isDone = true;
  expect(turns).toBeGreaterThan(LEAST_TURNS);
  expect(rooms.map((roomId) => taken.get(roomId))).toEqual(rooms.map(() => depths));
});

it('events of one room from one server are taken in by one node after the other', async () => {
  const { bus, reader, serverName, federation } = servers.one.context;
  const enqueue = vi.fn(async () => ({ verdict: { kind: 'accept' as const } }));
  const here = new Transactions({
    reader,
    bus,
    serverName,
    receiver: {
      enqueue,
      receiveOutOfBand: () => Promise.reject(new Error('nobody was put out')),
    },
    edus: new Map(),
    counts: federation.counts,
    logger: silentLog(),
  });
  const { roomId } = await servers.meet();
  const event = { room_id: roomId, type: 'm.room.message' };
  // Of this server nothing else comes.
  const elsewhere = await bus.claim(receivingFrom('three.test', roomId));
  const answered = here.receive('three.test', 'txn', [event], []);
  await here.receive('three.test', 'other', [{ ...event, room_id: '!other:three.test' }], []);
  expect(enqueue).not.toHaveBeenCalled();
  elsewhere?.release();
  await answered;
  expect(enqueue).toHaveBeenCalledOnce();
});
