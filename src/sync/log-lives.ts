/**
 * A log that was restored from a backup begins another life: what had come after the backup is gone, and its positions are given
 * out again. A client may hold a token of a position that is now another one. So tokens say in which life they were given out, by a
 * number behind the name of the server's run, and one that is of a part that is gone counts as one of the last position before it.
 */
import { restorePositions } from '#projections/backups/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { TopologicalPlace } from '#projections/rooms/queries.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import type { PaginationToken, SyncToken } from './tokens.ts';

/** The end of the name of a run: names of runs are hexadecimal, so the letter is in none. */
const LIFE = /^[0-9a-f]*g([0-9]{1,9})$/;

/** The name of a run of the server, with the life of the log as it is now. */
export function epochOf(reader: Reader, run: string): string {
  const life = currentLife(reader);
  return life === 0 ? run : `${run}g${life}`;
}

/** How often the log was restored. */
export function currentLife(reader: Reader): number {
  return restorePositions(reader).length;
}

/**
 * The first position that a token of some life may not speak of, since it is another one now; undefined where there is none.
 */
export function firstGone(reader: Reader, life: number): Position | undefined {
  const later = restorePositions(reader).slice(life);
  return later.length === 0 ? undefined : Math.min(...later);
}

/** What of a token still counts, and whether that is not all of it: then its client has seen what is gone. */
export function stillSeen(reader: Reader, token: SyncToken): { readonly token: SyncToken; readonly isCut: boolean } {
  const gone = firstGone(reader, Number(LIFE.exec(token.epoch)?.[1] ?? 0));
  if (gone === undefined || token.position < gone) return { token, isCut: false };
  const position = Math.max(gone - 1, BEFORE_FIRST);
  const inbox = token.inbox === undefined ? {} : { inbox: Math.min(token.inbox, Math.max(position, 0)) };
  return { token: { ...token, position, ...inbox }, isCut: true };
}

/**
 * What a token for paging stands for: a place that is there, or the position up to which a client has seen the room: of a token of a
 * sync, and of one of a place that is gone.
 */
export function seenUpTo(reader: Reader, token: PaginationToken): TopologicalPlace | Position {
  if (token.kind === 'sync') return stillSeen(reader, token.token).token.position;
  const gone = firstGone(reader, token.life);
  return gone === undefined || token.place.position < gone ? token.place : gone - 1;
}
