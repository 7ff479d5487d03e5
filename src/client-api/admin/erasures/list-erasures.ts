import { z } from 'zod';
import { erasurePage } from '#projections/compliance/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { caseToShow } from '../one-case.ts';
import { erasureJson } from './erasure-json.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/**
 * `GET /_stele/admin/erasures`: requests for erasure, in no particular order; of one user with `user_id`, of one case with `case_id`.
 * `from` is the `next` of the answer before; a page may have fewer than asked for.
 */
export const listErasures = endpoint({
  method: 'GET',
  path: '/_stele/admin/erasures',
  auth: 'admin',
  may: 'erasures.read',
  rateLimit: 'none',
  query: z.object({
    user_id: queryText().optional(),
    case_id: queryText().optional(),
    from: queryText().optional(),
    limit: queryInteger({ min: 1, cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
  }),
  audit: {
    action: 'erasure.read',
    isScopedInHandler: true,
    describe: ({ query }) => ({ caseId: query.case_id, after: query }),
  },
  handler: ({ query, requester }, { compliance: { erasures }, reader }: Pick<Context, 'compliance' | 'reader'>) => {
    const { user_id: userId, case_id: asked, from, limit } = query;
    const wanted = caseToShow(standingOf(requester), asked);
    const { erasures: found, next } =
      userId === undefined ? erasurePage(reader, from, limit) : { erasures: erasures.of(userId), next: undefined };
    const shown = found.filter(({ caseId }) => wanted === undefined || caseId === wanted);
    return { erasures: shown.map((one) => erasureJson(erasures, one)), ...(next !== undefined && { next }) };
  },
});
