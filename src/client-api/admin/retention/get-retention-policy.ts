import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger } from '#src/http/query.ts';
import { policyJsonAt } from './retention-json.ts';

/** `GET /_stele/admin/retention/policy`: the retention policy in force, or that of a time with `at_ts` (milliseconds since the epoch). */
export const getRetentionPolicy = endpoint({
  method: 'GET',
  path: '/_stele/admin/retention/policy',
  auth: 'admin',
  may: 'retention.read',
  rateLimit: 'none',
  query: z.object({ at_ts: queryInteger().optional() }),
  audit: {
    action: 'policy.read',
    describe: ({ query }) => ({ target: { kind: 'policy', id: 'retention' }, after: query }),
  },
  handler: ({ query }, { reader, clock }: Pick<Context, 'reader' | 'clock'>) =>
    policyJsonAt(reader, query.at_ts ?? clock()),
});
