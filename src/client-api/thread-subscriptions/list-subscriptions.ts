import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryChoice, queryInteger, queryText } from '#src/http/query.ts';
import { parsePosition } from '#src/sliding-sync/position-token.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { DEFAULT_CHANGES, MAX_CHANGES, subscriptionChanges } from './subscription-changes.ts';

/**
 * `GET /_matrix/client/unstable/io.element.msc4308/thread_subscriptions`: changes of the user's thread subscriptions that a
 * sliding sync had no room for, the newest first. https://github.com/matrix-org/matrix-spec-proposals/pull/4308
 */
export const listSubscriptions = endpoint({
  method: 'GET',
  path: '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions',
  auth: 'user',
  rateLimit: 'read',
  query: z.object({
    dir: queryChoice(['b']),
    from: queryText().optional(),
    to: queryText().optional(),
    limit: queryInteger({ min: 1, cap: MAX_CHANGES }).default(DEFAULT_CHANGES),
  }),
  handler: ({ query, requester }, { reader }: Pick<Context, 'reader'>) => {
    const { json, olderUpTo } = subscriptionChanges(reader, requester.userId, {
      after: query.to === undefined ? BEFORE_FIRST : positionIn(query.to),
      upTo: query.from === undefined ? reader.frontier : Math.min(positionIn(query.from), reader.frontier),
      limit: query.limit,
    });
    const end = olderUpTo === undefined ? '' : `"end":"${olderUpTo}"`;
    return jsonTextAnswer(`{${[json, end].filter((part) => part !== '').join(',')}}`);
  },
});

const OWN_TOKEN = /^\d{1,15}$/;

/** Of a token of this endpoint, or of a sliding sync. @throws {MatrixError} M_INVALID_PARAM */
function positionIn(token: string): Position {
  if (OWN_TOKEN.test(token)) return Number(token);
  try {
    return parsePosition(token).seen.position;
  } catch {
    throw invalidParam('This is not a token for thread subscriptions.');
  }
}
