import { z } from 'zod';
import { allHolds, standingHolds } from '#projections/compliance/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { holdJson, holdScopeOf, holdScopeSchema } from '#src/client-api/admin/holds/hold-json.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { nameOfOperator } from './operator-guard.ts';

const id = z.string().min(1).max(64);
const text = z.string().min(1).max(4_000);

type HoldsContext = Pick<Context, 'compliance'>;

/** `POST /_stele/operator/holds/add` on the operator's socket: sets a legal hold, as `stele hold add` asks. */
export const addHold = endpoint({
  method: 'POST',
  path: '/_stele/operator/holds/add',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ scope: holdScopeSchema, case_id: text, reason: text }),
  audit: { action: 'hold.set', describe: ({ body }) => ({ caseId: body.case_id, after: body.scope }) },
  handler: async ({ body, header }, { compliance }: HoldsContext) => {
    const holdId = await compliance.holds.add({
      scope: holdScopeOf(body.scope),
      caseId: body.case_id,
      reason: body.reason,
      by: nameOfOperator(header),
    });
    return { hold_id: holdId };
  },
});

const listBody = z.object({ all: z.boolean().default(false), case_id: text.optional() });

/** The holds that stand, or all there ever were, as the endpoint answers it. */
export function holdsAnswer(reader: Reader, question: unknown): object {
  const { all, case_id: wanted } = listBody.parse(question);
  const listed = all ? allHolds(reader) : standingHolds(reader);
  return { holds: listed.filter(({ caseId }) => wanted === undefined || caseId === wanted).map(holdJson) };
}

/** `POST /_stele/operator/holds/list`: the holds that stand, or all there ever were, as `stele hold list` asks. */
export const listHolds = endpoint({
  method: 'POST',
  path: '/_stele/operator/holds/list',
  auth: 'none',
  rateLimit: 'none',
  body: listBody,
  audit: { action: 'hold.list' },
  handler: ({ body }, { reader }: Pick<Context, 'reader'>) => holdsAnswer(reader, body),
});

/** `POST /_stele/operator/holds/release`: releases a hold, as `stele hold release` asks. */
export const releaseHold = endpoint({
  method: 'POST',
  path: '/_stele/operator/holds/release',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ hold_id: id, reason: text }),
  audit: { action: 'hold.release', describe: ({ body }) => ({ target: { kind: 'hold', id: body.hold_id } }) },
  handler: async ({ body, header }, { compliance }: HoldsContext) => {
    await compliance.holds.release(body.hold_id, { by: nameOfOperator(header), reason: body.reason });
    return {};
  },
});
