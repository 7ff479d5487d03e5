import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { queryInteger, queryText } from '#src/http/query.ts';

/**
 * `GET /_matrix/client/v1/media/preview_url`: what a link leads to, where the configuration allows it. The present is all
 * that is known, so `ts` makes no difference.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url
 */
export const previewUrl = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/preview_url',
  aliases: ['/_matrix/media/v3/preview_url'],
  auth: 'user',
  rateLimit: 'search',
  query: z.object({ url: queryText(), ts: queryInteger().optional() }),
  handler: (request, { urlPreviews }: Pick<Context, 'urlPreviews'>) => {
    if (urlPreviews === undefined) throw forbidden('This server makes no previews of links.');
    return urlPreviews.of(request.query.url, request.header('accept-language'));
  },
});
