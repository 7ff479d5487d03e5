import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { requireKind, storedRules } from './stored-rules.ts';

/**
 * `GET /_matrix/client/v3/pushrules/global/{kind}/`: the push rules of one kind, most important first. The specification has
 * no such endpoint, but other homeservers do, and clients use it.
 */
export const getPushRulesOfKind = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/global/{kind}/',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, context: Pick<Context, 'reader'>) =>
    storedRules(context, requester.userId)[requireKind(params.kind)] ?? [],
});
