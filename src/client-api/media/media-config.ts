import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v1/media/config`: how large uploads may be.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediaconfig
 */
export const mediaConfig = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/config',
  aliases: ['/_matrix/media/v3/config'],
  auth: 'guest',
  rateLimit: 'read',
  handler: (_request, { media }: Pick<Context, 'media'>) => ({ 'm.upload.size': media.maxUploadBytes }),
});
