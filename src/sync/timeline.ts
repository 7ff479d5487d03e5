/** Which events of a room a sync shows as its timeline. */

import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt, timelineBackwards } from '#projections/rooms/queries.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { currentLife } from './log-lives.ts';
import type { Pacer } from './pacer.ts';
import { FIRST_PLACE, formatPlace, placeAfter, placeBefore } from './tokens.ts';

/**
 * Most events of one room that are looked at for one answer. Where a filter lets so little through that more would be needed,
 * the timeline ends there as a limited one, and `/messages` goes on.
 */
export const MAX_EVENTS_SCANNED = 5000;

/** The newest events of a room between two moments. */
export interface Timeline {
  /** The oldest first. */
  readonly events: readonly Event[];
  /** Whether there are more such events before them, after where the timeline may begin. */
  readonly isLimited: boolean;
  /**
   * Whether the state may have changed between the first one and the end by more than these events say: some were left out,
   * or forks met.
   */
  readonly hasHoles: boolean;
  /** Whether it is every event between the two moments. */
  readonly isWhole: boolean;
  /** Token for the events before; where it is the whole room from its beginning on, for these events once more. */
  readonly prevBatch: string;
  /** Version of the room's state before the first event; at the end where there is none. */
  readonly startVersion: number;
}

export interface TimelineRange {
  readonly reader: Reader;
  readonly room: Position;
  /** Where the timeline begins, exclusive; `BEFORE_FIRST` for the beginning of the room. */
  readonly after: Position;
  /** Where it ends, inclusive. */
  readonly upTo: Position;
  /** Version of the room's state at the end. */
  readonly endVersion: number;
  /** Most events. */
  readonly limit: number;
  readonly pacer: Pacer;
  /** The event at a position. */
  read(position: Position): Event | undefined;
  accepts(event: Event): boolean;
}

/** Chooses the timeline of a room. Reads it in slices: each is of the same moment, since nothing that is behind changes. */
export async function chooseTimeline(range: TimelineRange): Promise<Timeline> {
  const { limit, accepts, pacer } = range;
  const events: Event[] = [];
  let hasHoles = false;
  let hasSkipped = false;
  let isWhole = true;
  let scanned = 0;
  let isLimited = false;
  let last: Event | undefined;
  for (let slice = sliceOf(range, range.upTo); slice.length > 0; slice = sliceOf(range, nextUpTo(slice))) {
    for (const { event } of slice) {
      scanned += 1;
      if (!accepts(event)) {
        hasSkipped = true;
        isWhole = false;
        continue;
      }
      if (events.length >= limit) {
        isLimited = true;
        break;
      }
      // What was skipped since the last one lies between two events that are shown.
      if (hasSkipped || event.fork !== undefined) hasHoles = true;
      hasSkipped = false;
      events.push(event);
      last = event;
    }
    if (isLimited) break;
    if (scanned >= MAX_EVENTS_SCANNED) {
      isLimited = true;
      last = slice.at(-1)?.event;
      if (hasSkipped) hasHoles = true;
      break;
    }
    if (pacer.isDue) await pacer.pause();
  }
  // Before the first event there is nothing to read. Clients are used to getting the end of what they have instead, as from
  // other servers, and pass over what they know.
  const isAll = range.after === BEFORE_FIRST && !isLimited;
  return {
    events: events.reverse(),
    isLimited,
    hasHoles,
    isWhole: isWhole && !isLimited,
    prevBatch:
      last === undefined || isAll ? placeAtEnd(range) : formatPlace(placeBefore(last), currentLife(range.reader)),
    startVersion: last?.stateVersion ?? range.endVersion,
  };
}

interface Placed {
  readonly place: Position;
  readonly event: Event;
}

const SLICE_EVENTS = 128;

function sliceOf({ reader, room, after, limit, read }: TimelineRange, upTo: Position): Placed[] {
  const slice: Placed[] = [];
  const most = Math.min(limit + 1, SLICE_EVENTS);
  for (const { place, position } of timelineBackwards(reader, room, after, upTo)) {
    const event = read(position);
    if (event !== undefined) slice.push({ place, event });
    if (slice.length >= most) break;
  }
  return slice;
}

function nextUpTo(slice: readonly Placed[]): Position {
  return (slice.at(-1)?.place ?? 0) - 1;
}

/** Where the timeline is empty, what came before is what came before its end. */
function placeAtEnd({ reader, room, upTo }: TimelineRange): string {
  for (const { position } of timelineBackwards(reader, room, -1, upTo)) {
    const event = eventAt(reader, position);
    if (event !== undefined) return formatPlace(placeAfter(event), currentLife(reader));
  }
  return formatPlace(FIRST_PLACE, currentLife(reader));
}
