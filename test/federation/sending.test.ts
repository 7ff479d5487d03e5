/** What a server is sent: in order, so much at a time, and after a time in which it could not be reached or this server was killed. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { serverTopic } from '#src/bus/bus.ts';
import { LocalBus } from '#src/bus/local-bus.ts';
import { FederationError } from '#src/federation/errors.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { SendingNode } from './sending-node.ts';
import { type TwoInARoom, TwoServers } from './two-in-a-room.ts';

const PATIENCE = { timeout: 30_000, interval: 5 };
const TO = 'two.test';

/** One run of what sends, until it is killed. */
interface Run {
  readonly node: SendingNode;
  readonly bus: LocalBus;
  /** From now on it hears of nothing; what it holds is gone with it. */
  kill(): void;
}

let servers: TwoServers;
let runs: Run[];
beforeEach(async () => {
  servers = await TwoServers.start();
  // Its place is taken by those of the test.
  await servers.one.context.sender.close();
  runs = [];
});
afterEach(async () => {
  for (const { kill } of runs) kill();
  await Promise.all(runs.map(({ node }) => node.close()));
  await servers.close();
});

function start(): Run {
  const bus = new LocalBus();
  const kill = servers.one.engine.onAdvance((frontier, touched) => bus.publish(touched, frontier));
  const run = { node: new SendingNode(servers.one, `run${runs.length}`, bus), bus, kill };
  runs.push(run);
  return run;
}

/** Resolves when there is nothing to send any more. */
const idle = ({ node }: Run) => vi.waitUntil(() => [...node.sender.statuses()].length === 0, PATIENCE);

async function startIdle(): Promise<Run> {
  const run = start();
  await idle(run);
  run.node.transactions.length = 0;
  return run;
}

let txn = 0;
async function say({ alice, roomId }: TwoInARoom, body: string): Promise<void> {
  txn += 1;
  const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txn}`;
  await alice.ok('PUT', path, { msgtype: 'm.text', body });
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);

it('has at most 50 events and 100 EDUs, in the order in which they came', async () => {
  const room = await servers.meet();
  const { node, ...run } = await startIdle();
  const { promise, resolve } = Promise.withResolvers<void>();
  node.answer = () => promise;
  for (const body of numbers(120)) await say(room, body);
  for (const n of numbers(250)) node.sender.sendEdu([TO], { type: `m.${n}`, content: {} });
  node.answer = async () => {};
  resolve();
  await idle({ node, ...run });
  expect(node.transactions.flatMap(({ said }) => said)).toEqual(numbers(120));
  expect(node.transactions.flatMap(({ edus }) => edus)).toEqual(numbers(250).map((n) => `m.${n}`));
  const sizes = (of: 'said' | 'edus') => node.transactions.map((transaction) => transaction[of].length);
  expect(Math.max(...sizes('said'))).toBe(50);
  expect(Math.max(...sizes('edus'))).toBeLessThanOrEqual(100);
});

it('is the newest of each room first after an outage, as soon as the server gives a sign of life', async () => {
  const [a, b] = [await servers.meet(), await servers.meet()];
  const run = await startIdle();
  const { node, bus } = run;
  node.answer = () => Promise.reject(new FederationError('unreachable', TO, 'it is gone'));
  await say(a, 'a1');
  await vi.waitUntil(() => node.sender.load.behind === 1, PATIENCE);
  for (const [room, body] of [
    [b, 'b1'],
    [a, 'a2'],
    [b, 'b2'],
    [a, 'a3'],
  ] as const) {
    await say(room, body);
  }
  // What comes after the answer to the last message.
  await turn();
  expect(node.sender.load).toEqual({ behind: 1, sending: 0, queuedEvents: 0 });
  expect(node.sent).toEqual(['a1']);
  node.answer = async () => {};
  bus.publish([serverTopic(TO)], BEFORE_FIRST);
  await idle(run);
  expect(node.transactions.slice(1).map(({ said }) => said)).toEqual([['b2', 'a3']]);
  await say(b, 'b3');
  await vi.waitUntil(() => node.sent.includes('b3'), PATIENCE);
  await idle(run);
  expect(node.sent).toEqual(['a1', 'b2', 'a3', 'b3']);
});

it('is found in the log by the next run after one that was killed, and not sent again after one that ended', async () => {
  const room = await servers.meet();
  const first = await startIdle();
  first.node.answer = () => new Promise(() => {});
  for (const body of ['under way', 'waiting', 'newest']) await say(room, body);
  await vi.waitUntil(() => first.node.sent.includes('under way'), PATIENCE);
  first.kill();

  const second = start();
  await idle(second);
  expect(second.node.sent.at(-1)).toBe('newest');
  expect(first.node.sent).toEqual(['under way']);
  second.kill();
  await second.node.close();

  const third = start();
  await idle(third);
  expect(third.node.sent).toEqual([]);
});
