import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { requireSelf } from '../user-stream.ts';
import { storedFilterJson } from './stored-filters.ts';

/**
 * `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`: a filter as it was uploaded.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid
 */
export const getFilter = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/{userId}/filter/{filterId}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader }: Pick<Context, 'reader'>) => {
    requireSelf(requester, params.userId);
    const json = storedFilterJson(reader, params.userId, params.filterId);
    if (json === undefined) throw notFound('There is no filter of this id.');
    return jsonTextAnswer(json);
  },
});
