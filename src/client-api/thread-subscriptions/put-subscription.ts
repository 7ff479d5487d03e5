import { z } from 'zod';
import { threadOf } from '#projections/notifications/projection.ts';
import { subscriptionCount, subscriptionOf } from '#projections/thread-subscriptions/projection.ts';
import { threadSubscribedRecord } from '#projections/thread-subscriptions/records.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { withThreads } from '#src/push/user-rules.ts';
import type { Position } from '#streams/event-log.ts';
import { accountDataDraft, PUSH_RULES_TYPE, pushRuleChangesOf } from '../account-data/entries.ts';
import { visibleEvent } from '../messages/visible-event.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';

/** Most threads in which one user has a standing, past ones included. */
export const MAX_THREADS_PER_USER = 100_000;

/**
 * `PUT /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription`: follows a thread. From the
 * first one on the user has the push rules that go by what they follow.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4306
 */
export const putSubscription = endpoint({
  method: 'PUT',
  path: '/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ automatic: z.string().optional() }),
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    const { reader } = context;
    const { userId } = requester;
    const { roomId, eventId: root } = params;
    visibleEvent(reader, roomId, root, userId);
    const isAutomatic = body.automatic !== undefined;
    const causedAt = body.automatic === undefined ? undefined : causeIn(context, params, body.automatic, userId);
    await changeUser(context, userId, () => {
      const known = subscriptionOf(reader, userId, roomId, root);
      // What the user did themselves is not made automatic again.
      if (known?.standing === 'manual' || (known?.standing === 'automatic' && isAutomatic)) return [];
      if (known?.standing === 'unsubscribed' && causedAt !== undefined && causedAt <= known.at) {
        throw new MatrixError('IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION');
      }
      if (known === undefined && subscriptionCount(reader, userId) >= MAX_THREADS_PER_USER) {
        throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `At most ${MAX_THREADS_PER_USER} threads can be followed.`);
      }
      const rules = pushRuleChangesOf(reader, userId);
      return [
        threadSubscribedRecord(context.newRecordId(), { userId, roomId, root, isAutomatic }),
        ...(rules.hasThreads
          ? []
          : [accountDataDraft(context, userId, undefined, PUSH_RULES_TYPE, withThreads(rules))]),
      ];
    });
    return {};
  },
});

/**
 * Where the event came that made a client follow the thread.
 * @throws {MatrixError} if it is not in the thread, or not for the user to see.
 */
function causeIn(
  { reader }: UserStreamContext,
  { roomId, eventId: root }: { readonly roomId: string; readonly eventId: string },
  cause: string,
  userId: string,
): Position {
  const { event } = visibleEvent(reader, roomId, cause, userId);
  if (event.eventId !== root && threadOf(reader, event) !== root) {
    throw new MatrixError('IO.ELEMENT.MSC4306.M_NOT_IN_THREAD');
  }
  return event.position;
}
