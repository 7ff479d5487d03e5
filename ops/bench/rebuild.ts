/** How fast the projections are built from a log of rooms that people talk in. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { coreProjections } from '#projections/catalogue.ts';
import { check, rebuild } from '#projections/engine/replay.ts';
import { pduRecord } from '#projections/rooms/pdu-record.ts';
import { buildEvent, type EventDraft } from '#protocol/build-event.ts';
import { splitPdu } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { type SigningKey, signingKeyFromSeed } from '#protocol/signing.ts';
import { BEFORE_FIRST, type EventLog, NO_STREAM, type RecordDraft } from '#streams/event-log.ts';
import { openLog, openLogReadOnly } from '#streams/open-log.ts';
import type { BenchResult } from './result.ts';

const ROOM_VERSION = '12';
const SERVER_NAME = 'bench.invalid';
const ROOMS = 50;
const MEMBERS_PER_ROOM = 40;
/** Messages that one room gets in a row, as one append. */
const EVENTS_PER_APPEND = 20;
const APPENDS_AT_ONCE = 50;
const FIRST_EVENT_MS = 1_700_000_000_000;

export interface RebuildBenchOptions {
  /** Default 200,000. */
  readonly events?: number;
}

/** Writes a log of messages, builds the projections from it, and reads the same log with nothing else. */
export async function runRebuildBench(options: RebuildBenchOptions = {}): Promise<BenchResult> {
  const events = options.events ?? 200_000;
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-rebuild-'));
  try {
    const logFolder = path.join(folder, 'log');
    const dir = path.join(folder, 'projections');
    const writing = await openLog({ folder: logFolder });
    await writeRooms(writing, events).finally(() => writing.close());
    const log = await openLogReadOnly({ folder: logFolder });
    try {
      const ceiling = await readingRate(log);
      const rebuilt = await rebuild({ dir, projections: coreProjections, log });
      const checked = await check({ dir, projections: coreProjections, log, maxDifferences: 1 });
      if (!checked.isEqual) throw new Error('a second replay of the log gave other rows');
      const figure = Math.round(rebuilt.records / rebuilt.seconds);
      const { size } = await stat(path.join(dir, 'env-1', 'data.mdb'));
      return {
        name: 'rebuild projections',
        figure,
        unit: 'events/s',
        ceiling,
        ceilingName: 'reading and opening the same log',
        ratio: figure / ceiling,
        details: {
          events: rebuilt.records,
          'projections, bytes per event': Math.round(size / rebuilt.records),
          'in a check, events/s': Math.round(checked.records / checked.seconds),
        },
      };
    } finally {
      await log.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readingRate(log: Pick<EventLog, 'readAll'>): Promise<number> {
  const startedMs = performance.now();
  let records = 0;
  for await (const batch of log.readAll(BEFORE_FIRST)) records += batch.length;
  return Math.round((1000 * records) / (performance.now() - startedMs));
}

/** Rooms that their members have joined, and in which they then talk in turns. */
export async function writeRooms(log: EventLog, events: number): Promise<void> {
  const rules = roomVersionRules(ROOM_VERSION);
  if (rules === undefined) throw new Error(`room version ${ROOM_VERSION} is unknown`);
  const key = signingKeyFromSeed('bench', Buffer.alloc(32, 1));
  const rooms = Array.from({ length: ROOMS }, (_, index) => new BenchRoom(index, rules, key));
  let underWay: Promise<unknown>[] = [];
  for (let written = 0; written < events; written += EVENTS_PER_APPEND) {
    const room = rooms[(written / EVENTS_PER_APPEND) % ROOMS] as BenchRoom;
    const before = room.revision;
    const drafts = Array.from({ length: Math.min(EVENTS_PER_APPEND, events - written) }, () => room.next());
    underWay.push(log.append(room.stream, before, drafts));
    if (underWay.length < APPENDS_AT_ONCE) continue;
    await Promise.all(underWay);
    underWay = [];
  }
  await Promise.all(underWay);
}

class BenchRoom {
  readonly stream: string;
  revision = NO_STREAM;
  readonly #index: number;
  readonly #rules: RoomVersionRules;
  readonly #key: SigningKey;
  readonly #authEvents: string[] = [];
  #roomId = '';
  #lastEventId = '';

  constructor(index: number, rules: RoomVersionRules, key: SigningKey) {
    this.stream = `room-bench${index}`;
    this.#index = index;
    this.#rules = rules;
    this.#key = key;
  }

  /** The record of the room's next event: its creation, then its members, then what they say. */
  next(): RecordDraft {
    this.revision++;
    const { eventId, pdu, skeletonJson } = buildEvent(this.#draft(), this.#rules, SERVER_NAME, this.#key);
    if (this.#roomId === '') this.#roomId = `!${eventId.slice(1)}`;
    if (this.revision <= 1) this.#authEvents.push(eventId);
    this.#lastEventId = eventId;
    const id = Buffer.alloc(16);
    id.writeUInt32BE(this.#index, 0);
    id.writeUInt32BE(this.revision, 4);
    const txnId = `m${FIRST_EVENT_MS + this.#index}.${this.revision}`;
    const meta = {
      eventId,
      roomId: this.#roomId,
      roomVersion: ROOM_VERSION,
      disposition: 'accepted',
      transaction: { deviceId: 'ABCDEFGHIJ', txnId },
    } as const;
    // What is given as decoded is for live subscribers; the benchmark has none.
    return pduRecord(id, meta, pdu, skeletonJson, splitPdu(pdu, this.#rules).stripped);
  }

  #draft(): EventDraft {
    const { revision } = this;
    const sender = `@member${revision % MEMBERS_PER_ROOM}:${SERVER_NAME}`;
    const common = {
      sender,
      // Rooms must differ, or they have one id.
      origin_server_ts: FIRST_EVENT_MS + revision * ROOMS + this.#index,
      depth: revision + 1,
      prev_events: revision === 0 ? [] : [this.#lastEventId],
      auth_events: [...this.#authEvents],
    };
    if (revision === 0) {
      return { ...common, type: 'm.room.create', state_key: '', content: { room_version: ROOM_VERSION } };
    }
    const event = { ...common, room_id: this.#roomId };
    if (revision <= MEMBERS_PER_ROOM) {
      return { ...event, type: 'm.room.member', state_key: sender, content: { membership: 'join' } };
    }
    const body = `${'The quick brown fox jumps over the lazy dog. '.repeat(1 + (revision % 4))}${revision}`;
    return { ...event, type: 'm.room.message', content: { msgtype: 'm.text', body } };
  }
}
