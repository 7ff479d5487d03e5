import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { listNotifications, type Notification } from '#src/push/notifications.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import { clientEvent, type Viewer, viewerOf } from '#src/sync/client-event.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 500;
/** A position in the log. */
const TOKEN = /^n(\d{1,14})$/;

/**
 * `GET /_matrix/client/v3/notifications`: the events that the user has been, or would have been, notified of.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications
 */
export const getNotifications = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/notifications',
  auth: 'user',
  rateLimit: 'read',
  query: z.object({
    from: queryText().optional(),
    limit: queryInteger({ min: 1, cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    only: queryText().optional(),
  }),
  handler: async ({ query, requester }, context: Pick<Context, 'reader' | 'push' | 'clock'>) => {
    const page = await listNotifications(
      { reader: context.reader, profiles: context.push.profiles, unread: context.push.unread, pacer: sharedPacer },
      {
        userId: requester.userId,
        before: beforeOf(query.from),
        limit: query.limit,
        onlyHighlights: query.only === 'highlight',
      },
    );
    const viewer = viewerOf(requester);
    const texts = page.notifications.map((one) => notificationJson(context, viewer, one));
    const next = page.next === undefined ? '' : `"next_token":"n${page.next}",`;
    return jsonTextAnswer(`{${next}"notifications":[${texts.join(',')}]}`);
  },
});

/** An empty token counts as none, as elsewhere. @throws {MatrixError} `M_INVALID_PARAM` */
function beforeOf(from: string | undefined): Position | undefined {
  if (from === undefined || from === '') return undefined;
  const match = TOKEN.exec(from);
  if (match === null) throw invalidParam('This is not a token that the server gave out.');
  return Number(match[1]);
}

function notificationJson(
  { reader, clock }: Pick<Context, 'reader' | 'clock'>,
  viewer: Viewer,
  { room, event, outcome, isRead }: Notification,
): string {
  const visibility = new RoomVisibility(reader, room.id, viewer.userId);
  const text = clientEvent({ reader, visibility, viewer, nowMs: clock() }, event);
  // There are no rules for single devices any more, to which the tag belonged; clients still expect one.
  return (
    `{"actions":${JSON.stringify(outcome.actions)},"event":${text},"profile_tag":"","read":${isRead},` +
    `"room_id":${JSON.stringify(room.roomId)},"ts":${event.originServerTs}}`
  );
}
