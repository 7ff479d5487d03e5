/** The answer of a search. */

import { type Event, stateContent } from '#projections/rooms/queries.ts';
import { searchableText } from '#projections/search/projection.ts';
import type { SearchTerms } from '#projections/search/queries.ts';
import { writtenWords } from '#projections/search/words.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { clientEvent, type EventView } from '#src/sync/client-event.ts';
import { currentLife } from '#src/sync/log-lives.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { stateAtVersion, stateEvents } from '#src/sync/room-state.ts';
import { formatPlace, placeAfter, placeBefore } from '#src/sync/tokens.ts';
import { readPage } from '../messages/page.ts';
import { eventViewFor, isIgnored } from '../messages/visible-event.ts';
import type { Found, FoundEvents } from './find-events.ts';
import type { RoomEventsCriteria } from './search-request.ts';
import { formatSearchToken, type SearchGroup } from './search-token.ts';
import type { SearchedRoom } from './searched-rooms.ts';

/** Words of the results that clients are told to mark. */
const MAX_HIGHLIGHTS = 100;

export interface ResultOptions {
  readonly context: Context;
  readonly requester: Requester;
  readonly ignored: ReadonlySet<string>;
  readonly criteria: RoomEventsCriteria;
  /** The group that was asked for, if it was one. */
  readonly group: SearchGroup | undefined;
}

/** JSON text of `room_events`. */
export async function resultText(options: ResultOptions, page: FoundEvents): Promise<string> {
  const { criteria } = options;
  const views = new Map<string, EventView>();
  const viewOf = (room: SearchedRoom): EventView => {
    const { roomId } = room.room;
    const known = views.get(roomId);
    if (known !== undefined) return known;
    const { visibility } = room;
    const view = eventViewFor(options.context, options.requester, { roomId, visibility, ignored: options.ignored });
    views.set(roomId, view);
    return view;
  };
  const results: string[] = [];
  for (const one of page.found) {
    const view = viewOf(one.in);
    const around = criteria.event_context === undefined ? '' : `,"context":${await contextText(options, view, one)}`;
    results.push(`{"rank":${one.rank},"result":${clientEvent(view, one.event)}${around}}`);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  let json = `{"count":${page.count},"highlights":${JSON.stringify(highlightsOf(page))},"results":[${results.join(',')}]`;
  if (criteria.include_state) json += `,"state":${await statesText(options, page, viewOf)}`;
  const groupKeys = new Set(criteria.groupings?.group_by.map(({ key }) => key));
  if (groupKeys.size > 0) {
    const groups = Array.from(groupKeys, (key) => `"${key}":${JSON.stringify(groupsOf(options, page, key))}`);
    json += `,"groups":{${groups.join(',')}}`;
  }
  const last = page.found.at(-1);
  if (page.hasMore && last !== undefined) {
    json += `,"next_batch":"${formatSearchToken({ after: last, group: options.group })}"`;
  }
  return `${json}}`;
}

/** What was said before and after a result, and what those were called who said it. */
async function contextText(
  { context, criteria, ignored }: ResultOptions,
  view: EventView,
  one: Found,
): Promise<string> {
  const { before_limit = 0, after_limit = 0, include_profile = false } = criteria.event_context ?? {};
  const { reader } = context;
  const { room, visibility } = one.in;
  const page = {
    reader,
    view: { room, visibility, stateVersion: one.in.stateVersion, departure: undefined },
    pacer: sharedPacer,
    accepts: (event: Event) => !isIgnored(ignored, event) && visibility.canSee(event),
  };
  const before = await readPage({ ...page, from: placeBefore(one.event), direction: 'b', limit: before_limit });
  const after = await readPage({ ...page, from: placeAfter(one.event), direction: 'f', limit: after_limit });
  const text = (events: readonly Event[]): string => `[${events.map((event) => clientEvent(view, event)).join(',')}]`;
  const start = placeBefore(before.events.at(-1) ?? one.event);
  const end = placeAfter(after.events.at(-1) ?? one.event);
  let json =
    `{"end":"${formatPlace(end, currentLife(reader))}","events_after":${text(after.events)},"events_before":${text(before.events)},` +
    `"start":"${formatPlace(start, currentLife(reader))}"`;
  if (include_profile) {
    const profiles: Record<string, object> = {};
    for (const event of [...before.events, one.event, ...after.events]) {
      profiles[event.sender] ??= profileAt(context, event);
    }
    json += `,"profile_info":${JSON.stringify(profiles)}`;
  }
  return `${json}}`;
}

/** What somebody was called when they sent an event. */
function profileAt({ reader }: Context, { room, sender, stateVersion }: Event): object {
  const content = stateContent(reader, room, 'm.room.member', sender, stateVersion) ?? {};
  const { displayname, avatar_url } = content;
  return {
    ...(typeof displayname === 'string' && { displayname }),
    ...(typeof avatar_url === 'string' && { avatar_url }),
  };
}

/** The state of each room of the results, as the user may see it. */
async function statesText(
  { context }: ResultOptions,
  { found }: FoundEvents,
  viewOf: (room: SearchedRoom) => EventView,
): Promise<string> {
  const rooms = new Map(found.map((one) => [one.in.room.roomId, one.in]));
  const states: string[] = [];
  for (const [roomId, searched] of rooms) {
    const source = { reader: context.reader, room: searched.room.id, pacer: sharedPacer };
    const positions = await stateAtVersion(source, searched.stateVersion, true);
    const events = await stateEvents(source, positions.values(), () => true);
    const view = { ...viewOf(searched), bundles: undefined };
    states.push(`${JSON.stringify(roomId)}:[${events.map((event) => clientEvent(view, event)).join(',')}]`);
  }
  return `{${states.join(',')}}`;
}

interface Group {
  readonly results: string[];
  readonly order: number;
  next_batch?: string;
}

function groupsOf(options: ResultOptions, page: FoundEvents, key: SearchGroup['key']): Record<string, Group> {
  const groups = new Map<string, Group>();
  const lastOf = new Map<string, Found>();
  for (const one of page.found) {
    const id = key === 'room_id' ? one.in.room.roomId : one.event.sender;
    const group = groups.get(id) ?? { results: [], order: groups.size + 1 };
    groups.set(id, group);
    group.results.push(one.event.eventId);
    lastOf.set(id, one);
  }
  for (const [id, group] of groups) {
    const after = lastOf.get(id);
    const mayGoOn = page.hasMore && (key === 'sender' || page.roomsWithMore.has(id));
    // Tokens name one group: within a group of one kind there are none for those of the other.
    if (mayGoOn && after !== undefined && (options.group === undefined || options.group.key === key)) {
      group.next_batch = formatSearchToken({ after, group: { key, id } });
    }
  }
  return Object.fromEntries(groups);
}

/** The words of the results that match, as they are written in them. */
function highlightsOf({ terms, found }: FoundEvents): string[] {
  if (terms === undefined) return [];
  const highlights = new Set<string>();
  for (const { event } of found) {
    const content = parseJson(event.contentJson) as JsonObject;
    const text = searchableText({ type: event.type, content })?.text ?? '';
    for (const { written, folded } of writtenWords(text)) {
      if (matches(terms, folded)) highlights.add(written.toLowerCase());
      if (highlights.size >= MAX_HIGHLIGHTS) return [...highlights];
    }
  }
  return [...highlights];
}

function matches({ words, prefix }: SearchTerms, folded: string): boolean {
  return words.includes(folded) || (prefix !== undefined && folded.startsWith(prefix));
}
