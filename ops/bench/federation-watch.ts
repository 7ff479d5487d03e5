/** What every benchmark of what goes on between servers works with. */
import { readFile } from 'node:fs/promises';
import type { PeerRoom } from './peers.ts';
import type { BenchServer, BenchUser } from './server.ts';

/** Servers that are played beside the one that is measured. */
export const ORIGINS = 20;
const PROBE_EVERY_MS = 5;
const CLOCK_TICKS_PER_S = 100;

export type FederatedServer = BenchServer & { readonly name: string };

/** What something cost the server. */
export interface Watched {
  readonly ms: number;
  readonly cpuSeconds: number;
  /** The longest that a small request took meanwhile. */
  readonly longestPauseMs: number;
}

/** A user of the server comes into a room of the played ones. */
export async function join(user: BenchUser, room: PeerRoom): Promise<void> {
  const via = room.servers[0]?.name ?? '';
  await user.call('POST', `/join/${encodeURIComponent(room.roomId)}?via=${encodeURIComponent(via)}`, {});
}

/** Does something, and finds out what it cost the server. */
export async function watched(server: BenchServer, work: () => Promise<void>): Promise<Watched> {
  const before = await cpuSeconds(server.pid);
  let isDone = false;
  let longestPauseMs = 0;
  const probe = (async () => {
    while (!isDone) {
      const askedMs = performance.now();
      await (await fetch(`http://${server.host}:${server.port}/_matrix/client/versions`)).arrayBuffer();
      longestPauseMs = Math.max(longestPauseMs, performance.now() - askedMs);
      await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS));
    }
  })();
  const startedMs = performance.now();
  try {
    await work();
  } finally {
    isDone = true;
  }
  const ms = performance.now() - startedMs;
  await probe;
  return { ms, cpuSeconds: (await cpuSeconds(server.pid)) - before, longestPauseMs };
}

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_S;
}
