/**
 * Goes through the log up to a checkpoint and writes down what a case asks for: events for people, and every record of the
 * rooms in question for the proofs. In chunks, so that a run that was cut short goes on where it was.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Reader } from '#projections/engine/reader.ts';
import { PDU_KIND, type PduRecord, readPduRecord } from '#projections/rooms/pdu-record.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import type { RawRecord, ReadOnlyLog } from '#streams/raw-log.ts';
import { decodeHeader, sha256 } from '#streams/record-format.ts';
import { type CaseQuery, type Inclusion, type LeftOut, Selection } from './case-query.ts';
import { chunksIn, linesIn, writeWhole } from './files.ts';
import {
  chunkName,
  chunkNumber,
  type EventLine,
  EXPORT_FILES,
  type MemberLine,
  type RecordLine,
  type WithheldLine,
} from './layout.ts';
import type { RoomInQuestion } from './rooms-in-question.ts';
import { displayNameIn, SenderNames } from './sender-names.ts';
import { UNKNOWN_REASON, type WhyDestroyed } from './why-destroyed.ts';

/** A chunk ends after so many events, records or bytes, whichever comes first. */
const EVENTS_A_CHUNK = 5_000;
const RECORDS_A_CHUNK = 50_000;
const BYTES_A_CHUNK = 32 * 1024 * 1024;

/** What was counted in a room. */
export interface RoomCount {
  records: number;
  exported: number;
  encrypted: number;
  destroyed: number;
  /** By what let it go. */
  withheld: Record<string, number>;
  leftOut: Partial<Record<LeftOut, number>>;
}

/** An edit or redaction of an event that had not come by. */
interface OpenRecord {
  readonly position: Position;
  readonly target: string;
  readonly otherwise: LeftOut;
}

/** How far a run is: all that the next one needs beside the chunks. Plain JSON. */
export interface CollectState {
  /** Position of the next record to look at. */
  next: Position;
  /** Chunks that are written. */
  chunks: number;
  isDone: boolean;
  /** By stream. */
  rooms: Record<string, RoomCount>;
  open: OpenRecord[];
}

export const NOTHING_COLLECTED: Readonly<CollectState> = { next: 0, chunks: 0, isDone: false, rooms: {}, open: [] };

export interface CollectOptions {
  readonly folder: string;
  readonly query: CaseQuery;
  readonly rooms: readonly RoomInQuestion[];
  /** Records of the log at the checkpoint. */
  readonly size: number;
  readonly log: ReadOnlyLog;
  readonly reader: Reader;
  /** Why the content of an event is destroyed, as far as the log says; undefined where it does not. */
  readonly whyDestroyed: WhyDestroyed;
  /** Keeps the state of a run durably. */
  readonly save: (state: CollectState) => Promise<void>;
  readonly onProgress?: (records: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Writes the chunks, from where an earlier run was. Gives what was counted. */
export async function collect(options: CollectOptions, begun: CollectState): Promise<CollectState> {
  if (begun.isDone) return begun;
  const collector = await Collector.resume(options, begun);
  await collector.run();
  return collector.state;
}

class Collector {
  readonly state: CollectState;
  readonly #options: CollectOptions;
  readonly #roomIds: ReadonlyMap<string, string>;
  readonly #selection: Selection;
  readonly #names: SenderNames;
  /** By the event that they are of: there may be as many as anybody cares to send. */
  readonly #open: Map<string, OpenRecord[]>;
  #chunk = emptyChunk();

  private constructor(options: CollectOptions, state: CollectState) {
    this.#options = options;
    this.state = state;
    this.#roomIds = new Map(options.rooms.map(({ room }) => [room.stream, room.roomId]));
    this.#selection = new Selection(options.query);
    this.#names = new SenderNames(options.reader, options.log);
    this.#open = Map.groupBy(state.open, ({ target }) => target);
  }

  static async resume(options: CollectOptions, begun: CollectState): Promise<Collector> {
    const collector = new Collector(options, structuredClone(begun));
    // A chunk that was written and is not in the state is written again, the same.
    for (const kind of [EXPORT_FILES.events, EXPORT_FILES.records, EXPORT_FILES.members, EXPORT_FILES.withheld]) {
      for (const chunk of await chunksIn(join(options.folder, kind))) {
        if (chunkNumber(chunk) > begun.chunks) await rm(chunk);
      }
    }
    for await (const { event_id } of linesIn<EventLine>(join(options.folder, EXPORT_FILES.events))) {
      collector.#selection.remember(event_id);
    }
    return collector;
  }

  async run(): Promise<void> {
    const { log, size, onProgress, signal } = this.#options;
    for await (const batch of log.scanRaw(this.state.next - 1, size - 1)) {
      signal?.throwIfAborted();
      const wanted = batch.filter(({ header }) => this.#roomIds.has(decodeHeader(header).stream));
      const opened = await log.openRecords(wanted);
      for (const [index, raw] of wanted.entries()) {
        const record = opened[index];
        if (record !== undefined) await this.#take(raw, record);
        this.state.next = raw.position + 1;
        if (this.#isChunkFull()) await this.#flush();
      }
      this.state.next = (batch.at(-1)?.position ?? this.state.next - 1) + 1;
      onProgress?.(this.state.next, size);
    }
    for (const { position, otherwise } of this.#openRecords().sort((a, b) => a.position - b.position)) {
      const raw = await log.readRaw(position);
      if (raw !== undefined) this.#leaveOut(raw, otherwise);
      if (this.#isChunkFull()) await this.#flush();
    }
    this.#open.clear();
    this.state.next = size;
    this.state.isDone = true;
    await this.#flush();
  }

  async #take(raw: RawRecord, record: LogRecord): Promise<void> {
    const count = this.#countOf(record.stream);
    count.records += 1;
    if (record.kind !== PDU_KIND) return this.#leaveOut(raw, 'not_an_event');
    const read = readPduRecord(record);
    if (read === undefined) {
      await this.#withhold(record, null, 'all');
      return this.#leaveOut(raw, 'unreadable');
    }
    const { meta, pdu } = read;
    if (pdu.type === 'm.room.member') this.#addMember(record, read);
    const verdict = this.#selection.decide({ eventId: meta.eventId, pdu, redacts: meta.redacts });
    if (verdict.kind === 'left_out') return this.#leaveOut(raw, verdict.why);
    if (verdict.kind === 'open') {
      const { target, otherwise } = verdict;
      const waiting = this.#open.get(target) ?? [];
      waiting.push({ position: record.position, target, otherwise });
      this.#open.set(target, waiting);
      return;
    }
    await this.#include(raw, record, read, verdict.because);
    await this.#includeWaiting(meta.eventId);
  }

  /** Edits and redactions that came before what they are of, as happens with history that was fetched later. */
  async #includeWaiting(eventId: string): Promise<void> {
    const waiting = this.#open.get(eventId) ?? [];
    this.#open.delete(eventId);
    for (const { position } of waiting) {
      const raw = await this.#options.log.readRaw(position);
      const record = raw && (await this.#options.log.openRecord(raw));
      const read = record && readPduRecord(record);
      if (raw === undefined || record === undefined || read === undefined) continue;
      const verdict = this.#selection.decide({ eventId: read.meta.eventId, pdu: read.pdu, redacts: read.meta.redacts });
      if (verdict.kind === 'included') await this.#include(raw, record, read, verdict.because);
    }
  }

  async #include(raw: RawRecord, record: LogRecord, read: PduRecord, because: Inclusion): Promise<void> {
    const { meta, pdu, isErased } = read;
    const count = this.#countOf(record.stream);
    count.exported += 1;
    if (pdu.type === 'm.room.encrypted') count.encrypted += 1;
    if (isErased) {
      count.destroyed += 1;
      await this.#withhold(record, meta.eventId, 'content');
    }
    const line: EventLine = {
      position: record.position,
      recorded_at: new Date(record.recordedAtMs).toISOString(),
      room_id: meta.roomId,
      event_id: meta.eventId,
      room_version: meta.roomVersion,
      disposition: meta.disposition,
      ...(meta.reason !== undefined && { reason: meta.reason }),
      because,
      sender_name: await this.#names.of(record.position, pdu),
      is_destroyed: isErased,
      pdu: pdu as EventLine['pdu'],
    };
    this.#add('events', line);
    const keys = await this.#options.log.sectionKeys(raw);
    this.#add('records', {
      position: raw.position,
      header: raw.header.toString('base64'),
      sections: raw.sealedSections.map((sealed, index) => {
        const digest = sha256(sealed).toString('base64');
        const key = keys[index];
        return key ? { digest, sealed: sealed.toString('base64'), key: key.toString('base64') } : { digest };
      }),
    } satisfies RecordLine);
  }

  #leaveOut(raw: RawRecord, why: LeftOut): void {
    const count = this.#countOf(decodeHeader(raw.header).stream);
    count.leftOut[why] = (count.leftOut[why] ?? 0) + 1;
    this.#add('records', {
      position: raw.position,
      header: raw.header.toString('base64'),
      sections: raw.sealedSections.map((sealed) => ({ digest: sha256(sealed).toString('base64') })),
      left_out: why,
    } satisfies RecordLine);
  }

  async #withhold(record: LogRecord, eventId: string | null, what: WithheldLine['what']): Promise<void> {
    const reason = (await this.#options.whyDestroyed(record.position)) ?? UNKNOWN_REASON;
    const { withheld } = this.#countOf(record.stream);
    withheld[reason.cause] = (withheld[reason.cause] ?? 0) + 1;
    this.#add('withheld', {
      position: record.position,
      room_id: this.#roomIds.get(record.stream) ?? '',
      event_id: eventId,
      what,
      ...reason,
    } satisfies WithheldLine);
  }

  #addMember({ position }: LogRecord, { meta, pdu }: PduRecord): void {
    const { membership } = pdu.content;
    this.#add('members', {
      room_id: meta.roomId,
      user_id: pdu.state_key ?? '',
      membership: typeof membership === 'string' ? membership : '',
      display_name: displayNameIn(pdu),
      by: pdu.sender,
      event_id: meta.eventId,
      sent_at: timeText(pdu.origin_server_ts),
      position,
    } satisfies MemberLine);
  }

  #countOf(stream: string): RoomCount {
    const counted = this.state.rooms[stream];
    if (counted !== undefined) return counted;
    const count: RoomCount = { records: 0, exported: 0, encrypted: 0, destroyed: 0, withheld: {}, leftOut: {} };
    this.state.rooms[stream] = count;
    return count;
  }

  #add(kind: ChunkKind, line: object): void {
    const text = `${JSON.stringify(line)}\n`;
    this.#chunk.lines[kind].push(text);
    this.#chunk.bytes += text.length;
  }

  #isChunkFull(): boolean {
    const { lines, bytes } = this.#chunk;
    return lines.events.length >= EVENTS_A_CHUNK || lines.records.length >= RECORDS_A_CHUNK || bytes >= BYTES_A_CHUNK;
  }

  async #flush(): Promise<void> {
    const { folder, save } = this.#options;
    const { lines, bytes } = this.#chunk;
    if (bytes > 0) {
      const name = chunkName(this.state.chunks + 1);
      for (const kind of CHUNK_KINDS) {
        if (lines[kind].length > 0) await writeWhole(join(folder, EXPORT_FILES[kind], name), lines[kind].join(''));
      }
      this.state.chunks += 1;
      this.#chunk = emptyChunk();
    }
    this.state.open = this.#openRecords();
    await save(this.state);
  }

  #openRecords(): OpenRecord[] {
    return [...this.#open.values()].flat();
  }
}

const CHUNK_KINDS = ['events', 'records', 'members', 'withheld'] as const;
type ChunkKind = (typeof CHUNK_KINDS)[number];

function emptyChunk(): { readonly lines: Record<ChunkKind, string[]>; bytes: number } {
  return { lines: { events: [], records: [], members: [], withheld: [] }, bytes: 0 };
}

/** ISO 8601 of what another server gave as a time, which may be none. */
export function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
