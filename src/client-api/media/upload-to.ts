import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';
import { uploadInfo } from './upload.ts';

/**
 * `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`: the file for an `mxc://` URI that was given out before.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid
 */
export const uploadTo = endpoint({
  method: 'PUT',
  path: '/_matrix/media/v3/upload/{serverName}/{mediaId}',
  auth: 'user',
  rateLimit: 'media',
  query: z.object({ filename: queryText().optional() }),
  body: 'stream',
  handler: async (request, { media, serverName }: Pick<Context, 'media' | 'serverName'>) => {
    if (request.params.serverName !== serverName) throw notFound('This server gives out media ids of its own only.');
    await media.fill(request.body, request.params.mediaId, uploadInfo(request, request.query.filename));
    return {};
  },
});
