/** Killed in the middle of joins and transactions: what was answered with 200 is there afterwards. */

import { Agent, request } from 'undici';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { JsonObject } from '#protocol/pdu.ts';
import { Gate } from '#test/support/gate.ts';
import { HostilePeer } from '#test/support/hostile-peer.ts';
import { freePort, SteleProcess, type TestUser } from '#test/support/stele-process.ts';
import { TEST_CA, TLS_PATHS } from '#test/support/tls-peer.ts';

const ROUNDS = 4;
const TRANSACTIONS_PER_ROUND = 12;
const EVENTS_PER_TRANSACTION = 5;

let gate: Gate;
let stele: SteleProcess;
let peer: HostilePeer;
let agent: Agent;
let alice: TestUser;
let name: string;

beforeEach(async () => {
  gate = await Gate.make();
  name = `localhost:${gate.port}`;
  const federationPort = await freePort();
  gate.leadTo(federationPort);
  const tls = { cert: TLS_PATHS.cert, key: TLS_PATHS.key };
  stele = await SteleProcess.make((port) => ({
    server_name: name,
    listeners: [
      { bind: '127.0.0.1', port, serves: ['client', 'ops'] },
      { bind: '127.0.0.1', port: federationPort, serves: ['federation'], tls },
    ],
    federation: { allow_private_addresses: true, ca_file: TLS_PATHS.ca, trusted_key_servers: [] },
  }));
  await stele.start();
  peer = await HostilePeer.start((port) => `localhost:${port}`, '12', Date.now());
  agent = new Agent({ connect: { ca: TEST_CA } });
  alice = await stele.register('alice');
});
afterEach(async () => {
  await agent.destroy();
  await stele.remove();
  await peer.close();
  await gate.close();
});

const joinPath = () => `/join/${encodeURIComponent(peer.room.roomId)}?via=${encodeURIComponent(peer.name)}`;
const roomPath = (rest: string) => `/rooms/${encodeURIComponent(peer.room.roomId)}${rest}`;

/** Sends a transaction; `taken` if it was answered with 200 that each event was, else what was said instead. */
async function send(pdus: readonly JsonObject[]): Promise<string> {
  const { path, content } = peer.transaction(pdus);
  const { authorization, payload } = peer.request(name, 'PUT', path, content);
  const headers = { authorization, 'content-type': 'application/json' };
  try {
    const answer = await request(`https://${name}${path}`, {
      method: 'PUT',
      headers,
      body: payload,
      dispatcher: agent,
    });
    const told = (await answer.body.json()) as { pdus?: Record<string, { error?: string }> };
    const isTaken =
      answer.statusCode === 200 && Object.values(told.pdus ?? {}).every(({ error }) => error === undefined);
    return isTaken ? 'taken' : JSON.stringify(told);
  } catch (error) {
    return String(error);
  }
}

it('has every event of every transaction that it answered', async () => {
  await alice.call('POST', joinPath(), {});
  const taken: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const transactions = Array.from({ length: TRANSACTIONS_PER_ROUND }, () =>
      Array.from({ length: EVENTS_PER_TRANSACTION }, () =>
        peer.room.add({
          sender: `@ann:${peer.name}`,
          type: 'm.room.message',
          content: { body: 'x', msgtype: 'm.text' },
        }),
      ),
    );
    const killAfter = 2 + round * 3;
    let answered = 0;
    for (const events of transactions) {
      const sending = send(events.map(({ pdu }) => pdu));
      if (answered === killAfter) await Promise.all([stele.stop('SIGKILL'), sending]);
      if ((await sending) === 'taken') {
        taken.push(...events.map(({ eventId }) => eventId));
        answered += 1;
      } else break;
    }
    await stele.stop('SIGKILL');
    await stele.start();
    // What was not answered is sent again, as servers do; the port for servers is open a moment after that for clients.
    for (const events of transactions) {
      await expect.poll(() => send(events.map(({ pdu }) => pdu))).toBe('taken');
      taken.push(...events.map(({ eventId }) => eventId));
    }
  }
  for (const eventId of new Set(taken)) {
    expect(await alice.call('GET', roomPath(`/event/${encodeURIComponent(eventId)}`))).toMatchObject({
      event_id: eventId,
    });
  }
  const verified = await stele.stop().then(() => stele.run('verify', '--config', stele.configFile));
  expect(verified.status, verified.stdout + verified.stderr).toBe(0);
});

it('is in the room, or can join it again, after a join was cut off anywhere', async () => {
  for (const delayMs of [0, 20, 50, 100, 200]) {
    const joining = alice.call('POST', joinPath(), {}).then(
      () => true,
      () => false,
    );
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await stele.stop('SIGKILL');
    const wasAnswered = await joining;
    await stele.start();
    const { joined_rooms: rooms } = await alice.call('GET', '/joined_rooms');
    if (wasAnswered) expect(rooms).toEqual([peer.room.roomId]);
    await alice.call('POST', joinPath(), {});
    expect((await alice.call('GET', '/joined_rooms'))['joined_rooms']).toEqual([peer.room.roomId]);
    await alice.call('PUT', roomPath(`/send/m.room.message/t${delayMs}`), { body: 'in', msgtype: 'm.text' });
    await alice.call('POST', roomPath('/leave'), {});
  }
});
