import { z } from 'zod';
import { policyAt } from '#projections/compliance/queries.ts';
import type { RetentionPolicy } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { PlannedItem } from '#src/compliance/retention.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

type RetentionContext = Pick<Context, 'compliance' | 'clock'>;

/** Most items that a plan names one by one; the sums are of all. */
export const MAX_NAMED_ITEMS = 10_000;

/** `POST /_stele/operator/retention/plan` on the operator's socket: what would go by a time, as `stele retention plan` asks. */
export const planRetention = endpoint({
  method: 'POST',
  path: '/_stele/operator/retention/plan',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ until_ms: z.int().min(0).optional(), limit: z.int().min(0).max(MAX_NAMED_ITEMS).default(0) }),
  audit: { action: 'policy.read' },
  handler: async ({ body }, { compliance: { retention }, clock }: RetentionContext) => {
    const untilMs = body.until_ms ?? clock();
    const sums = new Map<string, { count: number; first_due: string; planned: PlannedItem }>();
    const items: object[] = [];
    await retention.plan(untilMs, (planned) => {
      const { item, cause, verdict, dueAtMs } = planned;
      const key = [verdict.outcome, cause, item.class, verdict.why].join('\n');
      const due = new Date(dueAtMs).toISOString();
      const sum = sums.get(key) ?? { count: 0, first_due: due, planned };
      sum.count += 1;
      if (due < sum.first_due) sum.first_due = due;
      sums.set(key, sum);
      if (items.length < body.limit) items.push(itemJson(planned));
    });
    return {
      until: new Date(untilMs).toISOString(),
      sums: Array.from(sums.values(), ({ count, first_due, planned: { item, cause, verdict } }) => ({
        outcome: verdict.outcome,
        cause,
        class: item.class,
        why: verdict.why,
        count,
        first_due,
      })),
      items,
    };
  },
});

const policyBody = z.object({ at_ms: z.int().min(0).optional() });

/** The policy in force at a time, as the endpoint answers it. @throws {MatrixError} M_NOT_FOUND before the first */
export function policyAnswer(reader: Reader, question: unknown, nowMs: number): object {
  const found = policyAt(reader, policyBody.parse(question).at_ms ?? nowMs);
  if (found === undefined) throw notFound('No policy was in force then.');
  const { position, fromMs, policy } = found;
  return { position, since: new Date(fromMs).toISOString(), policy: policyJson(policy) };
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

function itemJson({ item, cause, verdict, dueAtMs }: PlannedItem): object {
  return {
    position: item.position,
    outcome: verdict.outcome,
    cause,
    class: item.class,
    why: verdict.why,
    due: new Date(dueAtMs).toISOString(),
    room_id: item.roomId,
    media_id: item.mediaId,
    event_id: item.eventId,
    hold_ids: verdict.holdIds,
  };
}

function policyJson({ classes, roomBounds, redactedMs }: RetentionPolicy): object {
  return {
    classes: Object.fromEntries(
      Object.entries(classes).map(([name, { minMs, maxMs, legalBasis }]) => [
        name,
        { min_ms: minMs, max_ms: maxMs, legal_basis: legalBasis },
      ]),
    ),
    room_bounds: { min_ms: roomBounds.minMs, max_ms: roomBounds.maxMs },
    redacted_ms: redactedMs,
  };
}
