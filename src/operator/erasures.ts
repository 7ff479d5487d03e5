import { z } from 'zod';
import { erasureJson } from '#src/client-api/admin/erasures/erasure-json.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { nameOfOperator } from './operator-guard.ts';

type ErasuresContext = Pick<Context, 'compliance'>;

const text = z.string().min(1).max(4_000);

/**
 * `POST /_stele/operator/erasures` on the operator's socket: has a user erased, as `stele erase` asks. Answers when the request is
 * on record and begun.
 */
export const requestErasure = endpoint({
  method: 'POST',
  path: '/_stele/operator/erasures',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({
    user_id: z.string(),
    reason: text.optional(),
    case_id: text.optional(),
    asks_peers: z.boolean().default(true),
  }),
  audit: { action: 'erasure.request', describe: ({ body }) => ({ target: { kind: 'user', id: body.user_id } }) },
  handler: async ({ body, header }, { compliance: { erasures } }: ErasuresContext) => {
    const id = await erasures.request({
      userId: body.user_id,
      by: nameOfOperator(header),
      reason: body.reason ?? null,
      caseId: body.case_id ?? null,
      asksPeers: body.asks_peers,
    });
    erasures.begin(id);
    return { erasure_id: id };
  },
});

/** `POST /_stele/operator/erasures/get`: what became of a request, with its certificate once it is completed. */
export const getErasure = endpoint({
  method: 'POST',
  path: '/_stele/operator/erasures/get',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({ erasure_id: z.string() }),
  audit: {
    action: 'erasure.read',
    // Who asked for it waits for it: only the certificate has something to say.
    describe: ({ body }, { compliance: { erasures } }: ErasuresContext) =>
      erasures.find(body.erasure_id)?.state === 'completed'
        ? { target: { kind: 'erasure', id: body.erasure_id } }
        : null,
  },
  handler: async ({ body }, { compliance: { erasures } }: ErasuresContext) => {
    const erasure = erasures.find(body.erasure_id);
    if (erasure === undefined) throw notFound('There is no such request.');
    const certificate = await erasures.certificate(erasure.id);
    return { ...erasureJson(erasures, erasure), certificate: certificate ?? null };
  },
});
