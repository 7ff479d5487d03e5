/** What every benchmark of what goes on between servers works with. */
import { readFile } from 'node:fs/promises';
import type { PeerRoom } from './peers.ts';
import type { BenchServer, BenchUser } from './server.ts';

/** Servers that are played beside the one that is measured. */
export const ORIGINS = 20;
const CLOCK_TICKS_PER_S = 100;

export type FederatedServer = BenchServer & { readonly name: string };

/** What something cost the server. */
export interface Watched {
  readonly ms: number;
  readonly cpuSeconds: number;
  /** The longest that the event loop of the server did not turn, as the server itself measures it. */
  readonly longestPauseMs: number;
  /** How long the main thread of the server was ready to go on and had to wait for a processor: what others did on this machine. */
  readonly waitedSeconds: number;
}

/** A user of the server comes into a room of the played ones. */
export async function join(user: BenchUser, room: PeerRoom): Promise<void> {
  const via = room.servers[0]?.name ?? '';
  await user.call('POST', `/join/${encodeURIComponent(room.roomId)}?via=${encodeURIComponent(via)}`, {});
}

/** Does something, and finds out what it cost the server. */
export async function watched(server: BenchServer, work: () => Promise<void>): Promise<Watched> {
  const before = await cpuSeconds(server.pid);
  const waitedBefore = await waitedSeconds(server.pid);
  // The server forgets the longest pause when it has told it.
  await longestPauseMs(server);
  const startedMs = performance.now();
  await work();
  const ms = performance.now() - startedMs;
  return {
    ms,
    cpuSeconds: (await cpuSeconds(server.pid)) - before,
    longestPauseMs: await longestPauseMs(server),
    waitedSeconds: (await waitedSeconds(server.pid)) - waitedBefore,
  };
}

async function longestPauseMs({ host, port }: BenchServer): Promise<number> {
  const metrics = await (await fetch(`http://${host}:${port}/_stele/metrics`)).text();
  return Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(metrics)?.[1] ?? Number.NaN) * 1000;
}

/** CPU time that a process has used so far, on all its threads. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_S;
}

/** How long the main thread of a process has waited for a processor so far. */
async function waitedSeconds(pid: number): Promise<number> {
  const [, waitedNs] = (await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ');
  return Number(waitedNs) / 1e9;
}
