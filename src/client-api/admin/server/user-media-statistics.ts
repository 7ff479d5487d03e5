import { z } from 'zod';
import { users } from '#projections/accounts/tables.ts';
import { mediaUsage } from '#projections/media/projection.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryText } from '#src/http/query.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { gathered, ordered, pageOf, pageQuery } from '../paging.ts';

interface UserMedia {
  readonly user_id: string;
  readonly displayname: string | null;
  readonly media_count: number;
  readonly media_length: number;
}

/**
 * `GET /_synapse/admin/v1/statistics/users/media`: who has uploaded how much; those who have nothing here are left out.
 * https://element-hq.github.io/synapse/latest/admin_api/statistics.html
 */
export const userMediaStatistics = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/statistics/users/media',
  auth: 'admin',
  may: 'server.read',
  audit: { action: 'statistics.read' },
  rateLimit: 'none',
  query: z.object({
    ...pageQuery,
    search_term: queryText().optional(),
    order_by: queryChoice(['user_id', 'displayname', 'media_length', 'media_count']).default('user_id'),
  }),
  handler: async ({ query }, { reader }: Pick<Context, 'reader'>) => {
    const term = query.search_term?.toLowerCase();
    const all = await gathered(reader, users, sharedPacer, ([userId]): UserMedia | undefined => {
      const { files, sizeBytes } = mediaUsage(reader, userId);
      if (files === 0) return undefined;
      const { displayname = null } = profileOf(reader, userId);
      const isFound = term === undefined || [userId, displayname].some((text) => text?.toLowerCase().includes(term));
      return isFound ? { user_id: userId, displayname, media_count: files, media_length: sizeBytes } : undefined;
    });
    const { page, next } = pageOf(
      ordered(all, (one) => one[query.order_by], query.dir),
      query,
    );
    return { users: page, total: all.length, ...(next !== undefined && { next_token: next }) };
  },
});
