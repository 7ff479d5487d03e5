/** Servers that are played in a thread of their own, so that what they do is not in the way of who measures. */
import { once } from 'node:events';
import { constants, setPriority } from 'node:os';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { BenchPeers } from './peers.ts';

/** A room of many servers, each with one member. */
export interface CrowdedRoom {
  readonly roomId: string;
  /** A server that lets others in. */
  readonly via: string;
  /** From now on every other server is gone. */
  halve(): Promise<void>;
  /** Transactions that the servers were sent. */
  stop(): Promise<number>;
}

/** Plays so many servers, until it is stopped. */
export async function startCrowdedRoom(servers: number): Promise<CrowdedRoom> {
  const worker = new Worker(new URL(import.meta.url), { workerData: servers });
  const ask = async <T>(question?: string): Promise<T> => {
    if (question !== undefined) worker.postMessage(question);
    const [answer] = await once(worker, 'message');
    return answer as T;
  };
  const { roomId, via } = await ask<{ roomId: string; via: string }>();
  return {
    roomId,
    via,
    halve: () => ask('halve'),
    stop: async () => {
      const transactions = await ask<number>('stop');
      await worker.terminate();
      return transactions;
    },
  };
}

async function play(servers: number): Promise<void> {
  const peers = await BenchPeers.start(servers);
  const room = peers.makeRoom(servers);
  parentPort?.on('message', (question: string) => void answer(question));
  parentPort?.postMessage({ roomId: room.roomId, via: peers.peers[0]?.name });
  const answer = async (question: string): Promise<void> => {
    if (question === 'halve') {
      await Promise.all(peers.peers.filter((_, index) => index % 2 === 1).map((peer) => peer.stop()));
      parentPort?.postMessage(undefined);
    } else {
      await peers.stop();
      parentPort?.postMessage(peers.peers.reduce((sum, { transactions }) => sum + transactions, 0));
    }
  };
}

if (parentPort !== null && typeof workerData === 'number') {
  // Other servers have machines of their own: here they get what is left. On Linux this is of the thread alone.
  if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_LOW);
  await play(workerData);
}
