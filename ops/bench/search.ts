/** How fast messages are indexed for the search, how large the index is, and how fast it answers. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { searchProjections } from '#projections/catalogue.ts';
import { Environment } from '#projections/engine/environment.ts';
import { rebuild } from '#projections/engine/replay.ts';
import { RowReader } from '#projections/engine/row-access.ts';
import { pduRecord } from '#projections/rooms/pdu-record.ts';
import { searchRoom, searchTermsOf } from '#projections/search/queries.ts';
import { buildEvent } from '#protocol/build-event.ts';
import { splitPdu } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { type SigningKey, signingKeyFromSeed } from '#protocol/signing.ts';
import { BEFORE_FIRST, type EventLog, NO_STREAM, type RecordDraft } from '#streams/event-log.ts';
import { openLog, openLogReadOnly } from '#streams/open-log.ts';
import type { BenchResult } from './result.ts';

const ROOM_VERSION = '11';
const SERVER_NAME = 'bench.invalid';
const ROOMS = 20;
const EVENTS_PER_APPEND = 50;
const APPENDS_AT_ONCE = 50;
const FIRST_EVENT_MS = 1_700_000_000_000;
const VOCABULARY = 30_000;
const QUERIES = 200;
/** Terms of one to three words, common and rare, whole and begun. */
const QUERY_SHAPES = [[20], [200], [5_000], [3, 40], [40, 900], [2, 15, 300]] as const;

export interface SearchBenchOptions {
  /** Default 100,000. */
  readonly messages?: number;
}

/** Writes a log of messages, indexes it, and searches all rooms. */
export async function runSearchBench(options: SearchBenchOptions = {}): Promise<readonly BenchResult[]> {
  const messages = options.messages ?? 100_000;
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-search-'));
  try {
    const logFolder = path.join(folder, 'log');
    const dir = path.join(folder, 'search');
    const writing = await openLog({ folder: logFolder });
    const textBytes = await writeMessages(writing, messages).finally(() => writing.close());
    const log = await openLogReadOnly({ folder: logFolder });
    try {
      const reading = await rateOf(messages, async () => {
        for await (const _ of log.readAll(BEFORE_FIRST));
      });
      const startedMs = performance.now();
      const rate = await rateOf(messages, () => rebuild({ dir, projections: searchProjections, log }));
      const seconds = (performance.now() - startedMs) / 1000;
      const { size } = await stat(path.join(dir, 'env-1', 'data.mdb'));
      const timings = await searchAll(path.join(dir, 'env-1'));
      return [
        {
          name: 'index messages for the search',
          figure: rate,
          unit: 'messages/s of CPU time',
          ceiling: reading,
          ceilingName: 'reading and opening the same log',
          ratio: rate / reading,
          details: {
            messages,
            'by the clock, messages/s': Math.round(messages / seconds),
            'index, share of the text': Math.round((100 * size) / textBytes) / 100,
          },
        },
        {
          name: `search ${messages.toLocaleString('en')} messages`,
          figure: percentile(timings, 0.5),
          unit: 'ms of CPU time',
          ceiling: 20,
          ceilingName: 'the budget',
          ratio: percentile(timings, 0.99) / 20,
          details: { 'p99 ms': percentile(timings, 0.99), queries: timings.length },
        },
      ];
    } finally {
      await log.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function searchAll(environmentPath: string): Promise<number[]> {
  const environment = new Environment({ path: environmentPath, projections: searchProjections, readOnly: true });
  try {
    const reader = new RowReader(environment, () => environment.readCheckpoint().position);
    const timings: number[] = [];
    for (let query = 0; query < QUERIES; query += 1) {
      const shape = QUERY_SHAPES[query % QUERY_SHAPES.length] ?? [1];
      const words = shape.map((rank) => wordOfRank(rank + (query % 7)));
      const last = words.at(-1) ?? '';
      const text = [...words.slice(0, -1), query % 2 === 0 ? last : last.slice(0, 4)].join(' ');
      const before = process.cpuUsage();
      const terms = searchTermsOf(text);
      for (let room = 0; terms !== undefined && room < ROOMS; room += 1) searchRoom(reader, roomIdOf(room), terms);
      timings.push(cpuMsSince(before));
    }
    return timings.sort((a, b) => a - b);
  } finally {
    await environment.close();
  }
}

/** How many messages a second of CPU time takes; on a busy machine the clock says little. */
async function rateOf(messages: number, work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  return Math.round((1000 * messages) / cpuMsSince(before));
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function percentile(sorted: readonly number[], share: number): number {
  return Math.round(100 * (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)) / 100;
}

/** Writes the messages; gives the bytes of their text. */
async function writeMessages(log: EventLog, messages: number): Promise<number> {
  const rules = roomVersionRules(ROOM_VERSION);
  if (rules === undefined) throw new Error(`room version ${ROOM_VERSION} is unknown`);
  const key = signingKeyFromSeed('bench', Buffer.alloc(32, 1));
  const next = random(1);
  const revisions = new Array<number>(ROOMS).fill(NO_STREAM);
  let textBytes = 0;
  let underWay: Promise<unknown>[] = [];
  for (let written = 0; written < messages; written += EVENTS_PER_APPEND) {
    const room = (written / EVENTS_PER_APPEND) % ROOMS;
    const drafts: RecordDraft[] = [];
    for (let index = 0; index < EVENTS_PER_APPEND; index += 1) {
      const body = sentence(next);
      textBytes += Buffer.byteLength(body);
      drafts.push(message(rules, key, { room, serial: written + index, body }));
    }
    underWay.push(log.append(`room-bench${room}`, revisions[room] ?? NO_STREAM, drafts));
    revisions[room] = (revisions[room] ?? NO_STREAM) + drafts.length;
    if (underWay.length < APPENDS_AT_ONCE) continue;
    await Promise.all(underWay);
    underWay = [];
  }
  await Promise.all(underWay);
  return textBytes;
}

function roomIdOf(room: number): string {
  return `!bench${room}:${SERVER_NAME}`;
}

function message(
  rules: RoomVersionRules,
  key: SigningKey,
  { room, serial, body }: { readonly room: number; readonly serial: number; readonly body: string },
): RecordDraft {
  const draft = {
    type: 'm.room.message',
    room_id: roomIdOf(room),
    sender: `@member${serial % 40}:${SERVER_NAME}`,
    content: { msgtype: 'm.text', body },
    origin_server_ts: FIRST_EVENT_MS + serial * 1000,
    depth: serial + 1,
    prev_events: [],
    auth_events: [],
  };
  const { eventId, pdu, skeletonJson } = buildEvent(draft, rules, SERVER_NAME, key);
  const id = Buffer.alloc(16);
  id.writeUInt32BE(serial, 0);
  const meta = { eventId, roomId: roomIdOf(room), roomVersion: ROOM_VERSION, disposition: 'accepted' } as const;
  return pduRecord(id, meta, pdu, skeletonJson, splitPdu(pdu, rules).stripped);
}

/** Four to forty words, by Zipf's law: a few are everywhere, most are rare. */
function sentence(next: () => number): string {
  const words: string[] = [];
  for (let left = 4 + Math.floor(36 * next() ** 2); left > 0; left -= 1) {
    words.push(wordOfRank(Math.floor(VOCABULARY ** next())));
  }
  return words.join(' ');
}

const SYLLABLES = [
  'ba',
  'cor',
  'di',
  'fel',
  'gu',
  'han',
  'jo',
  'kis',
  'lem',
  'mo',
  'nar',
  'pu',
  'ret',
  'si',
  'tol',
  'vu',
];

/** A made-up word: common ones are short. */
function wordOfRank(rank: number): string {
  let word = '';
  for (let rest = rank + 1; rest > 0; rest = Math.floor(rest / SYLLABLES.length)) {
    word += SYLLABLES[rest % SYLLABLES.length];
  }
  return word;
}

/** Numbers from 0 to 1 that are the same in each run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
