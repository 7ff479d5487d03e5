/** Stele and Synapse after half an hour in which neither reached the other, by the clock of Stele. */
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { testSigningKey } from '#test/support/federation.ts';
import { Gate } from '#test/support/gate.ts';
import type { TestUser } from '#test/support/stele-process.ts';
import { TLS_FILES, TLS_PATHS } from '#test/support/tls-peer.ts';
import {
  bodies,
  type Caller,
  create,
  eventually,
  joinBy,
  membershipOf,
  path,
  SLOW_MS,
  say,
  stateIds,
  syncOf,
} from './conversation.ts';
import { findSynapse, SynapseProcess, watchOver } from './synapse-process.ts';

const found = findSynapse();
const isHere = 'version' in found;
if (!isHere) console.warn(`SKIPPED: a partition from Synapse needs Python with matrix-synapse: ${found.missing}`);

const PARTITION_MS = 30 * 60_000;
const METHODS = { GET: 'GET', PUT: 'PUT', POST: 'POST', DELETE: 'DELETE' } as const;

/** A user of the application in this process. */
function callerOf(client: TestClient): Caller {
  return {
    userId: client.userId,
    call: (method, at, body) => client.ok(METHODS[method as keyof typeof METHODS], at, body),
  };
}

describe.skipIf(!isHere)(`Synapse ${'version' in found ? found.version : ''}`, { timeout: SLOW_MS }, () => {
  let steleGate: Gate;
  let synapseGate: Gate;
  let stele: TestApplication;
  let synapse: SynapseProcess;
  let sam: Caller;
  let yan: TestUser;
  let synapseName: string;

  beforeAll(async () => {
    [steleGate, synapseGate] = [await Gate.make(), await Gate.make()];
    const steleName = `localhost:${steleGate.port}`;
    synapseName = `localhost:${synapseGate.port}`;
    const federation = { allow_private_addresses: true, ca_file: TLS_PATHS.ca, trusted_key_servers: [] };
    stele = await startApplication(
      { server_name: steleName, federation },
      { signingKey: testSigningKey('one.test'), tls: TLS_FILES.servers },
    );
    // Keys are good for so long from now, for Synapse too.
    stele.advance(Date.now() - stele.now());
    await stele.http.listen({ host: '127.0.0.1', port: 0 });
    steleGate.leadTo((stele.http.server.address() as AddressInfo).port);
    synapse = await SynapseProcess.make(synapseName);
    synapseGate.leadTo(synapse.federationPort);
    await synapse.start();
    [sam, yan] = [callerOf(await stele.register('sam')), await synapse.register('yan')];
  }, SLOW_MS);
  afterAll(async () => {
    await stele?.close();
    await synapse?.remove();
    await steleGate?.close();
    await synapseGate?.close();
  });

  watchOver(() => synapse);

  /** Half an hour passes; Stele tries again as often as it means to, and fails. */
  async function beParted(): Promise<void> {
    const { destinations } = stele.context.federation;
    const healsAtMs = stele.now() + PARTITION_MS;
    for (;;) {
      await eventually(async () => destinations.troubleOf(synapseName) !== undefined).toBe(true);
      const retryAtMs = destinations.troubleOf(synapseName)?.retryAtMs ?? 0;
      if (retryAtMs > healsAtMs) break;
      stele.advance(Math.max(0, retryAtMs - stele.now()));
      await eventually(async () => (destinations.troubleOf(synapseName)?.retryAtMs ?? 0) > retryAtMs).toBe(true);
    }
    stele.advance(Math.max(0, healsAtMs - stele.now()));
  }

  it.each([
    ['Synapse speaks first', false],
    ['Stele tries again by itself', true],
  ])('is reached again after half an hour apart, when %s', async (_, isByItself) => {
    const roomId = await create(sam, { preset: 'public_chat', name: 'Whole' });
    const other = await create(sam, { preset: 'public_chat', name: 'Quiet' });
    for (const room of [roomId, other]) {
      await joinBy(yan, room, `localhost:${steleGate.port}`);
      await eventually(() => membershipOf(sam, room, yan.userId)).toBe('join');
      // Synapse asks for the members later, shows the room when it has them, and asks no more once it has failed.
      await eventually(async () => (await syncOf(yan, room)) !== undefined).toBe(true);
    }
    steleGate.shut();
    synapseGate.shut();
    for (let index = 0; index < 60; index += 1) await say(sam, roomId, `sam ${index}`);
    await say(sam, other, 'sam, once');
    await sam.call('PUT', path(roomId, '/state/m.room.topic'), { topic: 'as Stele has it' });
    await beParted();
    await eventually(async () => stele.context.sender.load).toMatchObject({ behind: 1, queuedEvents: 0 });
    if (!isByItself) for (let index = 0; index < 20; index += 1) await say(yan, roomId, `yan ${index}`);
    steleGate.open();
    synapseGate.open();
    if (isByItself) {
      const retryAtMs = stele.context.federation.destinations.troubleOf(synapseName)?.retryAtMs ?? 0;
      stele.advance(Math.max(0, retryAtMs - stele.now()));
    } else {
      // Synapse leaves a server alone for a while that it could not reach, and what is said meanwhile does not wake it later.
      await eventually(async () => {
        await say(yan, roomId, 'are you back?');
        return bodies(sam, roomId);
      }).toContain('are you back?');
    }
    const sams = Array.from({ length: 60 }, (_, index) => `sam ${index}`);
    const yans = isByItself ? [] : Array.from({ length: 20 }, (_, index) => `yan ${index}`);
    // What is seen first is the newest; the rest is asked for.
    await eventually(() => bodies(yan, roomId)).toEqual(expect.arrayContaining(sams));
    await eventually(() => bodies(sam, roomId)).toEqual(expect.arrayContaining(yans));
    await eventually(() => bodies(yan, other)).toContain('sam, once');
    await eventually(async () => (await stateIds(yan, roomId)).join() === (await stateIds(sam, roomId)).join()).toBe(
      true,
    );
    await eventually(async () => stele.context.federation.destinations.troubleOf(synapseName)).toBeUndefined();
  });
});
