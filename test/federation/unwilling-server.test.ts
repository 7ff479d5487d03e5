/** A server that is there and takes nothing is not asked all the time, and gets everything when it has thought better of it. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { answerJson, startTlsPeer, type TlsPeer } from '#test/support/tls-peer.ts';

let network: TestNetwork;
let one: TestServer;
let peer: TlsPeer;
let status: number;
let onRequest: () => void;

beforeEach(async () => {
  // The moments at which the sender looks whom to try again are the test's.
  vi.useFakeTimers({ toFake: ['setInterval'] });
  network = new TestNetwork();
  status = 403;
  onRequest = () => undefined;
  peer = await startTlsPeer((request, response) => {
    request.resume().on('end', () => {
      answerJson({}, status)(request, response);
      onRequest();
    });
  });
  network.place('three.test', peer.port);
  one = await startServerOn(network, 'one.test');
});
afterEach(async () => {
  vi.useRealTimers();
  await one.close();
  await peer.close();
});

const PATIENCE = { timeout: 30_000 };

const nextRequest = () =>
  new Promise<void>((resolve) => {
    onRequest = resolve;
  });
const isWaiting = () => [...one.context.sender.statuses()].some(({ isBehind }) => isBehind);

it.each([403, 404, 429])('status %i', async (refusal) => {
  status = refusal;
  const alice = await one.register('alice');
  const first = nextRequest();
  await alice.ok('PUT', '/sendToDevice/m.test/1', { messages: { '@x:three.test': { D: {} } } });
  await first;
  await vi.waitUntil(isWaiting, PATIENCE);
  for (let look = 0; look < 5; look += 1) vi.advanceTimersByTime(1000);
  expect(isWaiting()).toBe(true);
  expect(peer.requests.length).toBe(1);

  status = 200;
  const second = nextRequest();
  one.advance(60_000);
  vi.advanceTimersByTime(1000);
  await second;
  await vi.waitUntil(() => [...one.context.sender.statuses()].length === 0, PATIENCE);
  expect(peer.requests.length).toBe(2);
});
