/** What other servers send: how fast their events are taken in. */
import type { JsonObject } from '#protocol/pdu.ts';
import { type FederatedServer, join, ORIGINS, type Watched, watched } from './federation-watch.ts';
import { BENCH_TLS, BenchPeers, PeerCalls, type PeerRoom } from './peers.ts';
import type { BenchResult } from './result.ts';
import { type BenchUser, startFederatedServer } from './server.ts';

const PDUS_PER_TRANSACTION = 50;
const TRANSACTIONS = 100;
/** Budget: DESIGN of the project, "Budgets". */
const INBOUND_BUDGET_PER_S = 1000;

/** Starts the server with further arguments for Node, as for a profile. */
export async function runInboundBench(nodeArguments: readonly string[] = []): Promise<BenchResult[]> {
  const peers = await BenchPeers.start(ORIGINS);
  const server = await startFederatedServer(BENCH_TLS, nodeArguments);
  const calls = new PeerCalls(server.name, ORIGINS);
  try {
    return await inbound(server, await server.register('owner'), peers, calls);
  } finally {
    await calls.close();
    await server.stop();
    await peers.stop();
  }
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
