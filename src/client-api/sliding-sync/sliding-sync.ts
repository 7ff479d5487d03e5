import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { PRESENCE_STATES } from '#src/ephemeral/presence.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryChoice, queryInteger, queryText } from '#src/http/query.ts';
import { parsePosition } from '#src/sliding-sync/position-token.ts';
import { MAX_RULES, rulesOf, type SlidingSyncBody, slidingSyncBody } from '#src/sliding-sync/request.ts';
import { viewerOf } from '#src/sync/client-event.ts';

/** Longest time that a client may wait for something new; proxies and phones give up sooner. */
const MAX_TIMEOUT_MS = 180_000;

/**
 * `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync`: what is new in the rooms that the client wants to know of.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md
 */
export const slidingSync = endpoint({
  method: 'POST',
  path: '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    pos: queryText().optional(),
    timeout: queryInteger({ cap: MAX_TIMEOUT_MS }).optional(),
    set_presence: queryChoice(PRESENCE_STATES).optional(),
  }),
  body: slidingSyncBody,
  handler: async (request, context: Context) => {
    const { query, body, requester } = request;
    requireFew(body);
    const pos = query.pos || body.pos || undefined;
    const viewer = viewerOf(requester);
    const leave = context.presence.attend(
      viewer.userId,
      viewer.deviceKey,
      query.set_presence ?? body.set_presence ?? 'online',
    );
    try {
      const json = await context.slidingSync.respond({
        viewer,
        connId: body.conn_id ?? '',
        txnId: body.txn_id ?? undefined,
        position: pos === undefined ? undefined : parsePosition(pos),
        rules: rulesOf(body, viewer.userId),
        rulesText: JSON.stringify([body.lists, body.room_subscriptions]),
        timeoutMs: Math.min(query.timeout ?? body.timeout ?? 0, MAX_TIMEOUT_MS),
        checkAccess: () => context.accounts.requireAccess(requester),
        stops: () => [request.signal, request.closing],
      });
      return jsonTextAnswer(json);
    } finally {
      leave();
    }
  },
});

/** @throws {MatrixError} M_INVALID_PARAM */
function requireFew({ lists, room_subscriptions: subscriptions }: SlidingSyncBody): void {
  for (const rules of [lists, subscriptions]) {
    if (Object.keys(rules ?? {}).length > MAX_RULES) {
      throw invalidParam(`A request can have at most ${MAX_RULES} lists, and as many subscriptions.`);
    }
  }
}
