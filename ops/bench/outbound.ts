/** What is sent to other servers: what it costs those who use this one. */
import { type Watched, watched } from './federation-watch.ts';
import { BENCH_TLS } from './peers.ts';
import { startCrowdedRoom } from './peers-thread.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, type BenchUser, startFederatedServer } from './server.ts';

const DESTINATIONS = 200;
/** By turns, so that what else goes on on the machine is in both. */
const TURNS = 3;
const TURN_MS = 10_000;
/** How long each writer rests after an answer: differently, so that they do not all meet whatever one of them does. */
const WRITE_EVERY_MS: readonly number[] = [137, 149, 163, 179];
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

/**
 * Sends of local users into a room with many servers, half of which are gone, by turns with sends into one with none. The first
 * of the former is also the first that the servers hear of this one since the join: their connections are made in it.
 */
async function outbound(server: BenchServer, user: BenchUser): Promise<BenchResult> {
  const crowd = await startCrowdedRoom(DESTINATIONS);
  let transactions = 0;
  let isStopped = false;
  try {
    await user.call('POST', `/join/${encodeURIComponent(crowd.roomId)}?via=${encodeURIComponent(crowd.via)}`, {});
    await crowd.halve();
    const local = await user.createRoom({ preset: 'public_chat' });
    const alone = new Sends();
    const among = new Sends();
    await send(server, user, local, 'warm', new Sends());
    for (let turn = 0; turn < TURNS; turn += 1) {
      await send(server, user, local, `a${turn}`, alone);
      await send(server, user, crowd.roomId, `b${turn}`, among);
    }
    isStopped = true;
    transactions = await crowd.stop();
    return {
      name: `send among ${DESTINATIONS} servers, half of them down, p99`,
      figure: among.latencyMs(0.99),
      unit: 'ms',
      ceiling: alone.latencyMs(0.99),
      ceilingName: 'in a room of this server alone',
      ratio: among.latencyMs(0.99) / alone.latencyMs(0.99),
      details: {
        'budget ratio': OUTBOUND_BUDGET_RATIO,
        ...among.details(''),
        ...alone.details(' alone'),
        'transactions out': transactions,
      },
    };
  } finally {
    if (!isStopped) await crowd.stop();
  }
}

/** Users who write a message every so often, and wait for its answer. */
async function send(server: BenchServer, user: BenchUser, room: string, run: string, sends: Sends): Promise<void> {
  const url = `http://${server.host}:${server.port}/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message`;
  const latencies: number[] = [];
  const under = await watched(server, async () => {
    const endMs = performance.now() + TURN_MS;
    await Promise.all(
      WRITE_EVERY_MS.map(async (everyMs, writer) => {
        for (let count = 0; performance.now() < endMs; count += 1) {
          const askedMs = performance.now();
          const answer = await fetch(`${url}/${run}-${writer}-${count}`, {
            method: 'PUT',
            headers: { authorization: `Bearer ${user.token}`, 'content-type': 'application/json' },
            body: MESSAGE,
          });
          await answer.arrayBuffer();
          if (!answer.ok) throw new Error(`a message was answered with ${answer.status}`);
          latencies.push(performance.now() - askedMs);
          await new Promise((resolve) => setTimeout(resolve, everyMs));
        }
      }),
    );
  });
  sends.add(latencies, under);
}

/** What several turns of the same came to. */
class Sends {
  readonly #latencies: number[] = [];
  #ms = 0;
  #cpuSeconds = 0;
  #waitedSeconds = 0;
  #longestPauseMs = 0;

  add(latencies: readonly number[], { ms, cpuSeconds, waitedSeconds, longestPauseMs }: Watched): void {
    this.#latencies.push(...latencies);
    this.#ms += ms;
    this.#cpuSeconds += cpuSeconds;
    this.#waitedSeconds += waitedSeconds;
    this.#longestPauseMs = Math.max(this.#longestPauseMs, longestPauseMs);
  }

  /** Longest time to an answer of this share of them. */
  latencyMs(share: number): number {
    return this.#latencies.toSorted((x, y) => x - y)[Math.floor(this.#latencies.length * share)] ?? Number.NaN;
  }

  details(suffix: string): BenchResult['details'] {
    return {
      [`p50 ms${suffix}`]: this.latencyMs(0.5),
      [`max ms${suffix}`]: this.latencyMs(1 - Number.EPSILON),
      [`sends/s${suffix}`]: (this.#latencies.length / this.#ms) * 1000,
      [`CPU s${suffix}`]: this.#cpuSeconds,
      [`longest pause ms${suffix}`]: this.#longestPauseMs,
      [`waited for a processor s${suffix}`]: this.#waitedSeconds,
    };
  }
}
