/**
 * Which media are named in rooms that are on hold: a hold of a room is of what was sent there, files among it, and a record of a media
 * does not say where it was sent. What encrypted events name nobody here can know.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { mediaNamesIn } from '#src/media/media-names.ts';
import type { EventLog } from '#streams/event-log.ts';
import type { Holds } from './holds.ts';

/** Longest time that is worked at one time. */
const SLICE_MS = 8;

export interface HeldMediaOptions {
  readonly log: Pick<EventLog, 'readStream'>;
  readonly reader: Reader;
  readonly holds: Pick<Holds, 'standing'>;
}

/** The rooms that a media is named in. */
export type RoomsOfMedia = (mediaId: string) => readonly string[] | undefined;

/** Reads the rooms that holds name which stand now, and tells of each media in which of them it is named. */
export async function roomsOnHoldOf(
  { log, reader, holds }: HeldMediaOptions,
  signal?: AbortSignal,
): Promise<RoomsOfMedia> {
  const rooms = new Map<string, string[]>();
  const roomIds = new Set(holds.standing().map(({ scope }) => scope.roomId));
  let sinceMs = performance.now();
  for (const roomId of roomIds) {
    const room = roomId === undefined ? undefined : findRoom(reader, roomId);
    if (roomId === undefined || room === undefined) continue;
    const named = new Set<string>();
    for await (const { sections } of log.readStream(room.stream)) {
      // Of which server does not matter, as ids are random.
      for (const section of sections) for (const { mediaId } of mediaNamesIn(section ?? '')) named.add(mediaId);
      if (performance.now() - sinceMs < SLICE_MS) continue;
      await nextTurn();
      signal?.throwIfAborted();
      sinceMs = performance.now();
    }
    for (const mediaId of named) rooms.set(mediaId, [...(rooms.get(mediaId) ?? []), roomId]);
  }
  return (mediaId) => rooms.get(mediaId);
}
