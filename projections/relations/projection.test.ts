import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { AnyTable, Table } from '#projections/engine/table.ts';
import { pduRecord } from '#projections/rooms/pdu-record.ts';
import { eventAt, eventById } from '#projections/rooms/queries.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { bundledBitsOf, childrenOf, replacementsOf, threadOf, threadsBackwards } from './queries.ts';
import { Bundled, relationTables } from './tables.ts';

const ROOM = '!room:here';
const ALICE = '@alice:here';
const FAR = { depth: 2 ** 40, position: 2 ** 40 };

let dir: string;
let log: ReturnType<typeof openMemoryLog>;
let engine: ProjectionEngine;
let serial = 0;
let last: string | undefined;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stele-relations-'));
  log = openMemoryLog({ now: () => 1_800_000_000_000 });
  engine = await ProjectionEngine.open({ dir, log, projections: coreProjections, safeCopies: false });
  serial = 0;
  last = undefined;
  await send('$create', { type: 'm.room.create', state_key: '', content: { room_version: '11' } });
});

afterEach(async () => {
  await engine.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

/** Appends an event that follows the last one. */
async function send(eventId: string, fields: Partial<Pdu>, redacts?: string): Promise<void> {
  serial += 1;
  const pdu = {
    type: 'm.room.message',
    sender: ALICE,
    room_id: ROOM,
    content: {},
    origin_server_ts: 1_700_000_000_000 + serial,
    depth: serial,
    prev_events: last === undefined ? [] : [last],
    auth_events: [],
    hashes: { sha256: '' },
    signatures: {},
    ...fields,
  } as unknown as Pdu;
  const meta = {
    eventId,
    roomId: ROOM,
    roomVersion: '11',
    disposition: 'accepted',
    ...(redacts !== undefined && { redacts }),
  } as const;
  const id = Buffer.alloc(16);
  id.writeUInt32BE(serial);
  const draft = pduRecord(id, meta, pdu, JSON.stringify({ ...pdu, content: {} }), { content: pdu.content });
  await log.append('room-x', await log.revisionOf('room-x'), [draft]);
  last = eventId;
}

const relate = (eventId: string, rel_type: string, to: string, more: JsonObject = {}, sender = ALICE) =>
  send(eventId, { sender, content: { 'm.relates_to': { rel_type, event_id: to, key: 'x' }, ...more } });

const edit = (eventId: string, to: string, fields: Partial<Pdu> = {}) =>
  send(eventId, {
    content: { 'm.relates_to': { rel_type: 'm.replace', event_id: to }, 'm.new_content': {} },
    ...fields,
  });

const redact = (eventId: string, target: string) =>
  send(eventId, { type: 'm.room.redaction', content: { redacts: target } }, target);

function roomId(): number {
  return eventById(engine.reader, '$create')?.room ?? -1;
}

const keysOf = (table: AnyTable) => [...engine.reader.keys(table as Table<readonly unknown[], unknown>)];
const rows = () => relationTables.flatMap((table) => keysOf(table).map((key) => [table.name, ...key]));

const childIds = (parent: string, direction: 'f' | 'b' = 'f') =>
  Array.from(
    childrenOf(engine.reader, roomId(), parent, { direction }),
    ({ position }) => eventAt(engine.reader, position)?.eventId,
  );

describe('an ordinary message', () => {
  it('has no row', async () => {
    await send('$a', { content: { body: 'text', 'm.relates_to': { 'm.in_reply_to': { event_id: '$create' } } } });
    await send('$topic', { type: 'm.room.topic', state_key: '', content: { topic: 'x' } });
    await redact('$r', '$a');
    expect(rows()).toEqual([]);
  });
});

describe('relations', () => {
  it('leave nothing behind once all are redacted, in whatever order', async () => {
    const kinds = ['m.thread', 'm.reference', 'm.annotation', 'com.example'];
    for (const order of [(ids: string[]) => ids, (ids: string[]) => [...ids].reverse()]) {
      const prefix = `$${serial}`;
      await send(`${prefix}root`, {});
      const ids: string[] = [];
      for (const kind of kinds) {
        for (const sender of [ALICE, '@bob:here', ALICE]) {
          ids.push(`${prefix}-${ids.length}`);
          await relate(ids.at(-1) ?? '', kind, `${prefix}root`, {}, sender);
        }
      }
      ids.push(`${prefix}e1`, `${prefix}e2`);
      await edit(`${prefix}e1`, `${prefix}root`);
      await edit(`${prefix}e2`, `${prefix}root`);
      expect(rows().length).toBeGreaterThan(ids.length);
      for (const id of order(ids)) await redact(`${id}r`, id);
      expect(rows()).toEqual([]);
    }
  });

  it('to an event that comes later are found when it is there', async () => {
    await relate('$child', 'm.thread', '$later');
    await edit('$edit', '$later');
    expect(eventById(engine.reader, '$later')).toBeUndefined();
    await send('$later', {});
    const later = eventById(engine.reader, '$later');
    expect(later && bundledBitsOf(engine.reader, later.position)).toBe(Bundled.thread | Bundled.replacement);
    expect(threadOf(engine.reader, roomId(), '$later')?.count).toBe(1);
    expect(childIds('$later')).toEqual(['$child', '$edit']);
  });

  it('are in topological order, whatever the order in which they came', async () => {
    await send('$p', {});
    const depths = [50, 20, 40, 30];
    for (const depth of depths) {
      const content = { 'm.relates_to': { rel_type: depth > 25 ? 'm.thread' : 'm.reference', event_id: '$p' } };
      await send(`$d${depth}`, { depth, content });
    }
    expect(childIds('$p')).toEqual(['$d20', '$d30', '$d40', '$d50']);
    expect(childIds('$p', 'b')).toEqual(['$d50', '$d40', '$d30', '$d20']);
    expect([...threadsBackwards(engine.reader, roomId(), FAR)]).toMatchObject([{ root: '$p', depth: 50 }]);
    await redact('$r', '$d50');
    expect([...threadsBackwards(engine.reader, roomId(), FAR)]).toMatchObject([{ root: '$p', depth: 40 }]);
  });
});

describe('the latest edit', () => {
  it('is the one that was sent last, and of those the one with the greatest id', async () => {
    await send('$p', {});
    await edit('$b', '$p', { origin_server_ts: 2000 });
    await edit('$c', '$p', { origin_server_ts: 2000 });
    await edit('$d', '$p', { origin_server_ts: 1000 });
    await edit('$other', '$p', { origin_server_ts: 3000, sender: '@bob:here' });
    const parent = eventById(engine.reader, '$p');
    const ids = parent === undefined ? [] : [...replacementsOf(engine.reader, parent)];
    const expected = ['$c', '$b', '$d'].map((id) => eventById(engine.reader, id)?.position);
    expect(ids).toEqual(expected);
  });

  it('may claim any time', async () => {
    await send('$p', {});
    await edit('$future', '$p', { origin_server_ts: Number.MAX_SAFE_INTEGER });
    await edit('$past', '$p', { origin_server_ts: -5 });
    await redact('$r1', '$future');
    await redact('$r2', '$past');
    expect(rows()).toEqual([]);
  });
});

describe('what is no relation', () => {
  it.each([
    { rel_type: 'm.thread', event_id: 'no id' },
    { rel_type: 'm.thread', event_id: `$${'x'.repeat(5000)}` },
    { rel_type: 'x'.repeat(5000), event_id: '$p' },
    { rel_type: '', event_id: '$p' },
    { rel_type: 7, event_id: '$p' },
    { event_id: '$p' },
  ])('has no row: %j', async (relation) => {
    await send('$p', {});
    await send('$c', { content: { 'm.relates_to': relation as JsonObject } });
    expect(rows()).toEqual([]);
    expect(engine.failure).toBeUndefined();
  });
});
