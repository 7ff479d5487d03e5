import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `POST /_matrix/media/v1/create`: an `mxc://` URI for a file that is uploaded later, so that it can be sent before.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create
 */
export const createMedia = endpoint({
  method: 'POST',
  path: '/_matrix/media/v1/create',
  auth: 'user',
  rateLimit: 'media',
  handler: async ({ requester }, { media, serverName }: Pick<Context, 'media' | 'serverName'>) => {
    const { mediaId, expiresAtMs } = await media.reserve(requester.userId);
    return { content_uri: `mxc://${serverName}/${mediaId}`, unused_expires_at: expiresAtMs };
  },
});
