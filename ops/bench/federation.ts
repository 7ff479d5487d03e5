/** Rooms between servers: coming into a large one, and letting others in. */
import type { JsonObject } from '#protocol/pdu.ts';
import { type FederatedServer, join, ORIGINS, type Watched, watched } from './federation-watch.ts';
import { BENCH_TLS, BenchPeers, PeerCalls } from './peers.ts';
import type { BenchResult } from './result.ts';
import { type BenchUser, startFederatedServer } from './server.ts';

const MEMBERS = 10_000;
/** Budgets: DESIGN of the project, "Budgets". */
const JOIN_ANSWER_BUDGET_MS = 1000;
const JOIN_BUDGET_MS = 5000;

export async function runFederationBench(): Promise<BenchResult[]> {
  const peers = await BenchPeers.start(ORIGINS);
  const server = await startFederatedServer(BENCH_TLS);
  const calls = new PeerCalls(server.name, ORIGINS);
  try {
    const user = await server.register('owner');
    return await joining(server, user, peers, calls);
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

function budget(
  name: string,
  figure: number,
  unit: string,
  most: number,
  details: BenchResult['details'],
): BenchResult {
  return { name, figure, unit, ceiling: most, ceilingName: 'budget', ratio: figure / most, details };
}
