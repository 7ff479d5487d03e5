/**
 * Captures what is reported or acted on by moderators, as it is before that: the original event, those around it, the digests of its
 * media. It stays when the original is redacted or expires, under a retention of its own (`evidence`).
 */
import type { Reader } from '#projections/engine/reader.ts';
import { mediaById } from '#projections/media/projection.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { evidenceItems } from '#projections/reports/evidence.ts';
import {
  EVIDENCE_STREAM,
  type EvidenceHead,
  type EvidenceMedia,
  evidenceRecord,
  readEvidenceContent,
} from '#projections/reports/evidence-records.ts';
import type { ReportTarget } from '#projections/reports/records.ts';
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import {
  type Event,
  eventAt,
  eventById,
  findRoom,
  type Room,
  stateEventPosition,
  topologicalRange,
} from '#projections/rooms/queries.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { EventLog, Position } from '#streams/event-log.ts';

/** Events before and after, each. */
export const CONTEXT_EVENTS = 5;
/** Most bytes of context; the events nearest to the one in question come first. */
export const MAX_CONTEXT_BYTES = 128 * 1024;
/** Files whose digests are captured. */
const MAX_MEDIA = 50;
/** Values of a content that are looked at for files. */
const MAX_VALUES = 10_000;
/** Files are named like this. */
const MEDIA_URI = /^mxc:\/\/([^/?#]{1,255})\/([A-Za-z0-9_-]{1,255})$/;
/** What a room is called is captured with it. */
const ROOM_STATE = ['m.room.name', 'm.room.topic', 'm.room.avatar', 'm.room.canonical_alias'] as const;

export interface EvidenceOptions {
  readonly commands: StreamCommands;
  readonly reader: Reader;
  readonly log: EventLog;
  readonly serverName: string;
  /** 16 fresh bytes. */
  readonly newRecordId: () => Uint8Array;
}

/** A PDU as canonical JSON, and the files that its content names. */
interface Captured {
  readonly json: string;
  readonly sender: string;
  readonly media: readonly EvidenceMedia[];
}

export class EvidenceLocker {
  readonly #options: EvidenceOptions;

  constructor(options: EvidenceOptions) {
    this.#options = options;
  }

  /**
   * Captures what somebody reports, before the report is made. An event that was captured for a report before is not again, so that
   * repeated reports cost nothing.
   */
  async captureReported(target: ReportTarget, by: string): Promise<void> {
    const { reader } = this.#options;
    switch (target.kind) {
      case 'event':
        if (this.#isCaptured(target.eventId, 'report')) return;
        return this.captureEvent(target.roomId, target.eventId, { cause: 'report', by });
      case 'room': {
        const room = findRoom(reader, target.roomId);
        return room && this.#captureRoom(room, by);
      }
      case 'user': {
        const { userId } = target;
        const profile = profileOf(reader, userId);
        const avatar = profile.avatar_url === undefined ? [] : this.#mediaOf([profile.avatar_url]);
        return this.#record({ cause: 'report', by, userId, media: avatar }, JSON.stringify({ profile }));
      }
    }
  }

  /** Captures an event with what is around it. Does nothing for one that is not there, or whose content was destroyed. */
  async captureEvent(roomId: string, eventId: string, why: Pick<EvidenceHead, 'cause' | 'by'>): Promise<void> {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    const position = room && positionIn(reader, room, eventId);
    const event = position === undefined ? undefined : eventAt(reader, position);
    const captured = event && (await this.#capture(event.position));
    if (room === undefined || event === undefined || captured === undefined) return;
    const { before, after, leftOut, media, senders } = await this.#contextOf(room, event);
    const head = {
      ...why,
      roomId,
      eventId,
      userId: event.sender,
      others: [...senders].filter((sender) => sender !== event.sender),
      media: [...captured.media, ...media].slice(0, MAX_MEDIA),
    };
    const context = `"before":[${before.join()}],"after":[${after.join()}],"left_out":${JSON.stringify(leftOut)}`;
    await this.#record(head, `{"event":${captured.json},${context}}`);
  }

  /** Captures what is known of a file of this server before it is removed: its digest above all. */
  async captureMedia(mediaId: string, by: string): Promise<void> {
    const uri = `mxc://${this.#options.serverName}/${mediaId}`;
    const media = this.#mediaOf([uri]);
    const uploader = media[0]?.uploader ?? undefined;
    if (media[0]?.sha256 == null) return;
    await this.#record({ cause: 'removal', by, ...(uploader !== undefined && { userId: uploader }), media }, '{}');
  }

  /** What was captured, as JSON; undefined where it was destroyed, or is no evidence. */
  async read(id: Position): Promise<string | undefined> {
    const record = await this.#options.log.readAt(id);
    return record && readEvidenceContent(record);
  }

  #isCaptured(eventId: string, cause: EvidenceHead['cause']): boolean {
    for (const found of evidenceItems(this.#options.reader, eventId)) {
      if (found.eventId === eventId && found.cause === cause) return true;
    }
    return false;
  }

  async #captureRoom(room: Room, by: string): Promise<void> {
    const { reader } = this.#options;
    const captured: Captured[] = [];
    for (const type of ROOM_STATE) {
      const position = stateEventPosition(reader, room.id, type, '');
      const one = position === undefined ? undefined : await this.#capture(position);
      if (one !== undefined) captured.push(one);
    }
    const media = captured.flatMap((one) => one.media).slice(0, MAX_MEDIA);
    const state = captured.map(({ json }) => json).join();
    await this.#record({ cause: 'report', by, roomId: room.roomId, media }, `{"state":[${state}]}`);
  }

  async #contextOf(
    room: Room,
    event: Event,
  ): Promise<{
    readonly before: readonly string[];
    readonly after: readonly string[];
    readonly leftOut: readonly string[];
    readonly media: readonly EvidenceMedia[];
    readonly senders: ReadonlySet<string>;
  }> {
    const { reader } = this.#options;
    const place = { depth: event.depth, position: event.position };
    const around = (direction: 'f' | 'b'): Position[] => {
      const found: Position[] = [];
      for (const { position } of topologicalRange(reader, room.id, place, direction)) {
        if (position !== event.position) found.push(position);
        if (found.length === CONTEXT_EVENTS) break;
      }
      return found;
    };
    const texts = { b: [] as string[], f: [] as string[] };
    const leftOut: string[] = [];
    const media: EvidenceMedia[] = [];
    const senders = new Set<string>();
    let bytes = 0;
    for (const direction of ['b', 'f'] as const) {
      for (const position of around(direction)) {
        const captured = await this.#capture(position);
        if (captured === undefined) continue;
        const size = Buffer.byteLength(captured.json);
        if (bytes + size > MAX_CONTEXT_BYTES) {
          leftOut.push(eventAt(reader, position)?.eventId ?? '');
          continue;
        }
        bytes += size;
        texts[direction].push(captured.json);
        media.push(...captured.media);
        senders.add(captured.sender);
      }
    }
    return { before: texts.b.toReversed(), after: texts.f, leftOut, media, senders };
  }

  /** The event as it was first seen; undefined where its content was destroyed. */
  async #capture(position: Position): Promise<Captured | undefined> {
    const record = await this.#options.log.readAt(position);
    const read = record && readPduRecord(record);
    if (read === undefined || read.isErased) return undefined;
    const { pdu, meta } = read;
    const names = `"event_id":${JSON.stringify(meta.eventId)},"room_id":${JSON.stringify(meta.roomId)}`;
    // Not wrapped before it is written: an event may be as deep as JSON may be.
    const json = `{${names},"pdu":${canonicalJson(pdu as JsonObject, 'loose')}}`;
    return { json, sender: pdu.sender, media: this.#mediaOf(textsIn(pdu.content)) };
  }

  #mediaOf(texts: Iterable<string>): EvidenceMedia[] {
    const { reader, serverName } = this.#options;
    const found = new Map<string, EvidenceMedia>();
    for (const uri of texts) {
      const [, server, mediaId] = MEDIA_URI.exec(uri) ?? [];
      if (server === undefined || mediaId === undefined || found.size >= MAX_MEDIA) continue;
      const stored = server === serverName ? mediaById(reader, mediaId) : undefined;
      found.set(uri, {
        uri,
        sha256: stored?.sha256 ?? null,
        sizeBytes: stored?.sizeBytes ?? null,
        contentType: stored?.contentType ?? null,
        uploader: stored?.uploader ?? null,
      });
    }
    return [...found.values()];
  }

  async #record(head: EvidenceHead, contentJson: string): Promise<void> {
    const { commands, newRecordId } = this.#options;
    await commands.run(EVIDENCE_STREAM, () => ({
      records: [evidenceRecord(newRecordId(), head, contentJson)],
      result: undefined,
    }));
  }
}

function positionIn(reader: Reader, room: Room, eventId: string): Position | undefined {
  const event = eventById(reader, eventId);
  return event?.room === room.id ? event.position : undefined;
}

/** All texts in a JSON value, without recursion: others choose how deep it is. */
function* textsIn(root: unknown): Generator<string> {
  const waiting: unknown[] = [root];
  for (let looked = 0; waiting.length > 0 && looked < MAX_VALUES; looked += 1) {
    const value = waiting.pop();
    if (typeof value === 'string') yield value;
    else if (typeof value === 'object' && value !== null) waiting.push(...Object.values(value));
  }
}
