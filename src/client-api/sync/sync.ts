import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { PRESENCE_STATES } from '#src/ephemeral/presence.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryFlag, queryInteger, queryText } from '#src/http/query.ts';
import { viewerOf } from '#src/sync/client-event.ts';
import type { StateSection } from '#src/sync/run.ts';
import { parseSyncToken } from '#src/sync/tokens.ts';
import { syncFilter } from './filter-param.ts';

/** Longest time that a client may wait for something new; proxies and phones give up sooner. */
const MAX_TIMEOUT_MS = 180_000;

/**
 * `GET /_matrix/client/v3/sync`: what is new for the user since a token, or everything; waits for something new if asked to.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */
export const sync = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/sync',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    filter: queryText().optional(),
    since: queryText().optional(),
    full_state: queryFlag().default(false),
    set_presence: queryChoice(PRESENCE_STATES).default('online'),
    timeout: queryInteger({ cap: MAX_TIMEOUT_MS }).default(0),
    use_state_after: queryFlag().default(false),
    // From before it was specified; clients of that time know no other.
    'org.matrix.msc4222.use_state_after': queryFlag().default(false),
  }),
  handler: async (request, context: Context) => {
    const { query, requester } = request;
    const viewer = viewerOf(requester);
    const leave = context.presence.attend(viewer.userId, viewer.deviceKey, query.set_presence);
    try {
      const json = await context.sync.respond({
        viewer,
        filter: syncFilter(context.reader, requester.userId, query.filter),
        // An empty text is what some clients send for none.
        since: query.since ? parseSyncToken(query.since) : undefined,
        isFullState: query.full_state,
        stateSection: stateSectionOf(query),
        timeoutMs: query.timeout,
        checkAccess: () => context.accounts.requireAccess(requester),
        stops: () => [request.signal, request.closing],
      });
      return jsonTextAnswer(json);
    } finally {
      leave();
    }
  },
});

interface StateAfterQuery {
  readonly use_state_after: boolean;
  readonly 'org.matrix.msc4222.use_state_after': boolean;
}

function stateSectionOf(query: StateAfterQuery): StateSection {
  if (query.use_state_after) return 'state_after';
  return query['org.matrix.msc4222.use_state_after'] ? 'org.matrix.msc4222.state_after' : 'state';
}
