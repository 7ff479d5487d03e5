import { z } from 'zod';
import { auditPage } from '#projections/audit/queries.ts';
import { auditEntryJson } from '#src/audit/entry-json.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryInteger } from '#src/http/query.ts';

/** Most entries of one answer. */
const MAX_LIMIT = 1_000;
const DEFAULT_LIMIT = 100;
/** Positions that fit into a key. */
const MAX_POSITION = 2 ** 48 - 1;

/**
 * `GET /_stele/admin/audit`: entries of the audit log that fit all of `actor`, `action`, `target`, `room`, `case`, `from_ts` and
 * `to_ts`; with `dir=b` the newest first. `from` is the `next` of the answer before. Each question is an entry too.
 */
export const getAudit = endpoint({
  method: 'GET',
  path: '/_stele/admin/audit',
  auth: 'admin',
  may: 'audit.read',
  rateLimit: 'none',
  query: z.object({
    actor: z.string().optional(),
    action: z.string().optional(),
    target: z.string().optional(),
    room: z.string().optional(),
    case: z.string().optional(),
    from_ts: queryInteger().optional(),
    to_ts: queryInteger().optional(),
    from: queryInteger({ cap: MAX_POSITION }).optional(),
    limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    dir: queryChoice(['b', 'f']).default('f'),
  }),
  audit: {
    action: 'audit.read',
    describe: ({ query }) => ({ target: { kind: 'audit', id: 'log' }, after: query }),
  },
  handler: ({ query }, { reader }: Pick<Context, 'reader'>) => {
    const { actor, action, target, room, case: caseId, from_ts: fromMs, to_ts: toMs, from, limit, dir } = query;
    const { entries, next } = auditPage(
      reader,
      { actor, action, target, room, caseId, fromMs, toMs },
      { after: from, limit: Math.max(1, limit), isReversed: dir === 'b' },
    );
    return { entries: entries.map(auditEntryJson), ...(next !== undefined && { next }) };
  },
});
