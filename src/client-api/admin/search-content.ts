import { z } from 'zod';
import type { Event } from '#projections/rooms/queries.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { clientEvent, type EventView } from '#src/sync/client-event.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { eventViewFor } from '../messages/visible-event.ts';
import { userIdSchema } from '../schemas.ts';
import { type Found, findEvents } from '../search/find-events.ts';
import { roomEventsSchema } from '../search/search-request.ts';
import { formatSearchToken, parseSearchToken } from '../search/search-token.ts';
import { roomsOfServer } from '../search/searched-rooms.ts';
import { recordRooms } from './exports/record-rooms.ts';

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 50;
/** Rooms, and senders, of one search. */
const MAX_NAMED = 1_000;
const time = z.int().min(0).optional();

/**
 * `POST /_stele/admin/search`: what was said in all rooms of the server, for a reason and under a case. Each room of which something is
 * shown is on record. What was redacted, or is encrypted, is not found.
 */
export const searchContent = endpoint({
  method: 'POST',
  path: '/_stele/admin/search',
  auth: 'admin',
  may: 'search.all',
  rateLimit: 'none',
  body: z.object({
    search_term: roomEventsSchema.shape.search_term,
    keys: roomEventsSchema.shape.keys,
    order_by: z.enum(['rank', 'recent']).default('recent'),
    /** Room ids; without them all rooms. */
    rooms: z.array(z.string()).max(MAX_NAMED).optional(),
    senders: z.array(userIdSchema).max(MAX_NAMED).optional(),
    /** Sent at this time or later, and before that, by the sender's server: milliseconds since the epoch. */
    from_ts: time,
    to_ts: time,
    limit: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
    /** The `next_batch` of the answer before. */
    from: z.string().optional(),
  }),
  audit: {
    action: 'content.search',
    isScopedInHandler: true,
    describe: ({ body: { search_term, keys, rooms, senders, from_ts, to_ts, from } }) => ({
      target: { kind: 'server', id: 'content' },
      after: { search_term, keys, rooms, senders, from_ts, to_ts, from },
    }),
  },
  handler: async ({ body, requester, ip }, context: Context) => {
    const { reader } = context;
    const { reason, caseId, rooms: reached } = standingOf(requester);
    const { rooms = reached, senders, from_ts: fromMs = 0, to_ts: toMs = Number.POSITIVE_INFINITY } = body;
    const wanted = reached === undefined ? rooms : rooms?.filter((room) => reached.includes(room));
    const { terms, found, hasMore } = await findEvents({
      reader,
      index: await context.search.readerAt(reader.frontier),
      rooms: roomsOfServer(reader, requester.userId, wanted),
      seesAll: true,
      ignored: new Set(),
      criteria: {
        search_term: body.search_term,
        keys: body.keys,
        order_by: body.order_by,
        include_state: false,
        filter: { limit: body.limit, ...(senders !== undefined && { senders }) },
      },
      accepts: ({ originServerTs }: Event) => originServerTs >= fromMs && originServerTs < toMs,
      token: body.from === undefined ? undefined : parseSearchToken(body.from),
      pacer: sharedPacer,
    });
    const shown = [...new Set(found.map((one) => one.in.room.roomId))];
    await recordRooms(context, shown, { actor: actorOf(requester), action: 'content.search', reason, caseId, ip });
    const views = new Map<string, EventView>();
    const results = found.map((one) => `{"rank":${one.rank},"result":${clientEvent(viewOf(one), one.event)}}`);
    const last = found.at(-1);
    const next = hasMore && last !== undefined ? formatSearchToken({ after: last, group: undefined }) : undefined;
    return jsonTextAnswer(
      `{"is_searchable":${terms !== undefined},"results":[${results.join(',')}]` +
        `${next === undefined ? '' : `,"next_batch":"${next}"`}}`,
    );

    function viewOf({ in: { room, visibility } }: Found): EventView {
      const known = views.get(room.roomId);
      const view = known ?? eventViewFor(context, requester, { roomId: room.roomId, visibility, ignored: new Set() });
      views.set(room.roomId, view);
      return view;
    }
  },
});
