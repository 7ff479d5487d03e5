/** Pages of a room's history in topological order. */
import type { Reader } from '#projections/engine/reader.ts';
import { versionAfter } from '#projections/rooms/event-row.ts';
import {
  type Event,
  eventAt,
  type TopologicalPlace,
  timelineBackwards,
  topologicalRange,
} from '#projections/rooms/queries.ts';
import type { RoomView } from '#src/rooms/room-view.ts';
import { passes } from '#src/sync/filters.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { seenUpTo } from '#src/sync/log-lives.ts';
import type { Pacer } from '#src/sync/pacer.ts';
import { FIRST_PLACE, LAST_PLACE, type PaginationToken, placeAfter, placeBefore } from '#src/sync/tokens.ts';
import type { RoomEventFilter } from '../filters/filter.ts';
import { isIgnored } from './visible-event.ts';

/** Most events that are looked at for one page; a page that needs more ends there, and the next one goes on. */
export const MAX_EVENTS_SCANNED = 2000;
/** Events that are looked at before others get their turn. */
const SLICE_EVENTS = 128;

export type Direction = 'f' | 'b';

export interface PageOptions {
  readonly reader: Reader;
  readonly view: RoomView;
  readonly from: TopologicalPlace;
  /** Where to stop at the latest. */
  readonly to?: TopologicalPlace | undefined;
  readonly direction: Direction;
  /** Most events. */
  readonly limit: number;
  readonly pacer: Pacer;
  accepts(event: Event): boolean;
}

export interface Page {
  /** In the order of paging: backwards, the newest comes first. */
  readonly events: readonly Event[];
  /** Where the next page begins; undefined with an empty page, if there is nothing more for this user. */
  readonly end: TopologicalPlace | undefined;
}

/** One page, of what the user may see and the filter lets through. */
export async function readPage(options: PageOptions): Promise<Page> {
  const { direction, limit, accepts, pacer } = options;
  const behind = direction === 'b' ? placeBefore : placeAfter;
  const sliceSize = Math.min(limit, SLICE_EVENTS);
  const events: Event[] = [];
  let cursor = options.from;
  if (limit === 0) return { events, end: cursor };
  for (let scanned = 0; scanned < MAX_EVENTS_SCANNED; scanned += sliceSize) {
    const slice = sliceOf(options, cursor, sliceSize);
    for (const event of slice) {
      if (!accepts(event)) continue;
      events.push(event);
      if (events.length >= limit) return { events, end: behind(event) };
    }
    const last = slice.at(-1);
    if (last !== undefined) cursor = behind(last);
    if (slice.length < sliceSize) {
      // Only an empty page is known by clients to be the last: Nheko, for one, drops the events of a page without an end.
      return { events, end: events.length > 0 ? cursor : undefined };
    }
    if (pacer.isDue) await pacer.pause();
  }
  return { events, end: cursor };
}

function sliceOf({ reader, view, to, direction }: PageOptions, from: TopologicalPlace, size: number): Event[] {
  const slice: Event[] = [];
  for (const place of topologicalRange(reader, view.room.id, from, direction)) {
    if (to !== undefined && (direction === 'b') === isAtOrBefore(place, to)) break;
    const event = eventAt(reader, place.position);
    if (event !== undefined) slice.push(event);
    if (slice.length >= size) break;
  }
  return slice;
}

/** Whether a place is another one, or comes before it. */
export function isAtOrBefore(a: TopologicalPlace, b: TopologicalPlace): boolean {
  return a.depth < b.depth || (a.depth === b.depth && a.position <= b.position);
}

/** What of a page's events the user is to see: by right, by filter, and not from those whom they ignore. */
export function pageEvents(
  reader: Reader,
  { room, visibility }: RoomView,
  userId: string,
  filter: RoomEventFilter,
): (event: Event) => boolean {
  if (filter.passesNone || !filter.matchesRoom(room.roomId)) return () => false;
  const ignored = ignoredUsers(reader, userId);
  return (event) => passes(filter, event, reader) && !isIgnored(ignored, event) && visibility.canSee(event);
}

/** The place that a token stands for: a sync token, what of the room a client with it has seen. */
export function placeOf(reader: Reader, { room }: Pick<RoomView, 'room'>, token: PaginationToken): TopologicalPlace {
  const seen = seenUpTo(reader, token);
  if (typeof seen !== 'number') return seen;
  for (const { position } of timelineBackwards(reader, room.id, -1, seen)) {
    const event = eventAt(reader, position);
    if (event !== undefined) return placeAfter(event);
  }
  return FIRST_PLACE;
}

/** Where a client begins that does not say: at the last event it may see, or at the first. */
export function outermostPlace(reader: Reader, { departure }: RoomView, direction: Direction): TopologicalPlace {
  if (direction === 'f') return FIRST_PLACE;
  const last = departure && eventAt(reader, departure.position);
  return last === undefined ? LAST_PLACE : placeAfter(last);
}

/** Version of the state of a room at a place: what the events before it have made of it. */
export function stateVersionAtPlace(reader: Reader, { room }: RoomView, place: TopologicalPlace): number {
  for (const { position } of topologicalRange(reader, room.id, place, 'b')) {
    const event = eventAt(reader, position);
    if (event !== undefined) return versionAfter(event);
  }
  return 0;
}
