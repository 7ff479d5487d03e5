/** Where each exported event is in the chunks, by room, and what changes or answers it: for the formats that show rooms. */
import { readFileSync } from 'node:fs';
import type { Pdu } from '#protocol/pdu.ts';
import { Lru } from '#src/sync/lru.ts';
import { editedEventOf, redactedEventOf } from './case-query.ts';
import { chunksIn } from './files.ts';
import type { EventLine } from './layout.ts';

/** Most bytes of chunks that are kept in memory: the rooms of a server are spread over all of them. */
const MAX_BYTES_IN_MEMORY = 256 * 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

interface Place {
  readonly chunk: number;
  readonly offset: number;
  readonly length: number;
  readonly depth: number;
  readonly position: number;
  /** Days since the epoch (UTC), by the sender's server. */
  readonly day: number;
}

/** A redaction of an exported event. */
export interface Redaction {
  readonly event_id: string;
  readonly by: string;
  readonly sent_at: number;
  readonly reason: string | undefined;
}

/** A reaction to an exported event. */
export interface Reaction {
  readonly key: string;
  readonly by: string;
}

interface Relations {
  readonly edits: Place[];
  readonly redactions: Redaction[];
  readonly reactions: Reaction[];
}

/** An event with what others did to it. */
export interface Entry {
  readonly line: EventLine;
  /** By its sender, oldest first. */
  readonly edits: readonly EventLine[];
  readonly redactions: readonly Redaction[];
  readonly reactions: readonly Reaction[];
}

/** Reads the chunks of events at random. */
export class EventIndex {
  readonly #chunks: readonly string[];
  readonly #inMemory = new Lru<number, Buffer>(MAX_BYTES_IN_MEMORY, ({ length }) => length);
  readonly #places: readonly Place[];
  readonly #rooms: ReadonlyMap<string, readonly Place[]>;
  readonly #relations: ReadonlyMap<string, Relations>;

  private constructor(
    chunks: readonly string[],
    places: readonly Place[],
    rooms: ReadonlyMap<string, readonly Place[]>,
    relations: ReadonlyMap<string, Relations>,
  ) {
    this.#chunks = chunks;
    this.#places = places;
    this.#rooms = rooms;
    this.#relations = relations;
  }

  /** Goes through the chunks in a folder once. */
  static async of(folder: string): Promise<EventIndex> {
    const chunks = await chunksIn(folder);
    const places: Place[] = [];
    const rooms = new Map<string, Place[]>();
    const relations = new Map<string, Relations>();
    for (const [chunk, path] of chunks.entries()) {
      const bytes = readFileSync(path);
      for (let offset = 0; offset < bytes.length; ) {
        const end = bytes.indexOf(0x0a, offset);
        const line = JSON.parse(bytes.toString('utf8', offset, end)) as EventLine;
        const place: Place = {
          chunk,
          offset,
          length: end - offset,
          depth: line.pdu.depth,
          position: line.position,
          day: Math.floor(sentMs(line) / DAY_MS),
        };
        places.push(place);
        const ofRoom = rooms.get(line.room_id);
        if (ofRoom === undefined) rooms.set(line.room_id, [place]);
        else ofRoom.push(place);
        relate(relations, line, place);
        offset = end + 1;
      }
    }
    for (const ofRoom of rooms.values()) ofRoom.sort((a, b) => a.depth - b.depth || a.position - b.position);
    return new EventIndex(chunks, places, rooms, relations);
  }

  /** Number of events. */
  get size(): number {
    return this.#places.length;
  }

  roomIds(): string[] {
    return [...this.#rooms.keys()].sort();
  }

  /** How many events a room has. */
  countOf(roomId: string): number {
    return this.#rooms.get(roomId)?.length ?? 0;
  }

  /** The events of a room as its graph orders them. */
  *entriesOf(roomId: string): Generator<Entry> {
    yield* this.#entriesAt(this.#rooms.get(roomId) ?? []);
  }

  /** The same by the days on which they were sent, ascending: days since the epoch (UTC). Each may have been sent on another day. */
  *entriesByDay(roomId: string): Generator<{ readonly day: number; readonly entries: Iterable<Entry> }> {
    const days = Map.groupBy(this.#rooms.get(roomId) ?? [], ({ day }) => day);
    for (const [day, places] of [...days].sort(([a], [b]) => a - b)) yield { day, entries: this.#entriesAt(places) };
  }

  /** All events in the order of the chunks. */
  *entries(): Generator<Entry> {
    yield* this.#entriesAt(this.#places);
  }

  *#entriesAt(places: readonly Place[]): Generator<Entry> {
    for (const place of places) yield this.#entry(place);
  }

  #entry(place: Place): Entry {
    const line = this.#read(place);
    const relations = this.#relations.get(line.event_id);
    const edits = (relations?.edits ?? [])
      .map((edit) => this.#read(edit))
      .filter(({ pdu }) => pdu.sender === line.pdu.sender);
    return {
      line,
      edits: edits.sort((a, b) => a.pdu.origin_server_ts - b.pdu.origin_server_ts || a.position - b.position),
      redactions: relations?.redactions ?? [],
      reactions: relations?.reactions ?? [],
    };
  }

  #read({ chunk, offset, length }: Place): EventLine {
    return JSON.parse(this.#chunk(chunk).toString('utf8', offset, offset + length)) as EventLine;
  }

  #chunk(number: number): Buffer {
    const known = this.#inMemory.get(number);
    if (known !== undefined) return known;
    const bytes = readFileSync(this.#chunks[number] ?? '');
    this.#inMemory.set(number, bytes);
    return bytes;
  }
}

/** The time at which an event says that it was sent, as a time that there is: 0 for what is none. */
export function sentMs({ pdu }: EventLine): number {
  return Number.isNaN(new Date(pdu.origin_server_ts).getTime()) ? 0 : pdu.origin_server_ts;
}

function relate(relations: Map<string, Relations>, { event_id, pdu }: EventLine, place: Place): void {
  const event = pdu as unknown as Pdu;
  const edited = editedEventOf(event);
  if (edited !== undefined) relationsOf(relations, edited).edits.push(place);
  const redacted = redactedEventOf(event);
  if (redacted !== undefined) {
    const { reason } = pdu.content;
    relationsOf(relations, redacted).redactions.push({
      event_id,
      by: pdu.sender,
      sent_at: pdu.origin_server_ts,
      reason: typeof reason === 'string' ? reason : undefined,
    });
  }
  const reaction = pdu.type === 'm.reaction' ? relationIn(pdu.content) : undefined;
  if (reaction?.event_id !== undefined && reaction.key !== undefined) {
    relationsOf(relations, reaction.event_id).reactions.push({ key: reaction.key, by: pdu.sender });
  }
}

function relationsOf(relations: Map<string, Relations>, eventId: string): Relations {
  const known = relations.get(eventId);
  if (known !== undefined) return known;
  const fresh: Relations = { edits: [], redactions: [], reactions: [] };
  relations.set(eventId, fresh);
  return fresh;
}

/** What a content says it relates to; only what is a string of it. */
export function relationIn(content: Readonly<Record<string, unknown>>): {
  readonly rel_type?: string;
  readonly event_id?: string;
  readonly key?: string;
  readonly inReplyTo?: string;
} {
  const relation = content['m.relates_to'];
  if (typeof relation !== 'object' || relation === null) return {};
  const { rel_type, event_id, key, 'm.in_reply_to': reply } = relation as Record<string, unknown>;
  const inReplyTo =
    typeof reply === 'object' && reply !== null ? (reply as Record<string, unknown>)['event_id'] : undefined;
  return {
    ...(typeof rel_type === 'string' && { rel_type }),
    ...(typeof event_id === 'string' && { event_id }),
    ...(typeof key === 'string' && { key }),
    ...(typeof inReplyTo === 'string' && { inReplyTo }),
  };
}
