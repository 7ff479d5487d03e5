/** How long the erasure of somebody who wrote a lot takes, and what those notice of it who send meanwhile. */
import type { Config } from '#src/config/schema.ts';
import { askServer } from '../cli/operator-request.ts';
import { cpuSeconds } from './federation-watch.ts';
import type { BenchResult } from './result.ts';
import { type BenchUser, startServer } from './server.ts';

const MESSAGES = 100_000;
const SENDERS = 32;
/** Sends of somebody else before the erasure, for comparison. */
const QUIET_SENDS = 2_000;
const POLL_MS = 50;

export interface ErasureBenchOptions {
  /** Messages of the one who is erased. Default 100,000. */
  readonly messages?: number;
}

/** Has a user write, somebody else go on writing, and the first be erased meanwhile. */
export async function runErasureBench({ messages = MESSAGES }: ErasureBenchOptions = {}): Promise<BenchResult> {
  const server = await startServer();
  try {
    const [subject, other] = [await server.register('subject'), await server.register('other')];
    const roomId = await other.createRoom({ preset: 'public_chat' });
    await subject.join(roomId);
    let next = 0;
    const write = async (): Promise<void> => {
      while (next < messages) await send(subject, roomId, next++);
    };
    await Promise.all(Array.from({ length: SENDERS }, write));
    const quiet = await sendWhile(other, roomId, (sent) => sent < QUIET_SENDS);

    const config = { data_dir: server.dataDir } as Config;
    const startedMs = performance.now();
    const cpuBefore = await cpuSeconds(server.pid);
    const { erasure_id } = await askServer<{ readonly erasure_id: string }>(config, '/_stele/operator/erasures', {
      user_id: subject.userId,
      asks_peers: false,
    });
    let isDone = false;
    let erasedMs = 0;
    const waiting = (async () => {
      for (;;) {
        const { state, failure } = await askServer<{ readonly state: string; readonly failure: string | null }>(
          config,
          '/_stele/operator/erasures/get',
          { erasure_id },
        );
        if (failure !== null) throw new Error(failure);
        if (state === 'completed') break;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      erasedMs = performance.now() - startedMs;
    })().finally(() => {
      isDone = true;
    });
    const meanwhile = await sendWhile(other, roomId, () => !isDone);
    await waiting;
    const cpu = (await cpuSeconds(server.pid)) - cpuBefore;
    const figure = Math.round((1000 * messages) / erasedMs);
    return {
      name: 'erase a user',
      figure,
      unit: 'messages/s',
      ceiling: Math.round(quiet.rate),
      ceilingName: 'sends of one user before',
      ratio: figure / quiet.rate,
      details: {
        messages,
        'seconds in all': erasedMs / 1000,
        'seconds of CPU meanwhile, sends included': cpu,
        'one sender before, p99 ms': quiet.p99Ms,
        'longest ms': quiet.longestMs,
        'the same meanwhile, sends': meanwhile.sends,
        'p50 meanwhile ms': meanwhile.p50Ms,
        'p99 meanwhile ms': meanwhile.p99Ms,
        'longest meanwhile ms': meanwhile.longestMs,
      },
    };
  } finally {
    await server.stop();
  }
}

async function send(user: BenchUser, roomId: string, number: number): Promise<void> {
  const at = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${user.userId}-${number}`;
  await user.call('PUT', at, { msgtype: 'm.text', body: `What somebody wrote, number ${number}, and some more words` });
}

async function sendWhile(user: BenchUser, roomId: string, goesOn: (sent: number) => boolean) {
  const times: number[] = [];
  const startedMs = performance.now();
  const first = Math.round(startedMs);
  while (goesOn(times.length)) {
    const sentMs = performance.now();
    await send(user, roomId, first * 1_000_000 + times.length);
    times.push(performance.now() - sentMs);
  }
  const rate = (1000 * times.length) / (performance.now() - startedMs);
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0;
  return { rate, sends: times.length, p50Ms: at(0.5), p99Ms: at(0.99), longestMs: times.at(-1) ?? 0 };
}
