import { subscriptionOf } from '#projections/thread-subscriptions/projection.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { visibleEvent } from '../messages/visible-event.ts';

/**
 * `GET /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription`: whether the user follows a
 * thread. https://github.com/matrix-org/matrix-spec-proposals/pull/4306
 */
export const getSubscription = endpoint({
  method: 'GET',
  path: '/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription',
  auth: 'user',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader }: Pick<Context, 'reader'>) => {
    visibleEvent(reader, params.roomId, params.eventId, requester.userId);
    const standing = subscriptionOf(reader, requester.userId, params.roomId, params.eventId)?.standing;
    if (standing === undefined || standing === 'unsubscribed') throw notFound('You do not follow this thread.');
    return { automatic: standing === 'automatic' };
  },
});
