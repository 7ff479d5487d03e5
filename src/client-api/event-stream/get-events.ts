import { z } from 'zod';
import { joinedRoomIds } from '#projections/rooms/queries.ts';
import { accountTopic, BusFullError, roomTopic, type Topic, userTopic } from '#src/bus/bus.ts';
import { Waiter } from '#src/bus/wait.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { viewRoom } from '#src/rooms/room-view.ts';
import { viewerOf } from '#src/sync/client-event.ts';
import { stillSeen } from '#src/sync/log-lives.ts';
import { StopSignal } from '#src/sync/stop-signal.ts';
import { formatSyncToken, parseSyncToken } from '#src/sync/tokens.ts';
import { isSameToken, type StreamNews, type StreamQuestion, streamNews } from './stream-news.ts';

/** Longest time that a client may wait for something new. */
const MAX_TIMEOUT_MS = 180_000;

/**
 * `GET /_matrix/client/v3/events`: what is new, event by event, for clients of old; those of today sync. With `room_id` it
 * follows one room that the user need not be in, if the world may read it; guests have only that. A `limit` makes no difference.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events-1
 */
export const getEvents = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/events',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    from: queryText().optional(),
    timeout: queryInteger({ cap: MAX_TIMEOUT_MS }).default(0),
    limit: queryInteger().optional(),
    room_id: queryText().optional(),
  }),
  handler: async (request, context: Context) => {
    const { query, requester } = request;
    const viewer = viewerOf(requester);
    if (query.room_id === undefined && requester.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN');
    if (query.room_id !== undefined) viewRoom(context.reader, query.room_id, viewer.userId);
    const since = query.from ? stillSeen(context.reader, parseSyncToken(query.from)).token : context.sync.now();
    const question: StreamQuestion = { viewer, since, peekedRoomId: query.room_id };
    const leave = context.presence.attend(viewer.userId, viewer.deviceKey, 'online');
    try {
      using stop = new StopSignal(query.timeout === 0 ? [] : [request.signal, request.closing]);
      const { chunk, next } = await waitForNews(context, question, {
        timeoutMs: query.timeout,
        signal: stop.signal,
        checkAccess: () => context.accounts.requireAccess(requester),
      });
      const start = query.from || formatSyncToken(since);
      return jsonTextAnswer(
        `{"chunk":[${chunk.join(',')}],"end":"${formatSyncToken(next)}","start":${JSON.stringify(start)}}`,
      );
    } finally {
      leave();
    }
  },
});

interface Waiting {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Throws when whoever waits may not be told any more. */
  readonly checkAccess: () => void;
}

async function waitForNews(
  context: Context,
  question: StreamQuestion,
  { timeoutMs, signal, checkAccess }: Waiting,
): Promise<StreamNews> {
  const deadline = performance.now() + timeoutMs;
  for (let { since } = question; ; ) {
    // Registered before looking, so that nothing which comes in between is missed.
    using waiter = waiterFor(context, question);
    const isNothingNew = isSameToken(since, context.sync.now());
    const news = isNothingNew ? { chunk: [], next: since } : await streamNews(context, { ...question, since });
    const leftMs = deadline - performance.now();
    if (news.chunk.length > 0 || waiter === undefined || leftMs <= 0) return news;
    const outcome = await waiter.wait({ signal, timeoutMs: leftMs });
    checkAccess();
    if (outcome !== 'woken') return news;
    since = news.next;
  }
}

/** Undefined where the node holds as many waiters as it can: the client then gets its answer at once. */
function waiterFor({ reader, bus }: Context, { viewer, peekedRoomId }: StreamQuestion): Waiter | undefined {
  const topics: Topic[] = [accountTopic(viewer.userId)];
  if (peekedRoomId !== undefined) {
    topics.push(roomTopic(peekedRoomId));
  } else {
    topics.push(userTopic(viewer.userId));
    for (const roomId of joinedRoomIds(reader, viewer.userId)) topics.push(roomTopic(roomId));
  }
  try {
    return new Waiter(bus, topics);
  } catch (error) {
    if (error instanceof BusFullError) return undefined;
    throw error;
  }
}
