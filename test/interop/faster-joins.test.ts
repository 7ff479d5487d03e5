/** Stele comes into rooms of Synapse before it knows all their members. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Gate } from '#test/support/gate.ts';
import { freePort, SteleProcess, type TestUser } from '#test/support/stele-process.ts';
import { TLS_PATHS } from '#test/support/tls-peer.ts';
import { bodies, create, eventually, joinBy, path as roomPath, SLOW_MS, say, stateIds } from './conversation.ts';
import { findSynapse, SynapseProcess, watchOver } from './synapse-process.ts';

/** More than 1 MiB together. */
const STATE_PARTS = 24;
const STATE_PART_BYTES = 50_000;

const found = findSynapse();
const isHere = 'version' in found;
if (!isHere) console.warn(`SKIPPED: the conversation with Synapse needs Python with matrix-synapse: ${found.missing}`);

describe.skipIf(!isHere)('a room of Synapse that is entered before its members are known', { timeout: SLOW_MS }, () => {
  let steleGate: Gate;
  let synapseGate: Gate;
  let stele: SteleProcess;
  let synapse: SynapseProcess;
  let sam: TestUser;
  let hosts: TestUser[];
  let synapseName: string;

  beforeAll(async () => {
    [steleGate, synapseGate] = [await Gate.make(), await Gate.make()];
    synapseName = `localhost:${synapseGate.port}`;
    const federationPort = await freePort();
    const tls = { cert: TLS_PATHS.cert, key: TLS_PATHS.key };
    stele = await SteleProcess.make((port) => ({
      server_name: `localhost:${steleGate.port}`,
      listeners: [
        { bind: '127.0.0.1', port, serves: ['client', 'ops'] },
        { bind: '127.0.0.1', port: federationPort, serves: ['federation'], tls },
      ],
      federation: {
        allow_private_addresses: true,
        ca_file: TLS_PATHS.ca,
        trusted_key_servers: [],
      },
    }));
    steleGate.leadTo(federationPort);
    synapse = await SynapseProcess.make(synapseName);
    synapseGate.leadTo(synapse.federationPort);
    await Promise.all([stele.start(), synapse.start()]);
    sam = await stele.register('sam');
    hosts = [await synapse.register('yan'), await synapse.register('yara'), await synapse.register('yuri')];
  }, SLOW_MS);
  afterAll(async () => {
    await stele?.remove();
    await synapse?.remove();
    await steleGate?.close();
    await synapseGate?.close();
  });

  watchOver(() => synapse);

  it.each(['10', '12'])('is the same room for both in the end (version %s)', async (version) => {
    const [yan, yara, yuri] = hosts as [TestUser, TestUser, TestUser];
    const roomId = await create(yan, { preset: 'public_chat', room_version: version, name: 'Tea' });
    // A room whose state is small would come whole with the join.
    for (let part = 0; part < STATE_PARTS; part += 1) {
      await yan.call('PUT', roomPath(roomId, `/state/test.large/${part}`), { text: 'x'.repeat(STATE_PART_BYTES) });
    }
    await joinBy(yara, roomId, synapseName);
    await joinBy(yuri, roomId, synapseName);
    await joinBy(sam, roomId, synapseName);
    await say(sam, roomId, 'from Stele');
    await say(yara, roomId, 'from Synapse');
    await eventually(() => bodies(yan, roomId)).toEqual(expect.arrayContaining(['from Stele', 'from Synapse']));
    await eventually(() => bodies(sam, roomId)).toEqual(expect.arrayContaining(['from Stele', 'from Synapse']));
    const joined = async () => {
      const answer = (await sam.call('GET', roomPath(roomId, '/joined_members'))) as { joined?: object };
      return Object.keys(answer.joined ?? {}).sort();
    };
    await eventually(joined).toEqual([sam, yan, yara, yuri].map(({ userId }) => userId).sort());
    await eventually(async () => (await stateIds(sam, roomId)).join()).toBe((await stateIds(yan, roomId)).join());
    expect(await recordsOf('room.members_told')).toBeGreaterThan(0);
  });

  /** How often the log has a kind of record: kinds are public. */
  async function recordsOf(kind: string): Promise<number> {
    const names = await readdir(stele.dataDir, { recursive: true });
    let count = 0;
    for (const name of names.filter((one) => one.endsWith('.seg'))) {
      count += (await readFile(path.join(stele.dataDir, name))).toString('latin1').split(kind).length - 1;
    }
    return count;
  }
});
