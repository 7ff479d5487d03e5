/** How soon everybody in a room has a message: from its send to the answer of the long poll of each of 100 members. */
import { Connection, jsonRequest, quantiles } from './load.ts';
import type { BenchResult } from './result.ts';
import { startServer } from './server.ts';

const LISTENERS = 100;
const MESSAGES = 100;
/** Polls that may end without the message before it counts as lost. */
const MAX_POLLS = 20;
const POLL_TIMEOUT_MS = 30_000;
/** Synapse on the same machine: the median of the same exercise. */
const SYNAPSE_P50_MS = 831;

export async function runFanOutBench(): Promise<BenchResult> {
  const server = await startServer();
  try {
    const owner = await server.register('speaker');
    const room = await owner.createRoom({ preset: 'public_chat' });
    const listeners = [];
    for (let index = 0; index < LISTENERS; index++) {
      const user = await server.register(`listener${index}`);
      await user.join(room);
      listeners.push({ user, since: '', connection: await Connection.open(server.host, server.port) });
    }
    // Only now: whoever synced before the others joined would be told of that, and not wait.
    for (const listener of listeners) {
      listener.since = String((await listener.user.call('GET', '/sync?timeout=0'))['next_batch']);
    }
    const latencies: number[] = [];
    for (let message = 0; message < MESSAGES; message++) {
      const polls = listeners.map(async (listener) => {
        // A poll may also end with somebody's presence.
        for (let poll = 0; poll < MAX_POLLS; poll++) {
          const path = `/_matrix/client/v3/sync?timeout=${POLL_TIMEOUT_MS}&since=${listener.since}`;
          const body = await listener.connection.exchange(jsonRequest('GET', path, listener.user.token, ''));
          const receivedMs = performance.now();
          const answer = JSON.parse(body.toString('utf8')) as { next_batch: string; rooms?: { join?: object } };
          listener.since = answer.next_batch;
          if (answer.rooms?.join !== undefined) return receivedMs;
        }
        throw new Error('the long polls ended without the message');
      });
      // The polls are all waiting once the server has answered a request that came after them.
      await owner.call('GET', '/account/whoami');
      const sentMs = performance.now();
      await owner.call('PUT', `/rooms/${encodeURIComponent(room)}/send/m.room.message/m${message}`, {
        msgtype: 'm.text',
        body: `message ${message}`,
      });
      for (const receivedMs of await Promise.all(polls)) latencies.push(receivedMs - sentMs);
    }
    const { p50Ms, p99Ms, maxMs } = quantiles(latencies);
    return {
      name: `send to ${LISTENERS} long polls, p99`,
      figure: p99Ms,
      unit: 'ms',
      ceiling: SYNAPSE_P50_MS,
      ceilingName: 'p50 of Synapse 1.163 on such a machine',
      ratio: p99Ms / SYNAPSE_P50_MS,
      details: { 'p50 ms': round(p50Ms), 'max ms': round(maxMs) },
    };
  } finally {
    await server.stop();
  }
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
