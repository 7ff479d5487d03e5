import { z } from 'zod';
import { allHolds, standingHolds } from '#projections/compliance/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { queryFlag, queryText } from '#src/http/query.ts';
import { caseToShow } from '../one-case.ts';
import { holdJson } from './hold-json.ts';

/** `GET /_stele/admin/holds`: the holds that stand, with `all=true` those that were released too, with `case_id` of one case. */
export const listHolds = endpoint({
  method: 'GET',
  path: '/_stele/admin/holds',
  auth: 'admin',
  may: 'holds.read',
  rateLimit: 'none',
  query: z.object({ all: queryFlag().default(false), case_id: queryText().optional() }),
  audit: {
    action: 'hold.list',
    isScopedInHandler: true,
    describe: ({ query }) => ({ caseId: query.case_id, after: query }),
  },
  handler: ({ query, requester }, { reader }: Pick<Context, 'reader'>) => {
    const wanted = caseToShow(standingOf(requester), query.case_id);
    const holds = query.all ? allHolds(reader) : standingHolds(reader);
    return { holds: holds.filter(({ caseId }) => wanted === undefined || caseId === wanted).map(holdJson) };
  },
});
