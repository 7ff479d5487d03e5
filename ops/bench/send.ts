/** How fast messages are sent, durably, through the whole server: DESIGN's first budget. */
import { jsonRequest, type LoadResult, load } from './load.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, startBareFastify, startServer } from './server.ts';

const DURATION_MS = 8_000;
/** How long the same load runs first: V8 compiles what is hot while it goes, and a server does not live for seconds. */
const WARM_UP_MS = 16_000;
const BODY = JSON.stringify({ msgtype: 'm.text', body: 'x'.repeat(160) });

/** Sends of 8 senders into one room, and of 16 into 32 rooms, beside a bare Fastify PUT that answers at once. */
export async function runSendBench(): Promise<BenchResult[]> {
  const bare = await startBareFastify();
  const ceiling8 = await load({
    ...bare,
    senders: 8,
    durationMs: DURATION_MS / 2,
    request: put(
      () => '!room',
      () => 'token',
    ),
  });
  const ceiling16 = await load({
    ...bare,
    senders: 16,
    durationMs: DURATION_MS / 2,
    request: put(
      () => '!room',
      () => 'token',
    ),
  });
  await bare.stop();
  const server = await startServer();
  try {
    const one = await sendInto(server, 1, 8);
    const many = await sendInto(server, 32, 16);
    return [result('send, one room, 8 senders', one, ceiling8), result('send, 32 rooms, 16 senders', many, ceiling16)];
  } finally {
    await server.stop();
  }
}

interface Sent {
  readonly warm: LoadResult;
  /** While the server warmed up. */
  readonly before: LoadResult;
}

async function sendInto(server: BenchServer, roomCount: number, senders: number): Promise<Sent> {
  const owner = await server.register(`owner${roomCount}`);
  const rooms: string[] = [];
  for (let index = 0; index < roomCount; index++) rooms.push(await owner.createRoom({ preset: 'public_chat' }));
  const users = await Promise.all(
    Array.from({ length: senders }, async (_, index) => {
      const user = await server.register(`sender${roomCount}x${index}`);
      for (const room of rooms) await user.join(room);
      return user;
    }),
  );
  const run = (name: string, durationMs: number): Promise<LoadResult> =>
    load({
      host: server.host,
      port: server.port,
      senders,
      durationMs,
      request: put(
        (sender, count) => rooms[(sender + count * senders) % rooms.length] ?? '',
        (sender) => users[sender]?.token ?? '',
        name,
      ),
    });
  const before = await run('w', WARM_UP_MS);
  return { before, warm: await run('b', DURATION_MS) };
}

function put(room: (sender: number, count: number) => string, token: (sender: number) => string, run = 'b') {
  return (sender: number, count: number): string =>
    jsonRequest(
      'PUT',
      `/_matrix/client/v3/rooms/${encodeURIComponent(room(sender, count))}/send/m.room.message/${run}${sender}-${count}`,
      token(sender),
      BODY,
    );
}

function result(name: string, { warm: measured, before }: Sent, ceiling: LoadResult): BenchResult {
  return {
    name,
    figure: measured.perSecond,
    unit: 'sends/s',
    ceiling: ceiling.perSecond,
    ceilingName: 'bare Fastify PUT',
    ratio: measured.perSecond / ceiling.perSecond,
    details: {
      'p50 ms': round(measured.p50Ms),
      'p99 ms': round(measured.p99Ms),
      'max ms': round(measured.maxMs),
      [`sends/s in the first ${WARM_UP_MS / 1000} s`]: Math.round(before.perSecond),
    },
  };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
