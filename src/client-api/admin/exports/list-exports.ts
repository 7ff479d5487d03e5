import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { queryText } from '#src/http/query.ts';
import { caseToShow } from '../one-case.ts';
import { exportJson } from './export-json.ts';

/** `GET /_stele/admin/exports`: the exports that there are, the newest first; with `case_id` those of one case. */
export const listExports = endpoint({
  method: 'GET',
  path: '/_stele/admin/exports',
  auth: 'admin',
  may: 'exports.read',
  rateLimit: 'none',
  query: z.object({ case_id: queryText().optional() }),
  audit: {
    action: 'export.read',
    isScopedInHandler: true,
    describe: ({ query }) => ({ caseId: query.case_id, after: query }),
  },
  handler: async ({ query, requester }, { exports }: Pick<Context, 'exports'>) => {
    const wanted = caseToShow(standingOf(requester), query.case_id);
    const found = (await exports.list()).filter(({ caseId }) => wanted === undefined || caseId === wanted);
    return { exports: found.map((one) => exportJson(exports, one)) };
  },
});
