/** What is sent to other servers: what it costs those who use this one. */
import { type Watched, watched } from './federation-watch.ts';
import { BENCH_TLS } from './peers.ts';
import { startCrowdedRoom } from './peers-thread.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, type BenchUser, startFederatedServer } from './server.ts';

const DESTINATIONS = 200;
const SEND_MS = 16_000;
const WRITERS = 4;
const WRITE_EVERY_MS = 150;
const MESSAGE = JSON.stringify({ msgtype: 'm.text', body: 'x'.repeat(160) });
/** Budget: DESIGN of the project, "Budgets". */
const OUTBOUND_BUDGET_RATIO = 1.2;

/** Starts the server with further arguments for Node, as for a profile. */
export async function runOutboundBench(nodeArguments: readonly string[] = []): Promise<BenchResult> {
  const server = await startFederatedServer(BENCH_TLS, nodeArguments);
  try {
    return await outbound(server, await server.register('owner'));
  } finally {
    await server.stop();
  }
}

/** Sends of local users into a room with many servers, half of which are gone, beside one with none. */
async function outbound(server: BenchServer, user: BenchUser): Promise<BenchResult> {
  const crowd = await startCrowdedRoom(DESTINATIONS);
  let transactions = 0;
  let isStopped = false;
  try {
    await user.call('POST', `/join/${encodeURIComponent(crowd.roomId)}?via=${encodeURIComponent(crowd.via)}`, {});
    await crowd.halve();
    const local = await user.createRoom({ preset: 'public_chat' });
    await sends(server, user, local, 'warm', SEND_MS / 2);
    const alone = await sends(server, user, local, 'a', SEND_MS);
    const among = await sends(server, user, crowd.roomId, 'b', SEND_MS);
    isStopped = true;
    transactions = await crowd.stop();
    return {
      name: `send among ${DESTINATIONS} servers, half of them down, p99`,
      figure: among.p99Ms,
      unit: 'ms',
      ceiling: alone.p99Ms,
      ceilingName: 'in a room of this server alone',
      ratio: among.p99Ms / alone.p99Ms,
      details: {
        'budget ratio': OUTBOUND_BUDGET_RATIO,
        'p50 ms': among.p50Ms,
        'p50 ms alone': alone.p50Ms,
        'sends/s': among.perSecond,
        'sends/s alone': alone.perSecond,
        'CPU s': among.cpuSeconds,
        'CPU s alone': alone.cpuSeconds,
        'transactions out': transactions,
      },
    };
  } finally {
    if (!isStopped) await crowd.stop();
  }
}

/** Users who write a message every so often, and wait for its answer. */
async function sends(
  server: BenchServer,
  user: BenchUser,
  room: string,
  run: string,
  durationMs: number,
): Promise<Sends> {
  const url = `http://${server.host}:${server.port}/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message`;
  const latencies: number[] = [];
  const under = await watched(server, async () => {
    const endMs = performance.now() + durationMs;
    await Promise.all(
      Array.from({ length: WRITERS }, async (_, writer) => {
        for (let count = 0; performance.now() < endMs; count += 1) {
          const askedMs = performance.now();
          const answer = await fetch(`${url}/${run}${writer}-${count}`, {
            method: 'PUT',
            headers: { authorization: `Bearer ${user.token}`, 'content-type': 'application/json' },
            body: MESSAGE,
          });
          await answer.arrayBuffer();
          if (!answer.ok) throw new Error(`a message was answered with ${answer.status}`);
          latencies.push(performance.now() - askedMs);
          await new Promise((resolve) => setTimeout(resolve, WRITE_EVERY_MS));
        }
      }),
    );
  });
  latencies.sort((x, y) => x - y);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { ...under, p50Ms: at(0.5), p99Ms: at(0.99), perSecond: (latencies.length / under.ms) * 1000 };
}

interface Sends extends Watched {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
}
