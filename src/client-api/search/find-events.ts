/** Finds the events of a search: by their words in the index, then each as the rooms and the user's rights have it now. */
import { isErasedUser } from '#projections/accounts/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt } from '#projections/rooms/queries.ts';
import { searchableText } from '#projections/search/projection.ts';
import { forEachHit, type SearchTerms, searchTermsOf } from '#projections/search/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { RoomVisibility } from '#src/rooms/visibility.ts';
import { passes } from '#src/sync/filters.ts';
import type { Pacer } from '#src/sync/pacer.ts';
import { compileRoomEventFilter, type RoomEventFilter } from '../filters/filter.ts';
import { isIgnored } from '../messages/visible-event.ts';
import { inOrder } from './in-order.ts';
import type { RoomEventsCriteria } from './search-request.ts';
import type { SearchGroup, SearchPlace, SearchToken } from './search-token.ts';
import { type SearchedRoom, withPredecessors } from './searched-rooms.ts';

/** Results when the client does not say. */
const DEFAULT_LIMIT = 10;
/** Most results at once. */
const MAX_LIMIT = 50;
/** Events that are looked at for one answer: what a filter or the user's rights leave out does not go on for ever. */
const MAX_EVENTS_LOOKED_AT = 3000;
/** Events of rooms whose history is partly hidden that are looked at to count those that the user may see. */
const MAX_EVENTS_COUNTED = 1000;

export interface FindOptions {
  /** The rooms. */
  readonly reader: Reader;
  /** The index. */
  readonly index: Reader;
  /** The rooms that are gone through. */
  readonly rooms: Iterable<SearchedRoom>;
  /** Whether all of these rooms is shown, whoever asks: only to who says why, and under which case. */
  readonly seesAll?: boolean;
  readonly ignored: ReadonlySet<string>;
  readonly criteria: RoomEventsCriteria;
  /** Which events are wanted beside what the criteria say. */
  readonly accepts?: (event: Event) => boolean;
  readonly token: SearchToken | undefined;
  readonly pacer: Pacer;
}

/** An event that was found. */
export interface Found extends SearchPlace {
  readonly event: Event;
  readonly in: SearchedRoom;
}

export interface FoundEvents {
  readonly terms: SearchTerms | undefined;
  readonly found: readonly Found[];
  /** About how many there are altogether. */
  readonly count: number;
  /** Whether there is more behind the last of them. */
  readonly hasMore: boolean;
  /** Whether there is more in the room of a group; undefined for what cannot be told. */
  readonly roomsWithMore: ReadonlySet<string>;
}

interface Candidate extends SearchPlace {
  readonly in: SearchedRoom;
}

/** One page of results. */
export async function findEvents(options: FindOptions): Promise<FoundEvents> {
  const { reader, criteria, token } = options;
  const terms = searchTermsOf(criteria.search_term);
  const { rooms } = criteria.filter ?? {};
  const filter = compileRoomEventFilter({
    ...criteria.filter,
    ...(rooms !== undefined && { rooms: withPredecessors(reader, rooms) }),
  });
  if (terms === undefined || filter.passesNone) {
    return { terms, found: [], count: 0, hasMore: false, roomsWithMore: new Set() };
  }
  const candidates = await candidatesOf(options, terms, filter);
  const isShown = (candidate: Candidate): Event | undefined => shownEvent(options, filter, candidate);
  const count = countOf(candidates, isShown);
  const isBefore = criteria.order_by === 'rank' ? isBetter : isLater;
  const rest = token === undefined ? candidates : candidates.filter((candidate) => isBefore(token.after, candidate));
  const limit = Math.min(filter.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
  const found: Found[] = [];
  let hasMore = false;
  let lookedAt = 0;
  for (const candidate of inOrder(rest, isBefore)) {
    lookedAt += 1;
    const event = isShown(candidate);
    if (event !== undefined && isInGroup(token?.group, event, candidate.in)) {
      if (found.length >= limit) {
        hasMore = true;
        rest.push(candidate);
        break;
      }
      const { rank, sentAtS, position } = candidate;
      found.push({ rank, sentAtS, position, event, in: candidate.in });
    }
    if (lookedAt >= MAX_EVENTS_LOOKED_AT && found.length > 0) {
      hasMore = rest.length > 0;
      break;
    }
    if (options.pacer.isDue) await options.pacer.pause();
  }
  // Where all of it was looked at there is nothing to guess.
  const exact = token === undefined && !hasMore ? found.length : count;
  return { terms, found, count: exact, hasMore, roomsWithMore: new Set(rest.map((one) => one.in.room.roomId)) };
}

async function candidatesOf(
  { index, rooms, criteria, pacer, token }: FindOptions,
  terms: SearchTerms,
  filter: RoomEventFilter,
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  const keys = criteria.keys && new Set<string>(criteria.keys);
  const onlyRoom = token?.group?.key === 'room_id' ? token.group.id : undefined;
  for (const searched of rooms) {
    const { roomId } = searched.room;
    if (!filter.matchesRoom(roomId) || (onlyRoom !== undefined && onlyRoom !== roomId)) continue;
    forEachHit(index, roomId, terms, (position, sentAtS, key, rank) => {
      if (keys === undefined || keys.has(key)) candidates.push({ position, sentAtS, rank, in: searched });
    });
    if (pacer.isDue) await pacer.pause();
  }
  return candidates;
}

/** The event of a candidate, if it is still there, may be seen, and is asked for. */
function shownEvent(
  { reader, ignored, seesAll = false, accepts }: FindOptions,
  filter: RoomEventFilter,
  { position, in: { room, visibility } }: Candidate,
): Event | undefined {
  const event = eventAt(reader, position);
  if (event === undefined || event.room !== room.id || event.redactedBy !== undefined) return undefined;
  if (!passes(filter, event, reader) || isIgnored(ignored, event) || accepts?.(event) === false) return undefined;
  if (!seesAll && !mayBeShown(reader, visibility, event)) return undefined;
  const content = parseJson(event.contentJson) as JsonObject;
  return searchableText({ type: event.type, content }) === undefined ? undefined : event;
}

function mayBeShown(reader: Reader, visibility: RoomVisibility, event: Event): boolean {
  if (!visibility.canSee(event)) return false;
  // Who was not there sees nothing of what a forgotten user said: not even that it has the words.
  return visibility.membershipAt(event) === 'join' || !isErasedUser(reader, event.sender);
}

/** Where the user may not see all of a room, only what they may see is counted: a number tells too. */
function countOf(candidates: readonly Candidate[], isShown: (candidate: Candidate) => Event | undefined): number {
  let count = 0;
  let lookedAt = 0;
  for (const candidate of candidates) {
    if (candidate.in.isOpen) count += 1;
    else if (lookedAt++ < MAX_EVENTS_COUNTED && isShown(candidate) !== undefined) count += 1;
  }
  return count;
}

function isInGroup(group: SearchGroup | undefined, event: Event, { room }: SearchedRoom): boolean {
  if (group === undefined) return true;
  return group.key === 'room_id' ? group.id === room.roomId : group.id === event.sender;
}

function isBetter(a: SearchPlace, b: SearchPlace): boolean {
  return a.rank === b.rank ? isLater(a, b) : a.rank > b.rank;
}

function isLater(a: SearchPlace, b: SearchPlace): boolean {
  return a.sentAtS === b.sentAtS ? a.position > b.position : a.sentAtS > b.sentAtS;
}
