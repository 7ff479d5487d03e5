/**
 * What people wrote, for administrators and moderators who need not be in the room: each read for a reason, under a case and on record.
 * The shapes are Synapse's, so that its tools work; `asof` is ours.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-messages-api
 */

import { z } from 'zod';
import { type Event, eventById, type Room, roomById } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { Context } from '#src/context.ts';
import { endpoint, type Requester } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { queryChoice, queryInteger, queryText } from '#src/http/query.ts';
import { eventAsOf, positionOf, wasThere } from '#src/rooms/as-of.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import { clientEvent, type EventView } from '#src/sync/client-event.ts';
import { passes } from '#src/sync/filters.ts';
import { currentLife } from '#src/sync/log-lives.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { addMembers, stateAtVersion, stateEvents } from '#src/sync/room-state.ts';
import {
  FIRST_PLACE,
  formatPlace,
  LAST_PLACE,
  parsePaginationToken,
  placeAfter,
  placeBefore,
} from '#src/sync/tokens.ts';
import type { Position } from '#streams/event-log.ts';
import { placeOf, readPage } from '../../messages/page.ts';
import { eventViewFor } from '../../messages/visible-event.ts';
import { roomEventFilter } from '../../sync/filter-param.ts';
import { asOfQuery, roomOf } from './room-of.ts';

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 500;

/** `GET /_synapse/admin/v1/rooms/{roomId}/messages`: with `asof` the room's history as it was shown at a moment. */
export const roomMessages = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}/messages',
  auth: 'admin',
  may: 'content.read',
  audit: { action: 'content.read', describe: ({ query }) => ({ after: query }) },
  rateLimit: 'none',
  query: z.object({
    ...asOfQuery,
    dir: queryChoice(['b', 'f']).default('f'),
    from: queryText().optional(),
    to: queryText().optional(),
    limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    filter: queryText().optional(),
  }),
  handler: async ({ params, query, requester }, context: Context) => {
    const { reader } = context;
    const filter = roomEventFilter(query.filter);
    const timeline = await TimelineView.of(context, requester, roomOf(context, params.roomId), query.asof);
    const { view } = timeline;
    const outermost = query.dir === 'f' ? FIRST_PLACE : LAST_PLACE;
    const from = query.from ? placeOf(reader, view, parsePaginationToken(query.from)) : outermost;
    const { events, end } = await readPage({
      reader,
      view,
      from,
      to: query.to ? placeOf(reader, view, parsePaginationToken(query.to)) : undefined,
      direction: query.dir,
      limit: Math.min(query.limit, filter.limit ?? query.limit),
      pacer: sharedPacer,
      accepts: (event) => timeline.has(event) && passes(filter, event, reader),
    });
    return {
      chunk: await timeline.json(events),
      start: query.from || formatPlace(from, currentLife(reader)),
      ...(end !== undefined && { end: formatPlace(end, currentLife(reader)) }),
    };
  },
});

/** `GET /_synapse/admin/v1/rooms/{roomId}/context/{eventId}`. */
export const roomEventContext = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}/context/{eventId}',
  auth: 'admin',
  may: 'content.read',
  audit: { action: 'content.read', describe: ({ query }) => ({ after: query }) },
  rateLimit: 'none',
  query: z.object({ ...asOfQuery, limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT) }),
  handler: async ({ params, query, requester }, context: Context) => {
    const { reader } = context;
    const room = roomOf(context, params.roomId);
    const timeline = await TimelineView.of(context, requester, room, query.asof);
    const event = eventById(reader, params.eventId);
    if (event === undefined || event.room !== room.id || !timeline.has(event))
      throw notFound('There is no such event in the room.');
    const page = { reader, view: timeline.view, pacer: sharedPacer, accepts: (one: Event) => timeline.has(one) };
    const before = await readPage({
      ...page,
      from: placeBefore(event),
      direction: 'b',
      limit: Math.ceil(query.limit / 2),
    });
    const after = await readPage({
      ...page,
      from: placeAfter(event),
      direction: 'f',
      limit: Math.floor(query.limit / 2),
    });
    const source = { reader, room: room.id, pacer: sharedPacer };
    const positions = await stateAtVersion(source, event.stateVersion, false);
    addMembers(
      source,
      event.stateVersion,
      new Set([...before.events, event, ...after.events].map(({ sender }) => sender)),
      positions,
    );
    const state = await stateEvents(source, positions.values(), () => true);
    const [shown] = await timeline.json([event]);
    return {
      event: shown,
      events_before: await timeline.json(before.events),
      events_after: await timeline.json(after.events),
      start: formatPlace(placeBefore(before.events.at(-1) ?? event), currentLife(reader)),
      end: formatPlace(placeAfter(after.events.at(-1) ?? event), currentLife(reader)),
      state: await timeline.json(state),
    };
  },
});

/** `GET /_synapse/admin/v1/fetch_event/{eventId}`: one event, by its id alone. */
export const fetchEvent = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/fetch_event/{eventId}',
  auth: 'admin',
  may: 'content.read',
  audit: {
    action: 'content.read',
    describe: ({ params }, context: Context) => ({ roomId: eventToFetch(context, params.eventId).room.roomId }),
  },
  rateLimit: 'none',
  query: z.object(asOfQuery),
  handler: async ({ params, query, requester }, context: Context) => {
    const { event, room } = eventToFetch(context, params.eventId);
    const timeline = await TimelineView.of(context, requester, room, query.asof);
    if (!timeline.has(event)) throw notFound('There was no such event at that moment.');
    const [shown] = await timeline.json([event]);
    return { event: shown };
  },
});

function eventToFetch(
  { reader }: Pick<Context, 'reader'>,
  eventId: string,
): { readonly event: Event; readonly room: Room } {
  const event = eventById(reader, eventId);
  const room = event && roomById(reader, event.room);
  if (event === undefined || room === undefined) throw notFound('There is no such event here.');
  return { event, room };
}

/** A room's timeline without regard to who may see what; as of a moment, where one is asked for. */
class TimelineView {
  readonly view: {
    readonly room: Room;
    readonly visibility: RoomVisibility;
    readonly stateVersion: number;
    readonly departure: undefined;
  };
  readonly #context: Pick<Context, 'reader' | 'log' | 'clock'>;
  readonly #events: EventView;
  /** Position of the last record that counts. */
  readonly #until: Position | undefined;

  private constructor(context: Context, requester: Requester, room: Room, until: Position | undefined) {
    const visibility = new RoomVisibility(context.reader, room.id, requester.userId);
    this.view = { room, visibility, stateVersion: 0, departure: undefined };
    this.#context = context;
    this.#events = eventViewFor(context, requester, { roomId: room.roomId, visibility, ignored: new Set() });
    this.#until = until;
  }

  /** @throws {MatrixError} M_INVALID_PARAM for an `asof` that is no moment of this room */
  static async of(context: Context, requester: Requester, room: Room, asof: string | undefined): Promise<TimelineView> {
    if (asof === undefined) return new TimelineView(context, requester, room, undefined);
    const until = await positionOf(context.reader, context.log, room, asof);
    if (until === undefined) throw invalidParam('asof is an event of the room, a time, or a position in the log.');
    return new TimelineView(context, requester, room, until);
  }

  /** Whether the event was there. */
  has(event: Event): boolean {
    return this.#until === undefined || wasThere(event, this.#until);
  }

  /** The events as they were shown: what was redacted only later has its content, as far as that was not destroyed. */
  async json(events: readonly Event[]): Promise<unknown[]> {
    const shown: unknown[] = [];
    for (const event of events) {
      const then = this.#until === undefined ? event : eventAsOf(this.#context.log, event, this.#until);
      shown.push(parseJson(clientEvent(this.#events, await then)));
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    return shown;
  }
}
