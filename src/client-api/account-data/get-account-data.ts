import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { requireSelf } from '../user-stream.ts';
import { accountDataJson } from './entries.ts';

/**
 * `GET /_matrix/client/v3/user/{userId}/account_data/{type}`: an entry of the user's global account data.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype
 */
export const getAccountData = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/{userId}/account_data/{type}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader }: Pick<Context, 'reader'>) => {
    requireSelf(requester, params.userId);
    const json = accountDataJson(reader, params.userId, params.type);
    if (json === undefined) throw notFound('There is no account data of this type.');
    return jsonTextAnswer(json);
  },
});
