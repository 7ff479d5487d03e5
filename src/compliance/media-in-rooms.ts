/**
 * Which media are named in rooms that are on hold: a hold of a room is of what was sent there, files among it, and a record of a media
 * does not say where it was sent. What encrypted events name nobody here can know.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { mediaNamesIn } from '#src/media/media-names.ts';
import type { EventLog, Revision } from '#streams/event-log.ts';
import type { StandingHold } from './decision/decide.ts';

/** Longest time that is worked at one time. */
const SLICE_MS = 8;

export interface HeldMediaOptions {
  readonly log: Pick<EventLog, 'readStream'>;
  readonly reader: Reader;
}

/** What is known of one room. */
interface RoomRead {
  readonly named: Set<string>;
  /** Of the next record of its stream. */
  next: Revision;
}

/** Reads the rooms that holds name, each record of them once. */
export class MediaInHeldRooms {
  readonly #options: HeldMediaOptions;
  readonly #rooms = new Map<string, RoomRead>();

  constructor(options: HeldMediaOptions) {
    this.#options = options;
  }

  /** Takes in what these holds name, up to now; before {@link located} is asked. */
  async refresh(standing: readonly StandingHold[], signal?: AbortSignal): Promise<void> {
    const { log, reader } = this.#options;
    let sinceMs = performance.now();
    for (const roomId of new Set(standing.map(({ scope }) => scope.roomId))) {
      const room = roomId === undefined ? undefined : findRoom(reader, roomId);
      if (roomId === undefined || room === undefined) continue;
      const read = this.#rooms.get(roomId) ?? { named: new Set(), next: 0 };
      this.#rooms.set(roomId, read);
      for await (const { revision, sections } of log.readStream(room.stream, { from: read.next })) {
        // Of which server does not matter, as ids are random.
        for (const section of sections) for (const { mediaId } of mediaNamesIn(section ?? '')) read.named.add(mediaId);
        read.next = revision + 1;
        if (performance.now() - sinceMs < SLICE_MS) continue;
        await nextTurn();
        signal?.throwIfAborted();
        sinceMs = performance.now();
      }
    }
  }

  /** The item with the rooms in which it is named, where it is a media. */
  located<T extends { readonly mediaId?: string }>(item: T): T & { readonly namedIn?: readonly string[] } {
    const { mediaId } = item;
    if (mediaId === undefined) return item;
    const namedIn = Array.from(this.#rooms).filter(([, { named }]) => named.has(mediaId));
    return namedIn.length === 0 ? item : { ...item, namedIn: namedIn.map(([roomId]) => roomId) };
  }
}
