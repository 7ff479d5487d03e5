/**
 * The tokens that clients get to come back with. A sync token is `s<position>_<typing serial>_<epoch>`: the log position that
 * the client has seen, the serial number of the last typing notification, and the run of the server that counted it. Where an
 * answer had not all messages to the device, `_<position>` follows: the last message that was in it. A pagination token is
 * `t<depth>_<position>`, a place between two events of a room in topological order; of a log that was restored `g` and how often
 * that was follow, see log-lives.ts.
 */
import type { TopologicalPlace } from '#projections/rooms/queries.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Position } from '#streams/event-log.ts';

/** How far a client has seen. */
export interface SyncToken {
  readonly position: Position;
  /** Serial of the last typing notification that it knows, counted in `epoch`. */
  readonly serial: number;
  /** Names the run of the server; a few lower-case letters and digits. */
  readonly epoch: string;
  /** Position of the last message to the device that it has got; missing where it has all up to `position`. */
  readonly inbox?: Position;
}

/** A token that `/messages` takes: of `/sync`, or a place in topological order. */
export type PaginationToken =
  | { readonly kind: 'sync'; readonly token: SyncToken }
  | { readonly kind: 'place'; readonly place: TopologicalPlace; readonly life: number };

const SYNC_TOKEN = /^s(-1|\d{1,15})_(\d{1,15})_([0-9a-z]{1,16})(?:_(\d{1,15}))?$/;
const PLACE_TOKEN = /^t(\d{1,15})_(\d{1,15})(?:g(\d{1,9}))?$/;
/** Greatest position that a key can hold; a place after all events of a depth. */
const POSITION_TAIL = /~[0-9a-z.]{1,64}$/;
const MAX_POSITION = 2 ** 48 - 1;

export function formatSyncToken({ position, serial, epoch, inbox }: SyncToken): string {
  const token = `s${position}_${serial}_${epoch}`;
  return inbox === undefined ? token : `${token}_${inbox}`;
}

/** @throws {MatrixError} M_INVALID_PARAM if it is not one of ours. */
export function parseSyncToken(text: string): SyncToken {
  const match = SYNC_TOKEN.exec(text);
  const position = Number(match?.[1]);
  if (match === null || position > MAX_POSITION) throw malformed();
  const token = { position, serial: Number(match[2]), epoch: match[3] ?? '' };
  return match[4] === undefined ? token : { ...token, inbox: Math.min(Number(match[4]), position) };
}

/** @param life how often the log was restored. */
export function formatPlace({ depth, position }: TopologicalPlace, life: number): string {
  const token = `t${depth}_${position}`;
  return life === 0 ? token : `${token}g${life}`;
}

/** @throws {MatrixError} M_INVALID_PARAM if it is not one of ours. */
export function parsePaginationToken(text: string): PaginationToken {
  // That of sliding sync goes on with what is of its connection. Source: MSC4186, "Connections".
  if (text.startsWith('s')) return { kind: 'sync', token: parseSyncToken(text.replace(POSITION_TAIL, '')) };
  const match = PLACE_TOKEN.exec(text);
  const depth = Number(match?.[1]);
  const position = Number(match?.[2]);
  if (match === null || depth > MAX_POSITION || position > MAX_POSITION) throw malformed();
  return { kind: 'place', place: { depth, position }, life: Number(match[3] ?? 0) };
}

/** The place just after an event. */
export function placeAfter(event: TopologicalPlace): TopologicalPlace {
  return { depth: event.depth, position: event.position };
}

/** The place just before an event. */
export function placeBefore({ depth, position }: TopologicalPlace): TopologicalPlace {
  if (position > 0) return { depth, position: position - 1 };
  return { depth: Math.max(depth - 1, 0), position: MAX_POSITION };
}

/** The place before the first event of any room: events have a depth of at least 1. */
export const FIRST_PLACE: TopologicalPlace = { depth: 0, position: 0 };

/** The place after the last event of any room. */
export const LAST_PLACE: TopologicalPlace = { depth: MAX_POSITION, position: MAX_POSITION };

function malformed(): MatrixError {
  return new MatrixError('M_INVALID_PARAM', 'This is not a token that the server gave out.');
}
