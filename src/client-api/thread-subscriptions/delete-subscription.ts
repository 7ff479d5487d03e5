import { isSubscribed } from '#projections/thread-subscriptions/projection.ts';
import { threadUnsubscribedRecord } from '#projections/thread-subscriptions/records.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { visibleEvent } from '../messages/visible-event.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';

/**
 * `DELETE /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription`: follows a thread no more.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4306
 */
export const deleteSubscription = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription',
  auth: 'user',
  rateLimit: 'write',
  handler: async ({ params, requester }, context: UserStreamContext) => {
    const { userId } = requester;
    const { roomId, eventId: root } = params;
    visibleEvent(context.reader, roomId, root, userId);
    await changeUser(context, userId, () =>
      isSubscribed(context.reader, userId, roomId, root)
        ? [threadUnsubscribedRecord(context.newRecordId(), { userId, roomId, root })]
        : [],
    );
    return {};
  },
});
