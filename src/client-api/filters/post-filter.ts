import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf, type UserStreamContext } from '../user-stream.ts';
import { addFilter } from './stored-filters.ts';

/**
 * `POST /_matrix/client/v3/user/{userId}/filter`: stores a filter that `/sync` can name.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter
 */
export const postFilter = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/user/{userId}/filter',
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    requireSelf(requester, params.userId);
    return { filter_id: await addFilter(context, params.userId, body) };
  },
});
