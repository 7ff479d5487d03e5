/** Coming into a large room of other servers, and letting others into it. The other servers are in a thread of their own. */
import { readFile } from 'node:fs/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { JsonObject } from '#protocol/pdu.ts';
import { BENCH_TLS, BenchPeers, PeerCalls } from './peers.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, type BenchUser, startFederatedServer } from './server.ts';

const MEMBERS = 10_000;
const ORIGINS = 20;
/** Others that come in one after the other: what the first one costs more is V8's first sight of the code. */
const NEWCOMERS = 3;
/** Budgets: DESIGN of the project, "Budgets"; nothing holds the event loop for longer. */
const JOIN_BUDGET_MS = 5000;
const ANSWER_BUDGET_MS = 1000;
const PAUSE_BUDGET_MS = 50;
const CLOCK_TICKS_PER_S = 100;

export async function runJoinsBench(): Promise<BenchResult[]> {
  const server = await startFederatedServer(BENCH_TLS);
  const crowd = new Crowd();
  try {
    const user = await server.register('owner');
    const idleMiB = await peakMiB(server.pid);
    const { roomId, via } = await crowd.ask<{ roomId: string; via: string }>({ members: MEMBERS });
    const join = await watched(server, () =>
      user.call('POST', `/join/${encodeURIComponent(roomId)}?via=${encodeURIComponent(via)}`, {}),
    );
    const afterJoinMiB = await peakMiB(server.pid);
    const sync = await watched(server, () => firstSync(user, roomId));
    const lazy = await watched(server, () => firstSync(user, roomId, '{"room":{"state":{"lazy_load_members":true}}}'));
    const results = [
      result(`join a room of ${MEMBERS} members, to its first sync`, join.ms + sync.ms, JOIN_BUDGET_MS, {
        'join ms': join.ms,
        'sync ms': sync.ms,
        'CPU s': join.cpuSeconds + sync.cpuSeconds,
        'longest pause ms of the join': join.longestPauseMs,
        'of the sync': sync.longestPauseMs,
        'lazy sync ms': lazy.ms,
        'of the lazy sync': lazy.longestPauseMs,
        'pause budget ms': PAUSE_BUDGET_MS,
        'MiB in use at most, after the join': afterJoinMiB,
        'before it': idleMiB,
      }),
    ];
    for (let count = 1; count <= NEWCOMERS; count += 1) {
      let told: { ms: number; bytes: number } | undefined;
      const whole = await watched(server, async () => {
        told = await crowd.ask({ enter: server.name, userName: `newcomer${count}` });
      });
      results.push(
        result(`send_join answer of a room of ${MEMBERS} members (${count})`, told?.ms ?? 0, ANSWER_BUDGET_MS, {
          'CPU s': whole.cpuSeconds,
          'longest pause ms': whole.longestPauseMs,
          MiB: (told?.bytes ?? 0) / 2 ** 20,
        }),
      );
    }
    return results;
  } finally {
    await crowd.stop();
    await server.stop();
  }
}

async function firstSync(user: BenchUser, roomId: string, filter?: string): Promise<void> {
  const query = filter === undefined ? '' : `&filter=${encodeURIComponent(filter)}`;
  const synced = await user.call('GET', `/sync?timeout=0${query}`);
  const joined = (synced['rooms'] as { join?: Record<string, unknown> } | undefined)?.join ?? {};
  if (!(roomId in joined)) throw new Error('the room is not in the sync');
}

function result(name: string, figure: number, most: number, details: BenchResult['details']): BenchResult {
  return { name, figure, unit: 'ms', ceiling: most, ceilingName: 'budget', ratio: figure / most, details };
}

interface Watched {
  readonly ms: number;
  readonly cpuSeconds: number;
  /** The longest that the event loop of the server did not turn, as the server itself measures it. */
  readonly longestPauseMs: number;
}

async function watched(server: BenchServer, work: () => Promise<unknown>): Promise<Watched> {
  const cpuBefore = await cpuSeconds(server.pid);
  // The server forgets the longest pause when it has told it.
  await longestPauseMs(server);
  const startedMs = performance.now();
  await work();
  const ms = performance.now() - startedMs;
  return { ms, cpuSeconds: (await cpuSeconds(server.pid)) - cpuBefore, longestPauseMs: await longestPauseMs(server) };
}

async function longestPauseMs({ host, port }: BenchServer): Promise<number> {
  const metrics = await (await fetch(`http://${host}:${port}/_stele/metrics`)).text();
  return Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(metrics)?.[1] ?? Number.NaN) * 1000;
}

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_S;
}

/** The most memory that a process has had. */
async function peakMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}

/** What the thread of the other servers is asked. */
type Question = { readonly members: number } | { readonly enter: string; readonly userName: string } | 'stop';

class Crowd {
  readonly #worker = new Worker(new URL(import.meta.url));

  ask<T>(question: Question): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#worker.once('message', resolve);
    this.#worker.once('error', reject);
    this.#worker.postMessage(question);
    return promise;
  }

  async stop(): Promise<void> {
    await this.ask('stop');
    await this.#worker.terminate();
  }
}

async function play(): Promise<void> {
  const peers = await BenchPeers.start(ORIGINS);
  let room: ReturnType<BenchPeers['makeRoom']> | undefined;
  const enter = async (server: string, userName: string): Promise<{ ms: number; bytes: number }> => {
    const [peer] = peers.peers;
    if (peer === undefined || room === undefined) throw new Error('there is no room');
    const calls = new PeerCalls(server, 1);
    const path = encodeURIComponent(room.roomId);
    const userId = encodeURIComponent(`@${userName}:${peer.name}`);
    const made = JSON.parse(
      await calls.call(peer, 'GET', `/_matrix/federation/v1/make_join/${path}/${userId}?ver=12`),
    ) as { event: JsonObject };
    const { pdu, eventId } = room.signed(peer, made.event);
    const startedMs = performance.now();
    const uri = `/_matrix/federation/v2/send_join/${path}/${encodeURIComponent(eventId)}`;
    const bytes = (await calls.call(peer, 'PUT', uri, pdu)).length;
    const ms = performance.now() - startedMs;
    room.goOn(eventId, pdu.depth);
    await calls.close();
    return { ms, bytes };
  };
  parentPort?.on('message', async (question: Question) => {
    if (question === 'stop') {
      await peers.stop();
      parentPort?.postMessage(undefined);
    } else if ('members' in question) {
      room = peers.makeRoom(question.members);
      parentPort?.postMessage({ roomId: room.roomId, via: peers.peers[0]?.name });
    } else {
      parentPort?.postMessage(await enter(question.enter, question.userName));
    }
  });
}

if (!isMainThread) await play();
