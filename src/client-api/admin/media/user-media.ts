/**
 * What a user uploaded. The shapes are Synapse's, so that its tools work; `kept_media` names what a hold keeps.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-media-uploaded-by-a-user
 */
import { z } from 'zod';
import { mediaOf } from '#projections/media/projection.ts';
import { removeMedia } from '#src/admin/remove-media.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice } from '#src/http/query.ts';
import { ordered, pageOf, pageQuery } from '../paging.ts';
import { accountOf } from '../users/account.ts';
import { type ListedMedia, listedMedia } from './media-json.ts';

const PATH = '/_synapse/admin/v1/users/{userId}/media';

const query = z.object({
  ...pageQuery,
  dir: queryChoice(['f', 'b']).optional(),
  order_by: queryChoice([
    'media_id',
    'upload_name',
    'created_ts',
    'last_access_ts',
    'media_length',
    'media_type',
    'quarantined_by',
    'safe_from_quarantine',
  ]).optional(),
});

type UserMediaContext = Pick<Context, 'reader' | 'serverName' | 'accounts'>;

/** `GET /_synapse/admin/v1/users/{userId}/media`. */
export const userMedia = endpoint({
  method: 'GET',
  path: PATH,
  auth: 'admin',
  may: 'media.read',
  audit: { action: 'user.media' },
  rateLimit: 'none',
  query,
  handler: ({ params, query }, context: UserMediaContext) => {
    const all = mediaInOrder(context, params.userId, query);
    const { page, next } = pageOf(all, query);
    return { media: page, total: all.length, ...(next !== undefined && { next_token: next }) };
  },
});

/** `DELETE /_synapse/admin/v1/users/{userId}/media`: removes one page of the list. */
export const deleteUserMedia = endpoint({
  method: 'DELETE',
  path: PATH,
  auth: 'admin',
  may: 'media.write',
  rateLimit: 'none',
  query,
  audit: {
    action: 'media.delete',
    describe: ({ params, query }, context: UserMediaContext) => ({
      target: { kind: 'user', id: params.userId },
      before: {
        media: pageOf(mediaInOrder(context, params.userId, query), query).page.map(({ media_id }) => media_id),
      },
    }),
  },
  handler: ({ params, query, requester }, context: UserMediaContext & Pick<Context, 'media' | 'evidence'>) => {
    const { page } = pageOf(mediaInOrder(context, params.userId, query), query);
    return removeMedia(
      context,
      page.map(({ media_id }) => media_id),
      requester.userId,
    );
  },
});

/** @throws {MatrixError} `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND` */
function mediaInOrder(
  context: UserMediaContext,
  userId: string,
  { order_by, dir }: z.output<typeof query>,
): ListedMedia[] {
  accountOf(context, userId);
  const all = Array.from(mediaOf(context.reader, userId), (one) => listedMedia(context, one));
  // The newest first, unless it is asked otherwise.
  const isPlain = order_by === undefined && dir === undefined;
  return ordered(all, (one) => one[order_by ?? 'created_ts'], isPlain ? 'b' : (dir ?? 'f'));
}
