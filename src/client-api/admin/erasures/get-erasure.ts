import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { erasureJson } from './erasure-json.ts';

/** `GET /_stele/admin/erasures/{erasureId}`: what became of a request, with its signed certificate once it is completed. */
export const getErasure = endpoint({
  method: 'GET',
  path: '/_stele/admin/erasures/{erasureId}',
  auth: 'admin',
  may: 'erasures.read',
  rateLimit: 'none',
  audit: {
    action: 'erasure.read',
    describe: ({ params }, { compliance: { erasures } }: Pick<Context, 'compliance'>) => {
      const erasure = erasures.find(params.erasureId);
      if (erasure === undefined) throw notFound('There is no such request.');
      return { target: { kind: 'erasure', id: erasure.id }, caseId: erasure.caseId ?? undefined };
    },
  },
  handler: async ({ params }, { compliance: { erasures } }: Pick<Context, 'compliance'>) => {
    const erasure = erasures.find(params.erasureId);
    if (erasure === undefined) throw notFound('There is no such request.');
    return { ...erasureJson(erasures, erasure), certificate: (await erasures.certificate(erasure.id)) ?? null };
  },
});
