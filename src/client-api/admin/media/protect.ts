/**
 * Uploads that a quarantine passes over: stickers that everybody uses, for one.
 * https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#protecting-media-from-being-quarantined
 */
import { mediaById } from '#projections/media/projection.ts';
import { isProtectedMedia } from '#projections/media/quarantine.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { type QuarantineContext, protectMedia as setProtected } from '#src/media/quarantine.ts';

/** `POST /_synapse/admin/v1/media/protect/{mediaId}`. */
export const protectMedia = protection('/_synapse/admin/v1/media/protect/{mediaId}', true);

/** `POST /_synapse/admin/v1/media/unprotect/{mediaId}`. */
export const unprotectMedia = protection('/_synapse/admin/v1/media/unprotect/{mediaId}', false);

function protection<const Path extends `${string}{mediaId}`>(path: Path, isProtected: boolean) {
  return endpoint({
    method: 'POST',
    path: path as `${string}/{mediaId}`,
    auth: 'admin',
    may: 'media.write',
    rateLimit: 'none',
    audit: {
      action: 'media.protect',
      describe: (
        { params }: { readonly params: { readonly mediaId: string } },
        { reader }: Pick<Context, 'reader'>,
      ) => {
        if (mediaById(reader, params.mediaId) === undefined) throw notFound('There is no media of this id.');
        return {
          before: { protected: isProtectedMedia(reader, params.mediaId) },
          after: { protected: isProtected },
        };
      },
    },
    handler: async ({ params, requester }, context: QuarantineContext) => {
      await setProtected(context, params.mediaId, isProtected, requester.userId);
      return {};
    },
  });
}
