import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { searchProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { dispositionRecord } from '#projections/rooms/disposition-record.ts';
import { type Disposition, type PduMeta, pduRecord } from '#projections/rooms/pdu-record.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { BLOCKS_TO_MERGE, LAST_LEVEL, TAIL_DOCUMENTS } from './projection.ts';
import { searchRoom, searchTermsOf } from './queries.ts';
import { blocks, gone } from './tables.ts';
import { eventsNear } from './times.ts';

const ROOM = '!room:here';
const STREAM = 'room-x';
const ALICE = '@alice:here';
const MALLORY = '@mallory:elsewhere';

let dir: string;
let log: ReturnType<typeof openMemoryLog>;
let engine: ProjectionEngine;
let serial = 0;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stele-search-'));
  log = openMemoryLog({ now: () => 1_800_000_000_000 });
  engine = await ProjectionEngine.open({ dir, log, projections: searchProjections, safeCopies: false });
  serial = 0;
});

afterEach(async () => {
  await engine.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

interface Sent {
  readonly type?: string;
  readonly sender?: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  readonly disposition?: Disposition;
  readonly ts?: number;
  readonly redacts?: string;
}

function pdu(
  { type = 'm.room.message', sender = ALICE, stateKey, content = {}, ts }: Sent,
  more: Partial<PduMeta>,
): RecordDraft {
  const event = {
    type,
    sender,
    room_id: ROOM,
    content,
    ...(stateKey !== undefined && { state_key: stateKey }),
    origin_server_ts: ts ?? 1_700_000_000_000 + 1000 * serial,
    depth: serial,
    prev_events: [],
    auth_events: [],
    hashes: {},
    signatures: {},
  } as unknown as Pdu;
  const meta: PduMeta = { eventId: `$${serial}`, roomId: ROOM, roomVersion: '11', disposition: 'accepted', ...more };
  return pduRecord(idOf(serial), meta, event, JSON.stringify({ ...event, content: {} }), { content });
}

function idOf(value: number): Uint8Array {
  const id = Buffer.alloc(16);
  id.writeUInt32BE(value);
  return id;
}

async function append(draft: RecordDraft): Promise<void> {
  await log.append(STREAM, await log.revisionOf(STREAM), [draft]);
}

/** Appends an event; gives its id. */
async function send(sent: Sent): Promise<string> {
  serial += 1;
  const { disposition = 'accepted', redacts } = sent;
  await append(pdu(sent, { disposition, ...(redacts !== undefined && { redacts }) }));
  return `$${serial}`;
}

const say = (body: string, more: Sent = {}) => send({ content: { body, msgtype: 'm.text' }, ...more });

/** A redaction that came from another server: whether it takes effect is for this one to tell. */
const redact = (target: string, sender: string) =>
  send({ type: 'm.room.redaction', sender, content: { redacts: target } });

function found(term: string): number {
  const terms = searchTermsOf(term);
  return terms === undefined ? 0 : searchRoom(engine.reader, ROOM, terms).length;
}

describe('the index', () => {
  it('has what is shown, also when it is shown later', async () => {
    await say('accepted');
    await say('history', { disposition: 'backfilled' });
    const rejected = await say('rejected', { disposition: 'rejected' });
    await say('suspicious', { disposition: 'soft_failed' });
    expect(['accepted', 'history', 'rejected', 'suspicious'].map(found)).toEqual([1, 1, 0, 0]);
    serial += 1;
    await append(dispositionRecord(idOf(serial), { eventId: rejected, disposition: 'accepted' }));
    expect(found('rejected')).toBe(1);
  });

  it('has many events in few blocks, none of them twice', async () => {
    const count = TAIL_DOCUMENTS * BLOCKS_TO_MERGE ** LAST_LEVEL + TAIL_DOCUMENTS + 3;
    for (let index = 0; index < count; index += 1) await say(`word common${index % 10} only${index}x`);
    expect([...engine.reader.keys(blocks)].map(([, level]) => level)).toEqual([0, LAST_LEVEL]);
    expect(found('word')).toBe(count);
    expect(found('common3 word')).toBe(Math.ceil((count - 3) / 10));
    for (const index of [0, 17, 700, count - 1]) expect(found(`only${index}x`)).toBe(1);
  });

  it('is the same when it is built anew', async () => {
    for (let index = 0; index < 100; index += 1) await say(`some words number ${index}`);
    await redact('$7', ALICE);
    const other = path.join(dir, 'again');
    const again = await ProjectionEngine.open({ dir: other, log, projections: searchProjections, safeCopies: false });
    const rows = (one: ProjectionEngine) =>
      [...one.reader.range(blocks)].map(({ key, value }) => [key, value.toString('hex')]);
    expect(rows(again)).toEqual(rows(engine));
    await again.close();
  });
});

describe('a redaction of another server', () => {
  it('takes words out if it comes from the same server, or from who may redact', async () => {
    await send({ type: 'm.room.create', stateKey: '', content: {} });
    const levels = { users: { [ALICE]: 100, '@mod:elsewhere': 50 }, redact: 50 };
    await send({ type: 'm.room.power_levels', stateKey: '', content: levels });
    const one = await say('one');
    const two = await say('two', { sender: MALLORY });
    const three = await say('three');
    await redact(one, MALLORY);
    await redact(two, MALLORY);
    await redact(three, '@mod:elsewhere');
    expect(['one', 'two', 'three'].map(found)).toEqual([1, 0, 0]);
  });

  it('that comes before its event keeps it out, under the same conditions', async () => {
    await redact('$3', MALLORY);
    await redact('$4', MALLORY);
    await say('third');
    await say('fourth', { sender: MALLORY });
    expect(['third', 'fourth'].map(found)).toEqual([1, 0]);
    expect([...engine.reader.keys(gone)].length).toBe(2);
  });
});

describe('an encrypted room', () => {
  it('is not indexed, also where that is only known from the state that came with the join', async () => {
    await say('before');
    await send({ type: 'm.room.encryption', stateKey: '', content: {}, disposition: 'outlier' });
    await say('after');
    expect(['before', 'after'].map(found)).toEqual([0, 0]);
  });
});

describe('times', () => {
  const near = (ts: number, direction: 'f' | 'b') =>
    Array.from(eventsNear(engine.reader, ROOM, ts, direction), ({ sentAtMs }) => sentAtMs);

  it('give the nearest event first, whatever the order in which they came', async () => {
    const all: number[] = [];
    for (let index = 0; index < 300; index += 1) {
      const ts = 1_000_000 + ((index * 7919) % 300) * 10;
      all.push(ts);
      await say('x', { ts, disposition: index % 3 === 0 ? 'backfilled' : 'accepted' });
    }
    await say('hidden', { ts: 1_000_101, disposition: 'soft_failed' });
    all.sort((a, b) => a - b);
    for (const at of [0, 1_000_000, 1_001_005, 1_001_010, 1_002_990, 2_000_000]) {
      expect(near(at, 'f')).toEqual(all.filter((ts) => ts >= at));
      expect(near(at, 'b')).toEqual(all.filter((ts) => ts <= at).reverse());
    }
  });

  it('may be equal, or out of any range', async () => {
    await say('a', { ts: 5 });
    await say('b', { ts: 5 });
    await say('c', { ts: -3 });
    await say('d', { ts: Number.MAX_SAFE_INTEGER });
    expect(near(5, 'f')).toEqual([5, 5, 2 ** 48 - 1]);
    expect(near(5, 'b')).toEqual([5, 5, 0]);
  });
});
