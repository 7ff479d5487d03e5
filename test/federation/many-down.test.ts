/** Servers that are down for a week: what they miss is in the log, and nothing of it in memory. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { BenchPeers } from '#ops/bench/peers.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const SERVERS = 30;
const DAYS = 7;
const MESSAGES_A_DAY = 40;
const DAY_MS = 24 * 60 * 60_000;
const PATIENCE = { timeout: 60_000, interval: 20 };

let one: TestServer;
let peers: BenchPeers;
let alice: TestClient;
let roomId: string;

beforeEach(async () => {
  one = await startServerOn(new TestNetwork(), 'one.test');
  // The played servers sign with keys that are good from now on.
  one.advance(Date.now() - one.now());
  peers = await BenchPeers.start(SERVERS);
  roomId = peers.makeRoom(SERVERS).roomId;
  alice = await one.register('alice');
  const via = encodeURIComponent(peers.peers[0]?.name ?? '');
  await alice.ok('POST', `/join/${encodeURIComponent(roomId)}?via=${via}`, {});
});
afterEach(async () => {
  await one.close();
  await peers.stop();
});

it('cost a name and a position each, however much is said meanwhile', async () => {
  const { sender, federation } = one.context;
  const say = (txn: string) =>
    alice.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txn}`, {
      msgtype: 'm.text',
      body: txn,
    });
  const nothing = { behind: SERVERS, sending: 0, queuedEvents: 0 };
  await peers.stop();
  await say('first');
  await vi.waitUntil(() => sender.load.behind === SERVERS, PATIENCE);
  for (let day = 0; day < DAYS; day += 1) {
    for (let count = 0; count < MESSAGES_A_DAY; count += 1) await say(`${day}-${count}`);
    expect(sender.load.queuedEvents).toBe(0);
    one.advance(DAY_MS);
    // Each is tried once more, in vain.
    const isAwaited = ({ name }: { readonly name: string }): boolean =>
      (federation.destinations.troubleOf(name)?.retryAtMs ?? 0) > one.now();
    await vi.waitUntil(() => peers.peers.every(isAwaited), PATIENCE);
    await vi.waitUntil(() => sender.load.sending === 0, PATIENCE);
    expect(sender.load).toEqual(nothing);
  }
  expect([...sender.statuses()].every(({ isBehind, sentUpTo }) => isBehind && sentUpTo < one.log.head())).toBe(true);
});
