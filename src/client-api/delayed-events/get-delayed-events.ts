import type { DelayedEvent } from '#projections/delayed-events/records.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events`: what is to be sent for the user.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 */
export const getDelayedEvents = endpoint({
  method: 'GET',
  path: '/_matrix/client/unstable/org.matrix.msc4140/delayed_events',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester }, { delayedEvents }: Pick<Context, 'delayedEvents'>) => ({
    delayed_events: delayedEvents.of(requester.userId).map(describe),
  }),
});

/**
 * `GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}`: one of what is to be sent for the user.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 */
export const getDelayedEvent = endpoint({
  method: 'GET',
  path: '/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { delayedEvents }: Pick<Context, 'delayedEvents'>) => {
    const event = delayedEvents.of(requester.userId).find(({ delayId }) => delayId === params.delayId);
    if (event === undefined) throw notFound('There is no such delayed event any more.');
    return describe(event);
  },
});

function describe(event: DelayedEvent): object {
  return {
    delay_id: event.delayId,
    room_id: event.roomId,
    type: event.type,
    ...(event.stateKey !== undefined && { state_key: event.stateKey }),
    delay: event.delayMs,
    running_since: event.startedAtMs,
    content: parseJson(event.contentJson),
  };
}
