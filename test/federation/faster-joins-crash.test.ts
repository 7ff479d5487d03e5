/** Killed while it does not know all members of a room yet: the next run of the server goes on. */
import { Agent, request } from 'undici';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventIdOf } from '#protocol/hashing.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { Gate } from '#test/support/gate.ts';
import { HostilePeer } from '#test/support/hostile-peer.ts';
import { freePort, SteleProcess, type TestUser } from '#test/support/stele-process.ts';
import { TEST_CA, TLS_PATHS } from '#test/support/tls-peer.ts';

const PATIENCE_MS = 60_000;

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
    federation: {
      allow_private_addresses: true,
      ca_file: TLS_PATHS.ca,
      trusted_key_servers: [],
    },
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

const roomPath = (rest: string) => `/rooms/${encodeURIComponent(peer.room.roomId)}${rest}`;
const pdusOf = (ids: Iterable<string>) => [...ids].flatMap((id) => peer.room.events.get(id)?.pdu ?? []);

/** Sends a transaction; whether it was answered that each event was taken. */
async function isTaken(pdus: readonly JsonObject[]): Promise<boolean> {
  const { path, content } = peer.transaction(pdus);
  const { authorization, payload } = peer.request(name, 'PUT', path, content);
  const headers = { authorization, 'content-type': 'application/json' };
  const answer = await request(`https://${name}${path}`, { method: 'PUT', headers, body: payload, dispatcher: agent });
  const told = (await answer.body.json()) as { pdus?: Record<string, { error?: string }> };
  return answer.statusCode === 200 && Object.values(told.pdus ?? {}).every(({ error }) => error === undefined);
}

it(
  'has what was said, and who is there',
  async () => {
    const { room } = peer;
    let joinId = '';
    let tellsState = false;
    let isAsked: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    peer.lie = ({ path, body }) => {
      const before = room.events.get(joinId)?.before ?? new Map<string, string>();
      if (path.includes('/send_join/')) {
        joinId = eventIdOf(body as Pdu, room.rules);
        room.take(joinId, body as Pdu);
        const all = room.events.get(joinId)?.before ?? new Map<string, string>();
        const told = [...all].filter(([key]) => !key.includes('m.room.member')).map(([, id]) => id);
        return {
          body: {
            origin: peer.name,
            event: body,
            state: pdusOf(told),
            auth_chain: room.withAuthChain([...told, joinId]).filter((event) => event !== body),
            members_omitted: true,
            servers_in_room: [peer.name],
          },
        };
      }
      if (!path.includes('/v1/state/')) return undefined;
      isAsked();
      // What is not answered is broken off when the server is killed.
      return tellsState
        ? { body: { pdus: pdusOf(before.values()), auth_chain: room.withAuthChain(before.values()) } }
        : () => {};
    };
    await alice.call('POST', `/join/${encodeURIComponent(room.roomId)}?via=${encodeURIComponent(peer.name)}`, {});
    await asked;
    const content = { msgtype: 'm.text', body: 'mine' };
    const mine = String((await alice.call('PUT', roomPath('/send/m.room.message/1'), content))['event_id']);
    const ann = `@ann:${peer.name}`;
    const theirs = room.add({ sender: ann, type: 'm.room.message', content: { ...content, body: 'theirs' } });
    expect(await isTaken([theirs.pdu])).toBe(true);

    await stele.stop('SIGKILL');
    tellsState = true;
    await stele.start();
    const joined = async (): Promise<string[]> => {
      const told = await alice.call('GET', roomPath('/joined_members')).catch(() => ({}));
      return Object.keys((told as { joined?: object }).joined ?? {}).sort();
    };
    await expect.poll(joined, { timeout: PATIENCE_MS }).toEqual([alice.userId, ann, `@bob:${peer.name}`].sort());
    const bodyOf = async (eventId: string): Promise<unknown> => {
      const found = await alice.call('GET', roomPath(`/event/${encodeURIComponent(eventId)}`)).catch(() => undefined);
      return (found?.['content'] as { body?: string } | undefined)?.body;
    };
    expect(await bodyOf(mine)).toBe('mine');
    await expect.poll(() => bodyOf(theirs.eventId), { timeout: PATIENCE_MS }).toBe('theirs');
    const checked = await stele.stop().then(() => stele.run('replay', '--check', '--config', stele.configFile));
    expect(checked.status, checked.stdout + checked.stderr).toBe(0);
  },
  4 * PATIENCE_MS,
);
