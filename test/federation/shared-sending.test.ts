/** Several nodes of one server: they share the sending to others by way of the bus. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SendingNode } from './sending-node.ts';
import { type TwoInARoom, TwoServers } from './two-in-a-room.ts';

const PATIENCE = { timeout: 30_000, interval: 5 };

let servers: TwoServers;
let room: TwoInARoom;
let nodes: SendingNode[];
beforeEach(async () => {
  servers = await TwoServers.start();
  room = await servers.meet();
  // Its place is taken by those of the test.
  await servers.one.context.sender.close();
  nodes = [];
});
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await servers.close();
});

function node(name: string): SendingNode {
  const made = new SendingNode(servers.one, name);
  nodes.push(made);
  return made;
}

let txn = 0;
async function say(body: string): Promise<void> {
  txn += 1;
  const path = `/rooms/${encodeURIComponent(room.roomId)}/send/m.room.message/${txn}`;
  await room.alice.ok('PUT', path, { msgtype: 'm.text', body });
}

/** Both nodes, with nothing left that two.test has to be told of. */
async function twoNodes(): Promise<[SendingNode, SendingNode]> {
  const both: [SendingNode, SendingNode] = [node('a'), node('b')];
  await vi.waitUntil(() => both.every(({ sender }) => [...sender.statuses()].length === 0), PATIENCE);
  for (const { transactions } of both) transactions.length = 0;
  return both;
}

it('each event is sent once and in order, by whichever node', async () => {
  const [a, b] = await twoNodes();
  const order: string[] = [];
  for (const { transactions } of [a, b]) {
    vi.spyOn(transactions, 'push').mockImplementation((...sent) => order.push(...sent.flatMap(({ said }) => said)));
  }
  const bodies = Array.from({ length: 60 }, (_, n) => `${n}`);
  for (const body of bodies) await say(body);
  await vi.waitUntil(() => order.includes('59'), PATIENCE);
  expect(order).toEqual(bodies);
});

it('a node goes on where another was broken off, and sends nothing while that one does', async () => {
  const [a, b] = await twoNodes();
  for (const node of [a, b]) node.answer = () => new Promise(() => {});
  await say('under way');
  await vi.waitUntil(() => a.sent.length + b.sent.length > 0, PATIENCE);
  const [first, second] = a.sent.length > 0 ? [a, b] : [b, a];
  second.answer = async () => {};
  await say('waiting');
  expect(second.sent).toEqual([]);
  await first.close();
  // Whoever catches up sends the newest of the room; what came before it is asked for.
  await vi.waitUntil(() => second.sent.includes('waiting'), PATIENCE);
  expect(first.sent).toEqual(['under way']);
});

it('what is worth nothing later goes by the node that sends to the server at the moment', async () => {
  const [a, b] = await twoNodes();
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const node of [a, b]) node.answer = () => promise;
  await say('under way');
  await vi.waitUntil(() => a.sent.length + b.sent.length > 0, PATIENCE);
  const [first, second] = a.sent.length > 0 ? [a, b] : [b, a];
  second.sender.sendEdu(['two.test'], { type: 'm.typing', content: { room_id: room.roomId } }, 'alice');
  second.sender.sendEdu(['two.test'], { type: 'm.presence', content: {} });
  resolve();
  await vi.waitUntil(() => first.sent.includes('m.presence'), PATIENCE);
  expect(first.sent).toEqual(['under way', 'm.typing', 'm.presence']);
  expect(second.sent).toEqual([]);
});

it('what is worth nothing later is sent by a node itself once the other has nothing more to send', async () => {
  const [a, b] = await twoNodes();
  for (let n = 0; n < 5; n += 1) {
    await say(`${n}`);
    await vi.waitUntil(() => a.sent.includes(`${n}`) || b.sent.includes(`${n}`), PATIENCE);
    for (const { sender } of [a, b]) sender.sendEdu(['two.test'], { type: `m.typing${n}`, content: {} });
  }
  const isHeard = (type: string): boolean => a.sent.includes(type) || b.sent.includes(type);
  await vi.waitUntil(() => [0, 1, 2, 3, 4].every((n) => isHeard(`m.typing${n}`)), PATIENCE);
});
