import { pushersOf } from '#projections/pushers/projection.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/pushers`: where the user's notifications go.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers
 */
export const getPushers = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/pushers',
  auth: 'user',
  rateLimit: 'read',
  handler: ({ requester }, { reader }: Pick<Context, 'reader'>) => ({ pushers: pushersOf(reader, requester.userId) }),
});
