/** How fast clients are told what is new: nothing at all, or everything for a first sync of 100 rooms. */
import { Connection, jsonRequest, load, quantiles } from './load.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, type BenchUser, startBareFastify, startServer } from './server.ts';

const ROOMS = 100;
const MESSAGES_PER_ROOM = 20;
const POLLERS = 8;
const DURATION_MS = 6_000;
const FIRST_SYNCS = 20;
/** Rooms that are made at once. */
const AT_ONCE = 10;

/** Syncs that find nothing new, beside a bare Fastify that answers at once; and first syncs, beside the same with their bytes. */
export async function runSyncBench(): Promise<BenchResult[]> {
  const bare = await startBareFastify();
  const ceiling = await load({
    ...bare,
    senders: POLLERS,
    durationMs: DURATION_MS / 2,
    request: () => jsonRequest('PUT', '/_matrix/client/v3/rooms/!room/send/m.room.message/1', 'token', '{}'),
  });
  await bare.stop();
  const server = await startServer();
  try {
    const user = await userInRooms(server);
    return [await nothingNew(server, user, ceiling.perSecond), await firstSyncs(server, user)];
  } finally {
    await server.stop();
  }
}

async function userInRooms(server: BenchServer): Promise<BenchUser> {
  const user = await server.register('reader');
  const body = { msgtype: 'm.text', body: 'x'.repeat(160) };
  for (let made = 0; made < ROOMS; made += AT_ONCE) {
    const rooms = Array.from({ length: AT_ONCE }, async (_, index) => {
      const room = await user.createRoom({ preset: 'public_chat', name: `Room ${made + index}` });
      for (let message = 0; message < MESSAGES_PER_ROOM; message++) {
        await user.call('PUT', `/rooms/${encodeURIComponent(room)}/send/m.room.message/m${message}`, body);
      }
    });
    await Promise.all(rooms);
  }
  return user;
}

async function nothingNew(server: BenchServer, user: BenchUser, bare: number): Promise<BenchResult> {
  const { next_batch: since } = await user.call('GET', '/sync');
  // Something has happened since, though not to this user.
  const other = await server.register('other');
  await other.createRoom({});
  const request = jsonRequest('GET', `/_matrix/client/v3/sync?since=${String(since)}&timeout=0`, user.token, '');
  const result = await load({ ...server, senders: POLLERS, durationMs: DURATION_MS, request: () => request });
  return {
    name: `sync with nothing new, ${ROOMS} rooms`,
    figure: result.perSecond,
    unit: 'syncs/s',
    ceiling: bare,
    ceilingName: 'bare Fastify PUT',
    ratio: result.perSecond / bare,
    details: { 'p50 ms': round(result.p50Ms), 'p99 ms': round(result.p99Ms) },
  };
}

async function firstSyncs(server: BenchServer, user: BenchUser): Promise<BenchResult> {
  const connection = await Connection.open(server.host, server.port);
  const request = jsonRequest('GET', '/_matrix/client/v3/sync', user.token, '');
  const latencies: number[] = [];
  let parseMs = Number.POSITIVE_INFINITY;
  let bytes = 0;
  for (let count = 0; count < FIRST_SYNCS; count++) {
    const startedMs = performance.now();
    const body = await connection.exchange(request);
    const receivedMs = performance.now();
    JSON.parse(body.toString('utf8'));
    parseMs = Math.min(parseMs, performance.now() - receivedMs);
    latencies.push(receivedMs - startedMs);
    bytes = body.length;
  }
  connection.close();
  const { p50Ms, maxMs } = quantiles(latencies);
  return {
    name: `first sync, ${ROOMS} rooms`,
    figure: p50Ms,
    unit: 'ms',
    ceiling: parseMs,
    ceilingName: 'parsing the answer',
    ratio: p50Ms / parseMs,
    details: { 'max ms': round(maxMs), 'answer KiB': round(bytes / 1024) },
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
