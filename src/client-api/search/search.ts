import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { findEvents } from './find-events.ts';
import { resultText } from './result-text.ts';
import { searchBodySchema } from './search-request.ts';
import { parseSearchToken } from './search-token.ts';
import { searchedRooms } from './searched-rooms.ts';

/**
 * `POST /_matrix/client/v3/search`: what was said in the rooms that the user is or was in.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search
 */
export const search = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/search',
  auth: 'user',
  rateLimit: 'search',
  query: z.object({ next_batch: queryText().optional() }),
  body: searchBodySchema,
  handler: async ({ query, body, requester }, context: Context) => {
    const token = query.next_batch ? parseSearchToken(query.next_batch) : undefined;
    const criteria = body.search_categories.room_events;
    if (criteria === undefined) return { search_categories: {} };
    const { reader } = context;
    const index = await context.search.readerAt(reader.frontier);
    const ignored = ignoredUsers(reader, requester.userId);
    const page = await findEvents({
      reader,
      index,
      rooms: searchedRooms(reader, requester.userId),
      ignored,
      criteria,
      token,
      pacer: sharedPacer,
    });
    const text = await resultText({ context, requester, ignored, criteria, group: token?.group }, page);
    return jsonTextAnswer(`{"search_categories":{"room_events":${text}}}`);
  },
});
