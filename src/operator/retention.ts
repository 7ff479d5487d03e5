import { z } from 'zod';
import type { Reader } from '#projections/engine/reader.ts';
import { MAX_NAMED_ITEMS, planAnswer, policyJsonAt } from '#src/client-api/admin/retention/retention-json.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

type RetentionContext = Pick<Context, 'compliance' | 'clock'>;

/** `POST /_stele/operator/retention/plan` on the operator's socket: what would go by a time, as `stele retention plan` asks. */
export const planRetention = endpoint({
  method: 'POST',
  path: '/_stele/operator/retention/plan',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ until_ms: z.int().min(0).optional(), limit: z.int().min(0).max(MAX_NAMED_ITEMS).default(0) }),
  audit: { action: 'policy.read' },
  handler: ({ body }, { compliance: { retention }, clock }: RetentionContext) =>
    planAnswer(retention, { untilMs: body.until_ms ?? clock(), limit: body.limit }),
});

const policyBody = z.object({ at_ms: z.int().min(0).optional() });

/** The policy in force at a time, as the endpoint answers it. @throws {MatrixError} M_NOT_FOUND before the first */
export function policyAnswer(reader: Reader, question: unknown, nowMs: number): object {
  return policyJsonAt(reader, policyBody.parse(question).at_ms ?? nowMs);
}

/** `POST /_stele/operator/retention/policy`: the policy in force at a time, as `stele retention policy` asks. */
export const retentionPolicy = endpoint({
  method: 'POST',
  path: '/_stele/operator/retention/policy',
  auth: 'none',
  rateLimit: 'none',
  body: policyBody,
  audit: { action: 'policy.read' },
  handler: ({ body }, { reader, clock }: Pick<Context, 'reader' | 'clock'>) => policyAnswer(reader, body, clock()),
});

/** `POST /_stele/operator/retention/progress`: how far a plan or a run has come; an empty object where none is under way. */
export const retentionProgress = endpoint({
  method: 'POST',
  path: '/_stele/operator/retention/progress',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({}),
  handler: async (_request, { compliance }: RetentionContext) => ({ ...compliance.retention.progress }),
});

/** `POST /_stele/operator/retention/run`: destroys what is due now, as `stele retention run` asks. */
export const runRetention = endpoint({
  method: 'POST',
  path: '/_stele/operator/retention/run',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({}),
  audit: { action: 'retention.run' },
  handler: async (_request, { compliance }: RetentionContext) => {
    const { sections, media } = await compliance.retention.run();
    return { sections, media };
  },
});
