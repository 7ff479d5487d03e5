/** Sliding sync of somebody in 2,000 rooms: the first answer, and what it takes to be told of one message, or of none. */
import { Connection, jsonRequest, load, quantiles } from './load.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, type BenchUser, startBareFastify, startServer } from './server.ts';

const ROOMS = 2_000;
const MESSAGES_PER_ROOM = 5;
/** Each is told of the rooms for the first time once: what the server remembers of one does not help the other. */
const READERS = 3;
/** Requests that are under way at once while the rooms are made. */
const AT_ONCE = 16;
const POLLERS = 8;
const DURATION_MS = 6_000;
const UPDATES = 100;
const PATH = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync';
const FIRST_BUDGET_MS = 150;

const REQUIRED_STATE = [
  ['m.room.create', ''],
  ['m.room.name', ''],
  ['m.room.encryption', ''],
  ['m.room.power_levels', ''],
  ['m.room.member', '$LAZY'],
  ['m.room.member', '$ME'],
];

/** As clients of today ask: the window that fits the screen, no spaces, and all extensions. */
function request(token: string, last: number, position: string | undefined): string {
  const body = JSON.stringify({
    conn_id: `to-${last}`,
    lists: {
      all: {
        ranges: [[0, last]],
        timeline_limit: 1,
        required_state: REQUIRED_STATE,
        filters: { not_room_types: ['m.space'] },
      },
    },
    extensions: {
      to_device: { enabled: true },
      e2ee: { enabled: true },
      account_data: { enabled: true },
      receipts: { enabled: true },
      typing: { enabled: true },
    },
  });
  const query = position === undefined ? '' : `?pos=${encodeURIComponent(position)}&timeout=0`;
  return jsonRequest('POST', `${PATH}${query}`, token, body);
}

/** The answer's size, the time that it took and its position. */
interface Timed {
  readonly ms: number;
  readonly bytes: number;
  readonly pos: string;
  readonly rooms: number;
  readonly parseMs: number;
}

export async function runSlidingSyncBench(): Promise<BenchResult[]> {
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
    const { owner, rooms } = await filledRooms(server);
    const readers: BenchUser[] = [];
    for (let index = 0; index < READERS; index++) readers.push(await readerOf(server, `reader${index}`, rooms));
    const connection = await Connection.open(server.host, server.port);
    const results = [await firstAnswers(connection, readers)];
    const [reader] = readers;
    if (reader === undefined) throw new Error('there is no reader');
    results.push(await updates(connection, owner, reader, rooms));
    results.push(await nothingNew(server, connection, reader, ceiling.perSecond));
    connection.close();
    return results;
  } finally {
    await server.stop();
  }
}

async function filledRooms(server: BenchServer): Promise<{ readonly owner: BenchUser; readonly rooms: string[] }> {
  const owner = await server.register('owner');
  const rooms: string[] = [];
  const body = { msgtype: 'm.text', body: 'x'.repeat(160) };
  await inParallel(ROOMS, async (index) => {
    const room = await owner.createRoom({ preset: 'public_chat', name: `Room ${index}` });
    for (let message = 0; message < MESSAGES_PER_ROOM; message++) {
      await owner.call('PUT', `/rooms/${encodeURIComponent(room)}/send/m.room.message/m${message}`, body);
    }
    rooms.push(room);
  });
  return { owner, rooms };
}

async function readerOf(server: BenchServer, name: string, rooms: readonly string[]): Promise<BenchUser> {
  const reader = await server.register(name);
  await inParallel(rooms.length, (index) => reader.join(rooms[index] ?? ''));
  return reader;
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function timed(connection: Connection, text: string): Promise<Timed> {
  const startedMs = performance.now();
  const body = await connection.exchange(text);
  const receivedMs = performance.now();
  const { pos, rooms } = JSON.parse(body.toString('utf8')) as { pos: string; rooms: object };
  return {
    ms: receivedMs - startedMs,
    bytes: body.length,
    pos,
    rooms: Object.keys(rooms).length,
    parseMs: performance.now() - receivedMs,
  };
}

async function firstAnswers(connection: Connection, readers: readonly BenchUser[]): Promise<BenchResult> {
  const first: Timed[] = [];
  const whole: Timed[] = [];
  for (const { token } of readers) {
    first.push(await timed(connection, request(token, 19, undefined)));
    whole.push(await timed(connection, request(token, ROOMS - 1, undefined)));
  }
  const again: Timed[] = [];
  for (const { token } of readers) again.push(await timed(connection, request(token, 19, undefined)));
  const median = (times: readonly Timed[]): number => quantiles(times.map(({ ms }) => ms)).p50Ms;
  return {
    name: `sliding sync, first answer with 20 of ${ROOMS} rooms`,
    figure: median(first),
    unit: 'ms',
    ceiling: FIRST_BUDGET_MS,
    ceilingName: 'budget',
    ratio: median(first) / FIRST_BUDGET_MS,
    details: {
      'ms on another connection': round(median(again)),
      'ms for all rooms': round(median(whole)),
      'rooms in that': whole[0]?.rooms ?? 0,
      'KiB for all': round((whole[0]?.bytes ?? 0) / 1024),
      'ms to parse that': round(Math.min(...whole.map(({ parseMs }) => parseMs))),
    },
  };
}

/** One message in one of the rooms each time, all of which the client knows. */
async function updates(
  connection: Connection,
  owner: BenchUser,
  reader: BenchUser,
  rooms: readonly string[],
): Promise<BenchResult> {
  let { pos } = await timed(connection, request(reader.token, ROOMS - 1, undefined));
  const latencies: number[] = [];
  let parseMs = Number.POSITIVE_INFINITY;
  for (let count = 0; count < UPDATES; count++) {
    const room = encodeURIComponent(rooms[(count * 7) % rooms.length] ?? '');
    await owner.call('PUT', `/rooms/${room}/send/m.room.message/u${count}`, { msgtype: 'm.text', body: 'news' });
    const answer = await timed(connection, request(reader.token, ROOMS - 1, pos));
    if (answer.rooms !== 1) throw new Error(`one room has news, and the answer tells of ${answer.rooms}`);
    pos = answer.pos;
    latencies.push(answer.ms);
    parseMs = Math.min(parseMs, answer.parseMs);
  }
  const { p50Ms, maxMs } = quantiles(latencies);
  return {
    name: `sliding sync, one message in one of ${ROOMS} known rooms`,
    figure: p50Ms,
    unit: 'ms',
    ceiling: parseMs,
    ceilingName: 'parsing the answer',
    ratio: p50Ms / parseMs,
    details: { 'max ms': round(maxMs) },
  };
}

async function nothingNew(
  server: BenchServer,
  connection: Connection,
  { token }: BenchUser,
  bare: number,
): Promise<BenchResult> {
  const { pos } = await timed(connection, request(token, 19, undefined));
  const text = request(token, 19, pos);
  // A connection is used by one at a time: these all ask the same again.
  const result = await load({ ...server, senders: POLLERS, durationMs: DURATION_MS, request: () => text });
  return {
    name: `sliding sync with nothing new, 20 of ${ROOMS} rooms`,
    figure: result.perSecond,
    unit: 'syncs/s',
    ceiling: bare,
    ceilingName: 'bare Fastify PUT',
    ratio: result.perSecond / bare,
    details: { 'p50 ms': round(result.p50Ms), 'p99 ms': round(result.p99Ms) },
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
