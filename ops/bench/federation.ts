/** What goes on between servers: coming into a large room, letting others in, taking in what they send, and sending to many. */
import { readFile } from 'node:fs/promises';
import type { JsonObject } from '#protocol/pdu.ts';
import { BENCH_TLS, BenchPeers, PeerCalls, type PeerRoom } from './peers.ts';
import { startCrowdedRoom } from './peers-thread.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, type BenchUser, startFederatedServer } from './server.ts';

const MEMBERS = 10_000;
const ORIGINS = 20;
const PDUS_PER_TRANSACTION = 50;
const TRANSACTIONS = 100;
const DESTINATIONS = 200;
const SEND_MS = 8_000;
const WRITERS = 4;
const WRITE_EVERY_MS = 150;
const MESSAGE = JSON.stringify({ msgtype: 'm.text', body: 'x'.repeat(160) });
const PROBE_EVERY_MS = 5;
/** Budgets: DESIGN of the project, "Budgets". */
const JOIN_ANSWER_BUDGET_MS = 1000;
const JOIN_BUDGET_MS = 5000;
const INBOUND_BUDGET_PER_S = 1000;
const OUTBOUND_BUDGET_RATIO = 1.2;
const CLOCK_TICKS_PER_S = 100;

type FederatedServer = BenchServer & { readonly name: string };

export async function runFederationBench(): Promise<BenchResult[]> {
  const peers = await BenchPeers.start(ORIGINS);
  const server = await startFederatedServer(BENCH_TLS);
  const calls = new PeerCalls(server.name, ORIGINS);
  try {
    const user = await server.register('owner');
    return [
      ...(await joining(server, user, peers, calls)),
      ...(await inbound(server, user, peers, calls)),
      await outbound(server, user),
    ];
  } finally {
    await calls.close();
    await server.stop();
    await peers.stop();
  }
}

/** A user of the server comes into a large room; then one of another server through this one. */
async function joining(
  server: FederatedServer,
  user: BenchUser,
  peers: BenchPeers,
  calls: PeerCalls,
): Promise<BenchResult[]> {
  const room = peers.makeRoom(MEMBERS);
  // The room may have come in an answer that only members are told in: V8 has seen nothing of it before, as after any start.
  const entered = await watched(server, async () => {
    await join(user, room);
    const synced = await user.call('GET', '/sync?timeout=0');
    const joined = (synced['rooms'] as { join?: Record<string, unknown> } | undefined)?.join ?? {};
    if (!(room.roomId in joined)) throw new Error('the room is not in the sync');
  });
  const [peer] = peers.peers;
  if (peer === undefined) throw new Error('there is no peer');
  const userId = `@newcomer:${peer.name}`;
  const path = encodeURIComponent(room.roomId);
  const made = JSON.parse(
    await calls.call(peer, 'GET', `/_matrix/federation/v1/make_join/${path}/${encodeURIComponent(userId)}?ver=12`),
  ) as { event: JsonObject };
  const { pdu, eventId } = room.signed(peer, made.event);
  let answerBytes = 0;
  const answered = await watched(server, async () => {
    const uri = `/_matrix/federation/v2/send_join/${path}/${encodeURIComponent(eventId)}`;
    answerBytes = (await calls.call(peer, 'PUT', uri, pdu)).length;
  });
  room.goOn(eventId, pdu.depth);
  const details = (what: Watched): BenchResult['details'] => ({
    'CPU s': what.cpuSeconds,
    'longest pause ms': what.longestPauseMs,
  });
  return [
    budget(`join a room of ${MEMBERS} members, to its first sync`, entered.ms, 'ms', JOIN_BUDGET_MS, details(entered)),
    budget(`send_join answer of a room of ${MEMBERS} members`, answered.ms, 'ms', JOIN_ANSWER_BUDGET_MS, {
      ...details(answered),
      MiB: answerBytes / 2 ** 20,
    }),
  ];
}

/** Events of many servers: a conversation that goes round, a room for each, and all of them at once in one room. */
async function inbound(
  server: FederatedServer,
  user: BenchUser,
  peers: BenchPeers,
  calls: PeerCalls,
): Promise<BenchResult[]> {
  const round = peers.makeRoom(ORIGINS);
  await join(user, round);
  const one = await receiving(server, calls, async (send) => {
    for (let count = 0; count < TRANSACTIONS; count += 1) await send(chain(round, count % ORIGINS));
  });
  const rooms: PeerRoom[] = [];
  for (const peer of peers.peers) {
    const room = peers.makeRoom(1, [peer]);
    await join(user, room);
    rooms.push(room);
  }
  const each = await receiving(server, calls, async (send) => {
    await Promise.all(
      rooms.map(async (room) => {
        for (let count = 0; count < TRANSACTIONS / ORIGINS; count += 1) await send(chain(room, 0));
      }),
    );
  });
  const forked = peers.makeRoom(ORIGINS);
  await join(user, forked);
  const start = { eventId: forked.last, depth: 100 };
  const together = await receiving(server, calls, async (send) => {
    await Promise.all(
      peers.peers.map(async (_peer, index) => {
        await send(chain(forked, index, start));
      }),
    );
  });
  return [
    inboundResult(`events of ${ORIGINS} servers in turn in one room`, one),
    inboundResult(`events of ${ORIGINS} servers in a room each`, each),
    inboundResult(`events of ${ORIGINS} servers in one room that do not wait for each other`, together),
  ];
}

interface Batch {
  readonly room: PeerRoom;
  readonly member: number;
  readonly pdus: JsonObject[];
}

function chain(room: PeerRoom, member: number, from?: { readonly eventId: string; readonly depth: number }): Batch {
  const pdus: JsonObject[] = [];
  let after = from;
  for (let index = 0; index < PDUS_PER_TRANSACTION; index += 1) {
    const made = room.message(member, `${'x'.repeat(160)}${index}`, after);
    if (from === undefined) room.goOn(made.eventId, made.depth);
    else after = made;
    pdus.push(made.pdu);
  }
  return { room, member, pdus };
}

interface Received extends Watched {
  readonly pdus: number;
}

/** The time in which batches are made is not the server's, so they are made before. */
async function receiving(
  server: FederatedServer,
  calls: PeerCalls,
  script: (send: (batch: Batch) => Promise<void>) => Promise<void>,
): Promise<Received> {
  const batches: Batch[] = [];
  await script((batch) => {
    batches.push(batch);
    return Promise.resolve();
  });
  const byRoom = Map.groupBy(
    batches,
    ({ room, member }) => `${room.roomId}${room === batches[0]?.room && isInTurn(batches) ? '' : member}`,
  );
  let txn = 0;
  const result = await watched(server, async () => {
    await Promise.all(
      [...byRoom.values()].map(async (line) => {
        for (const { room, member, pdus } of line) {
          const peer = room.servers[member % room.servers.length];
          if (peer === undefined) continue;
          const content = { origin: peer.name, origin_server_ts: Date.now(), pdus };
          const said = await calls.call(peer, 'PUT', `/_matrix/federation/v1/send/${Date.now()}x${txn++}`, content);
          if (said.includes('"error"')) throw new Error(`events were refused: ${said.slice(0, 300)}`);
        }
      }),
    );
  });
  return { ...result, pdus: batches.reduce((sum, { pdus }) => sum + pdus.length, 0) };
}

/** Whether the batches of one room follow each other. */
function isInTurn(batches: readonly Batch[]): boolean {
  return new Set(batches.map(({ room }) => room)).size === 1 && batches.length > ORIGINS;
}

function inboundResult(name: string, { pdus, ms, cpuSeconds, longestPauseMs }: Received): BenchResult {
  const figure = (pdus / ms) * 1000;
  return {
    name,
    figure,
    unit: 'events/s',
    ceiling: INBOUND_BUDGET_PER_S,
    ceilingName: 'budget',
    ratio: figure / INBOUND_BUDGET_PER_S,
    details: { 'events per CPU s': pdus / cpuSeconds, 'longest pause ms': longestPauseMs },
  };
}

/** Sends of local users into a room with many servers, half of which are gone, beside one with none. */
async function outbound(server: FederatedServer, user: BenchUser): Promise<BenchResult> {
  const crowd = await startCrowdedRoom(DESTINATIONS);
  let transactions = 0;
  let isStopped = false;
  try {
    await user.call('POST', `/join/${encodeURIComponent(crowd.roomId)}?via=${encodeURIComponent(crowd.via)}`, {});
    await crowd.halve();
    const local = await user.createRoom({ preset: 'public_chat' });
    await sends(server, user, local, 'warm', SEND_MS / 2);
    const alone = await sends(server, user, local, 'a', SEND_MS);
    const among = await sends(server, user, crowd.roomId, 'b', SEND_MS);
    isStopped = true;
    transactions = await crowd.stop();
    return {
      name: `send among ${DESTINATIONS} servers, half of them down, p99`,
      figure: among.p99Ms,
      unit: 'ms',
      ceiling: alone.p99Ms,
      ceilingName: 'in a room of this server alone',
      ratio: among.p99Ms / alone.p99Ms,
      details: {
        'budget ratio': OUTBOUND_BUDGET_RATIO,
        'p50 ms': among.p50Ms,
        'p50 ms alone': alone.p50Ms,
        'sends/s': among.perSecond,
        'sends/s alone': alone.perSecond,
        'CPU s': among.cpuSeconds,
        'CPU s alone': alone.cpuSeconds,
        'transactions out': transactions,
      },
    };
  } finally {
    if (!isStopped) await crowd.stop();
  }
}

/** Users who write a message every so often, and wait for its answer. */
async function sends(
  server: BenchServer,
  user: BenchUser,
  room: string,
  run: string,
  durationMs: number,
): Promise<Sends> {
  const url = `http://${server.host}:${server.port}/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message`;
  const latencies: number[] = [];
  const under = await watched(server, async () => {
    const endMs = performance.now() + durationMs;
    await Promise.all(
      Array.from({ length: WRITERS }, async (_, writer) => {
        for (let count = 0; performance.now() < endMs; count += 1) {
          const askedMs = performance.now();
          const answer = await fetch(`${url}/${run}${writer}-${count}`, {
            method: 'PUT',
            headers: { authorization: `Bearer ${user.token}`, 'content-type': 'application/json' },
            body: MESSAGE,
          });
          await answer.arrayBuffer();
          if (!answer.ok) throw new Error(`a message was answered with ${answer.status}`);
          latencies.push(performance.now() - askedMs);
          await new Promise((resolve) => setTimeout(resolve, WRITE_EVERY_MS));
        }
      }),
    );
  });
  latencies.sort((x, y) => x - y);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { ...under, p50Ms: at(0.5), p99Ms: at(0.99), perSecond: (latencies.length / under.ms) * 1000 };
}

async function join(user: BenchUser, room: PeerRoom): Promise<void> {
  const via = room.servers[0]?.name ?? '';
  await user.call('POST', `/join/${encodeURIComponent(room.roomId)}?via=${encodeURIComponent(via)}`, {});
}

interface Watched {
  readonly ms: number;
  readonly cpuSeconds: number;
  /** The longest that a small request took meanwhile. */
  readonly longestPauseMs: number;
}

interface Sends extends Watched {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
}

/** Does something, and finds out what it cost the server. */
async function watched(server: BenchServer, work: () => Promise<void>): Promise<Watched> {
  const before = await cpuSeconds(server.pid);
  let isDone = false;
  let longestPauseMs = 0;
  const probe = (async () => {
    while (!isDone) {
      const askedMs = performance.now();
      await (await fetch(`http://${server.host}:${server.port}/_matrix/client/versions`)).arrayBuffer();
      longestPauseMs = Math.max(longestPauseMs, performance.now() - askedMs);
      await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS));
    }
  })();
  const startedMs = performance.now();
  try {
    await work();
  } finally {
    isDone = true;
  }
  const ms = performance.now() - startedMs;
  await probe;
  return { ms, cpuSeconds: (await cpuSeconds(server.pid)) - before, longestPauseMs };
}

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_S;
}

function budget(
  name: string,
  figure: number,
  unit: string,
  most: number,
  details: BenchResult['details'],
): BenchResult {
  return { name, figure, unit, ceiling: most, ceilingName: 'budget', ratio: figure / most, details };
}
