import { z } from 'zod';
import type { Reader } from '#projections/engine/reader.ts';
import { sentInThread, threadsBackwards } from '#projections/relations/queries.ts';
import { type Event, eventById, type TopologicalPlace } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { redactContent } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryInteger, queryText } from '#src/http/query.ts';
import { type RoomView, viewRoom } from '#src/rooms/room-view.ts';
import { clientEvent, type EventView } from '#src/sync/client-event.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { currentLife } from '#src/sync/log-lives.ts';
import { formatPlace, LAST_PLACE, parsePaginationToken, placeBefore } from '#src/sync/tokens.ts';
import { placeOf } from '../messages/page.ts';
import { eventViewFor, isIgnored } from '../messages/visible-event.ts';

/** Threads of a page when the client does not say. */
const DEFAULT_LIMIT = 20;
/** Most threads of a page. */
const MAX_LIMIT = 100;
/** Threads that are looked at for one page; a page that needs more ends there, and the next one goes on. */
const MAX_THREADS_SCANNED = 1000;

/**
 * `GET /_matrix/client/v1/rooms/{roomId}/threads`: the threads of a room, that with the newest event first.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads
 */
export const threads = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/{roomId}/threads',
  aliases: ['/_matrix/client/unstable/org.matrix.msc3856/rooms/{roomId}/threads'],
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    include: queryChoice(['all', 'participated']).default('all'),
    limit: queryInteger({ min: 1, cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    from: queryText().optional(),
  }),
  handler: ({ params, query, requester }, context: Context) => {
    const { reader } = context;
    const token = query.from ? parsePaginationToken(query.from) : undefined;
    const room = viewRoom(reader, params.roomId, requester.userId);
    const ignored = ignoredUsers(reader, requester.userId);
    const { visibility } = room;
    const view = eventViewFor(context, requester, { roomId: params.roomId, visibility, ignored });
    const { roots, next } = readThreads(view, room, {
      from: token === undefined ? LAST_PLACE : placeOf(reader, room, token),
      limit: query.limit,
      isParticipatedOnly: query.include === 'participated',
    });
    const texts = roots.map((root) => clientEvent(view, isIgnored(ignored, root) ? redacted(root, room) : root));
    const end = next === undefined ? '' : `,"next_batch":"${formatPlace(next, currentLife(reader))}"`;
    return jsonTextAnswer(`{"chunk":[${texts.join(',')}]${end}}`);
  },
});

interface ThreadsQuery {
  readonly from: TopologicalPlace;
  readonly limit: number;
  readonly isParticipatedOnly: boolean;
}

function readThreads(
  view: EventView,
  { room }: RoomView,
  { from, limit, isParticipatedOnly }: ThreadsQuery,
): { readonly roots: readonly Event[]; readonly next: TopologicalPlace | undefined } {
  const { reader, viewer } = view;
  const roots: Event[] = [];
  let scanned = 0;
  let next = from;
  for (const thread of threadsBackwards(reader, room.id, from)) {
    if (++scanned > MAX_THREADS_SCANNED) return { roots, next };
    const root = eventById(reader, thread.root);
    const isShown =
      root !== undefined &&
      isShownRoot(view, room.id, root) &&
      (!isParticipatedOnly || hasParticipated(reader, root, viewer.userId));
    if (isShown && roots.length >= limit) return { roots, next };
    if (isShown) roots.push(root);
    next = placeBefore(thread);
  }
  return { roots, next: undefined };
}

/** Whether the user sees the thread: its root, and something in it. */
function isShownRoot(view: EventView, room: number, root: Event): boolean {
  if (root.room !== room || root.relation !== undefined || !view.visibility.canSee(root)) return false;
  return root.stateKey !== undefined || view.bundles?.hasThread(view, root) === true;
}

function hasParticipated(reader: Reader, root: Event, userId: string): boolean {
  return root.sender === userId || sentInThread(reader, root.room, root.eventId, userId) > 0;
}

/** The root as it is shown to who ignores its sender: there, but without what was said. */
function redacted(root: Event, { room }: RoomView): Event {
  const rules = roomVersionRules(room.version);
  const content = parseJson(root.contentJson) as JsonObject;
  const kept = rules === undefined ? {} : redactContent({ type: root.type, content }, rules);
  return { ...root, contentJson: JSON.stringify(kept) };
}
