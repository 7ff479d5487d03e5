/** Messages to devices of another server when servers are down and killed: none is lost, none comes twice, all come in order. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EncryptionSync } from '#test/client-api/encryption-client.ts';
import { makeFederatedProcess } from '#test/support/federated-process.ts';
import type { SteleProcess, TestUser } from '#test/support/stele-process.ts';

let one: SteleProcess;
let two: SteleProcess;
let alice: TestUser;
let bob: TestUser;
let since: string | undefined;

beforeAll(async () => {
  [one, two] = (await Promise.all(
    [makeFederatedProcess(), makeFederatedProcess()].map(async (made) => (await made).stele),
  )) as [SteleProcess, SteleProcess];
  await Promise.all([one.start(), two.start()]);
  alice = await one.register('alice');
  bob = await two.register('bob');
});
afterAll(async () => {
  await one?.remove();
  await two?.remove();
});

const send = (n: number) =>
  alice.call('PUT', `/sendToDevice/m.test/t${n}`, { messages: { [bob.userId]: { [bob.deviceId]: { n } } } });

/** What comes until the message `last` is among it. */
async function heardUpTo(last: number): Promise<unknown[]> {
  const heard: unknown[] = [];
  while (!heard.includes(last)) {
    const answer = (await bob.call(
      'GET',
      `/sync?timeout=5000${since === undefined ? '' : `&since=${since}`}`,
    )) as unknown as EncryptionSync;
    since = answer.next_batch;
    for (const { content } of answer.to_device?.events ?? []) heard.push(content['n']);
  }
  return heard;
}

it('arrive after both servers were away, the sender killed', async () => {
  await two.stop();
  for (const n of [1, 2, 3]) await send(n);
  await one.stop('SIGKILL');
  await two.start();
  await one.start();
  // The client did not hear that the last was taken.
  await send(3);
  expect(await heardUpTo(3)).toEqual([1, 2, 3]);
});

it('are not delivered again when the sender has forgotten that they were', async () => {
  // Killed before it wrote down how far the other server is.
  await one.stop('SIGKILL');
  await one.start();
  await send(4);
  expect(await heardUpTo(4)).toEqual([4]);
});

it('are not delivered again by a receiver that was killed', async () => {
  await send(5);
  expect(await heardUpTo(5)).toEqual([5]);
  await Promise.all([one.stop('SIGKILL'), two.stop('SIGKILL')]);
  await two.start();
  await one.start();
  await send(6);
  expect(await heardUpTo(6)).toEqual([6]);
});
