import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { DELAYED_EVENT_ACTIONS } from '#src/delayed-events/delayed-events.ts';
import { type Endpoint, endpoint } from '#src/http/endpoint.ts';

const PATH = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}';

/**
 * `POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}`: sends, cancels or restarts a delayed event, as the
 * body says. Its id is all the authentication it takes, so that a service can do it for a client.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 */
export const updateDelayedEvent = endpoint({
  method: 'POST',
  path: PATH,
  auth: 'none',
  rateLimit: 'write',
  body: z.object({ action: z.enum(DELAYED_EVENT_ACTIONS) }),
  handler: async ({ params, body }, { delayedEvents }: Pick<Context, 'delayedEvents'>) => {
    await delayedEvents.act(params.delayId, body.action);
    return {};
  },
});

/** The same with the action in the path: `POST …/delayed_events/{delayId}/send` and the others. */
export const delayedEventActions: readonly Endpoint<Context>[] = DELAYED_EVENT_ACTIONS.map((action) =>
  endpoint({
    method: 'POST',
    path: `${PATH}/${action}`,
    auth: 'none',
    rateLimit: 'write',
    handler: async ({ params }, { delayedEvents }: Context) => {
      await delayedEvents.act((params as { delayId: string }).delayId, action);
      return {};
    },
  }),
);
