/** Retention plans and policies as JSON. */
import { policyAt } from '#projections/compliance/queries.ts';
import type { RetentionPolicy } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { PlannedItem, Retention } from '#src/compliance/retention.ts';
import { notFound } from '#src/http/errors.ts';

/** Most items that a plan names one by one; the sums are of all. */
export const MAX_NAMED_ITEMS = 10_000;

/** What would go by a time, and what is kept back: sums by class and reason, and the first items one by one. Goes through the whole log. */
export async function planAnswer(
  retention: Retention,
  { untilMs, limit }: { readonly untilMs: number; readonly limit: number },
): Promise<{ readonly until: string; readonly sums: readonly object[]; readonly items: readonly object[] }> {
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
    if (items.length < limit) items.push(itemJson(planned));
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
}

/** The policy in force at a time. @throws {MatrixError} M_NOT_FOUND before the first */
export function policyJsonAt(reader: Reader, atMs: number): object {
  const found = policyAt(reader, atMs);
  if (found === undefined) throw notFound('No policy was in force then.');
  const { position, fromMs, policy } = found;
  return { position, since: new Date(fromMs).toISOString(), policy: policyJson(policy) };
}

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
