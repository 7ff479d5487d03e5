/**
 * Starts the server, loads it, kills it at a random moment, starts it again, and checks that nothing that was acknowledged
 * is lost, doubled or changed; and again.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { dataPaths } from '#src/data-paths.ts';
import { makeConsistencyProof } from '#streams/transparency/make-proof.ts';
import { checkProof } from '#streams/transparency/proof.ts';
import { readPublicKey } from '#streams/transparency/signing-key.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { SteleProcess, type TestUser } from '#test/support/stele-process.ts';

export interface CrashOptions {
  readonly cycles: number;
  /** Makes the moments of the crashes the same again, as far as the machine allows. */
  readonly seed: number;
  /** Concurrent senders. */
  readonly senders: number;
  /** The server is killed after at least and at most so many milliseconds of load. */
  readonly minLoadMs: number;
  readonly maxLoadMs: number;
  /** In one of so many cycles the server is killed once more while it starts. */
  readonly killStartEvery: number;
  /** `stele verify` and the consistency of old checkpoints are checked every so many cycles, and after the last. */
  readonly verifyEvery: number;
  readonly onCycle?: (report: CycleReport) => void;
}

export interface CycleReport {
  readonly cycle: number;
  /** Sends acknowledged before the crash. */
  readonly acknowledged: number;
  /** Sends under way at the crash that turned out to be durable. */
  readonly durableUnacknowledged: number;
  /** Sends under way at the crash that left no trace. */
  readonly gone: number;
  readonly restartMs: number;
  /** Whether it was killed once more while it started. */
  readonly startKilled: boolean;
}

/** About how long a server takes to start: within it, it is killed while it starts. */
const START_MS = 1_000;

/** A send and what became of it. */
interface Sent {
  readonly body: string;
  readonly txnId: string;
  /** Set when the server answered. */
  eventId?: string;
}

/** A finding: what the server did that it may never do. */
export class CrashFinding extends Error {
  override readonly name = 'CrashFinding';
}

/** Runs the cycles. @throws {CrashFinding} at the first thing that is not as it must be. */
export async function runCrashCycles(options: CrashOptions): Promise<readonly CycleReport[]> {
  const random = mulberry32(options.seed);
  const stele = await SteleProcess.make();
  const reports: CycleReport[] = [];
  const checkpoints: string[] = [];
  try {
    await stele.start();
    const user = await stele.register('survivor');
    const roomId = String((await user.call('POST', '/createRoom', { preset: 'private_chat' }))['room_id']);
    const everything = new Map<string, string>();
    let since = await syncToken(user);
    for (let cycle = 1; cycle <= options.cycles; cycle++) {
      const loadMs = options.minLoadMs + random() * (options.maxLoadMs - options.minLoadMs);
      const sent = await loadUntilKilled(stele, user, roomId, cycle, options.senders, loadMs);
      await rememberCheckpoint(stele, checkpoints);
      const startKilled = random() * options.killStartEvery < 1;
      if (startKilled) await stele.startAndKill(random() * START_MS);
      const restartedMs = performance.now();
      await stele.start();
      const restartMs = performance.now() - restartedMs;

      const missed = await syncFrom(user, roomId, since);
      const report = { cycle, restartMs, startKilled, ...checkAfterCrash(cycle, sent, missed.events) };
      for (const [eventId, body] of missed.events) everything.set(eventId, body);
      await checkResends(user, roomId, sent, missed.events);
      since = await syncToken(user, missed.since);
      for (const [eventId, body] of (await syncFrom(user, roomId, missed.since)).events) everything.set(eventId, body);
      if (cycle % options.verifyEvery === 0 || cycle === options.cycles) {
        await checkProofs(stele, checkpoints);
        await checkWholeHistory(user, roomId, everything);
      }
      reports.push(report);
      options.onCycle?.(report);
    }
    return reports;
  } finally {
    await stele.remove();
  }
}

async function loadUntilKilled(
  stele: SteleProcess,
  user: TestUser,
  roomId: string,
  cycle: number,
  senders: number,
  loadMs: number,
): Promise<Sent[]> {
  const sent: Sent[] = [];
  let isOver = false;
  const work = Array.from({ length: senders }, async (_, sender) => {
    for (let count = 0; !isOver; count++) {
      const one: Sent = {
        body: `cycle ${cycle}, sender ${sender}, message ${count}`,
        txnId: `${cycle}-${sender}-${count}`,
      };
      sent.push(one);
      try {
        one.eventId = await send(user, roomId, one);
      } catch {
        // The server was killed under it: its outcome is open.
        return;
      }
    }
  });
  await new Promise((resolve) => setTimeout(resolve, loadMs));
  await stele.stop('SIGKILL');
  isOver = true;
  await Promise.all(work);
  return sent;
}

async function send(user: TestUser, roomId: string, { body, txnId }: Sent): Promise<string> {
  const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txnId}`;
  return String((await user.call('PUT', path, { msgtype: 'm.text', body }))['event_id']);
}

/** Every acknowledged send is there once under its id; every other event was sent, and is there once. */
function checkAfterCrash(
  cycle: number,
  sent: readonly Sent[],
  found: ReadonlyMap<string, string>,
): Pick<CycleReport, 'acknowledged' | 'durableUnacknowledged' | 'gone'> {
  const idsByBody = Map.groupBy(found.keys(), (eventId) => found.get(eventId) ?? '');
  const acknowledged = sent.filter(({ eventId }) => eventId !== undefined);
  for (const { body, eventId } of acknowledged) {
    const ids = idsByBody.get(body) ?? [];
    if (ids.length !== 1 || ids[0] !== eventId) {
      throw new CrashFinding(
        `cycle ${cycle}: "${body}" was acknowledged as ${eventId}, and is there as [${ids.join(', ')}]`,
      );
    }
  }
  const bodies = new Set(sent.map(({ body }) => body));
  for (const [body, ids] of idsByBody) {
    if (!bodies.has(body)) throw new CrashFinding(`cycle ${cycle}: "${body}" was never sent in this cycle`);
    if (ids.length > 1) throw new CrashFinding(`cycle ${cycle}: "${body}" is there ${ids.length} times`);
  }
  const durable = sent.filter(({ body, eventId }) => eventId === undefined && idsByBody.has(body)).length;
  return {
    acknowledged: acknowledged.length,
    durableUnacknowledged: durable,
    gone: sent.length - acknowledged.length - durable,
  };
}

/** A client sends again what was not answered: it gets the event that is there, or a new one, never a second. */
async function checkResends(
  user: TestUser,
  roomId: string,
  sent: readonly Sent[],
  found: ReadonlyMap<string, string>,
): Promise<void> {
  const idByBody = new Map([...found].map(([eventId, body]) => [body, eventId]));
  for (const one of sent.filter(({ eventId }) => eventId === undefined)) {
    const eventId = await send(user, roomId, one);
    const known = idByBody.get(one.body);
    if (known !== undefined && known !== eventId) {
      throw new CrashFinding(`"${one.body}" is durable as ${known}, but sending it again made ${eventId}`);
    }
  }
}

/** The log verifies as a whole, and extends every checkpoint that was seen. */
async function checkProofs(stele: SteleProcess, checkpoints: readonly string[]): Promise<void> {
  const verified = await stele.run('verify', '--config', stele.configFile);
  if (verified.status !== 0) throw new CrashFinding(`stele verify found: ${verified.stdout}${verified.stderr}`);
  const [oldest] = checkpoints;
  if (oldest === undefined) throw new CrashFinding('no checkpoint was ever published');

  const paths = dataPaths(stele.dataDir);
  const verifier = await readPublicKey(paths.logSigningKey);
  const published = { files: new TileFiles(paths.transparency), verifier };
  for (const checkpoint of new Set(checkpoints)) {
    const proof = await makeConsistencyProof(published, checkpoint).catch((error: unknown) => {
      throw new CrashFinding(`an old checkpoint is contradicted:\n${checkpoint}`, { cause: error });
    });
    checkProof(proof, { trustedKey: verifier.text });
  }

  // The oldest once more as an operator would.
  const file = path.join(stele.folder, 'oldest');
  await writeFile(file, oldest);
  const proved = await stele.run('proof', 'consistency', file, '--config', stele.configFile);
  await writeFile(file, proved.stdout);
  const checked = await stele.run('proof', 'check', file, '--key', verifier.text);
  if (proved.status !== 0 || checked.status !== 0)
    throw new CrashFinding(`the oldest checkpoint is contradicted: ${proved.stderr}${checked.stdout}${checked.stderr}`);
}

async function rememberCheckpoint(stele: SteleProcess, checkpoints: string[]): Promise<void> {
  try {
    checkpoints.push(await readFile(path.join(stele.dataDir, 'transparency', 'checkpoint'), 'utf8'));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

/** Paging from the end to the beginning gives every message once. */
async function checkWholeHistory(
  user: TestUser,
  roomId: string,
  everything: ReadonlyMap<string, string>,
): Promise<void> {
  const seen = messagesOf(await Array.fromAsync(pagesBack(user, roomId)), '/messages');
  for (const [eventId, body] of everything) {
    if (seen.get(eventId) !== body) throw new CrashFinding(`/messages does not give ${eventId} ("${body}")`);
  }
}

interface Page {
  readonly chunk: readonly ClientEvent[];
  readonly end?: string;
}

interface ClientEvent {
  readonly event_id: string;
  readonly type: string;
  readonly content: Record<string, unknown>;
}

interface SyncAnswer {
  readonly next_batch: string;
  readonly rooms?: {
    readonly join?: Record<
      string,
      {
        readonly timeline: {
          readonly events: readonly ClientEvent[];
          readonly limited?: boolean;
          readonly prev_batch: string;
        };
      }
    >;
  };
}

/** Lower than what a cycle sends, so that most answers have a gap to fill. */
const TIMELINE_LIMIT = 50;
const FILTER = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: TIMELINE_LIMIT } } }));

async function syncToken(user: TestUser, since?: string): Promise<string> {
  const query = `timeout=0${since === undefined ? '' : `&since=${since}`}`;
  return String((await user.call('GET', `/sync?${query}`))['next_batch']);
}

/** The messages that a client has when it syncs from an old token and fills the gap, by event id, and the next token. */
async function syncFrom(
  user: TestUser,
  roomId: string,
  since: string,
): Promise<{ events: Map<string, string>; since: string }> {
  const answer = (await user.call('GET', `/sync?timeout=0&since=${since}&filter=${FILTER}`)) as unknown as SyncAnswer;
  const timeline = answer.rooms?.join?.[roomId]?.timeline;
  const found = [...(timeline?.events ?? [])];
  if (timeline?.limited) {
    for await (const event of pagesBack(user, roomId, timeline.prev_batch, since)) found.push(event);
  }
  return { events: messagesOf(found, 'a sync and filling its gap'), since: answer.next_batch };
}

/** All events of a room from a token (default: the end) back to another (default: the beginning), the latest first. */
async function* pagesBack(user: TestUser, roomId: string, from?: string, to?: string): AsyncGenerator<ClientEvent> {
  let next = from;
  do {
    const query = new URLSearchParams({ dir: 'b', limit: '500', ...(next && { from: next }), ...(to && { to }) });
    const page = (await user.call('GET', `/rooms/${encodeURIComponent(roomId)}/messages?${query}`)) as unknown as Page;
    yield* page.chunk;
    next = page.end;
  } while (next !== undefined);
}

function messagesOf(events: Iterable<ClientEvent>, source: string): Map<string, string> {
  const messages = new Map<string, string>();
  for (const { event_id: eventId, type, content } of events) {
    if (type !== 'm.room.message') continue;
    if (messages.has(eventId)) throw new CrashFinding(`${source} gives ${eventId} twice`);
    messages.set(eventId, String(content['body']));
  }
  return messages;
}

/** A small seeded generator of numbers in [0, 1), after Tommy Ettinger's Mulberry32. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
