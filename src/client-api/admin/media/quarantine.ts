/**
 * Media that nobody may see: of this server and of others, by id, room or uploader. The same content is hidden under whatever id. The
 * files stay.
 * https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#quarantine-media
 */
import { z } from 'zod';
import { mediaById, mediaOf } from '#projections/media/projection.ts';
import { type QuarantineSubject, quarantineChangesAfter, quarantinerOf } from '#projections/media/quarantine.ts';
import { mediaOfRoom } from '#src/admin/room-media.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryInteger } from '#src/http/query.ts';
import { isMediaName, type MediaName, parseMediaUri } from '#src/media/media-uri.ts';
import { type QuarantineContext, quarantineMedia, releaseMedia } from '#src/media/quarantine.ts';
import { roomOf } from '../rooms/room-of.ts';
import { accountOf } from '../users/account.ts';

/** Changes of one page. */
const MAX_CHANGES = 100;

type MediaContext = QuarantineContext & Pick<Context, 'remoteMedia' | 'evidence'>;

/** `POST /_synapse/admin/v1/media/quarantine/{serverName}/{mediaId}`. */
export const quarantineById = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/media/quarantine/{serverName}/{mediaId}',
  auth: 'admin',
  may: 'media.write',
  rateLimit: 'none',
  audit: {
    action: 'media.quarantine',
    describe: ({ params }, context: Pick<Context, 'reader'>) => ({
      before: { quarantined_by: quarantinerOf(context.reader, named(params)) ?? null },
      after: { quarantined: true },
    }),
  },
  handler: async ({ params, requester }, context: MediaContext) => {
    await putAway(context, [params], requester.userId);
    return {};
  },
});

/** `POST /_synapse/admin/v1/media/unquarantine/{serverName}/{mediaId}`: lets out what has the same content, too. */
export const unquarantineById = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/media/unquarantine/{serverName}/{mediaId}',
  auth: 'admin',
  may: 'media.write',
  rateLimit: 'none',
  audit: {
    action: 'media.quarantine',
    describe: ({ params }, context: Pick<Context, 'reader'>) => ({
      before: { quarantined_by: quarantinerOf(context.reader, named(params)) ?? null },
      after: { quarantined: false },
    }),
  },
  handler: async ({ params, requester }, context: MediaContext) => {
    await releaseMedia(context, await withDigest(context, params), requester.userId);
    return {};
  },
});

/** `POST /_synapse/admin/v1/room/{roomId}/media/quarantine`: what unencrypted events of the room name. */
export const quarantineRoom = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/room/{roomId}/media/quarantine',
  aliases: ['/_synapse/admin/v1/quarantine_media/{roomId}'],
  auth: 'admin',
  may: 'media.write',
  rateLimit: 'none',
  audit: { action: 'media.quarantine', describe: () => ({ after: { quarantined: true } }) },
  handler: async ({ params, requester }, context: MediaContext) => {
    const uris = await mediaOfRoom(context, roomOf(context, params.roomId), requester.userId);
    const names = uris.flatMap((uri) => parseMediaUri(uri) ?? []);
    return { num_quarantined: await putAway(context, names, requester.userId) };
  },
});

/** `POST /_synapse/admin/v1/user/{userId}/media/quarantine`: what a user of this server uploaded. */
export const quarantineUser = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/user/{userId}/media/quarantine',
  auth: 'admin',
  may: 'media.write',
  rateLimit: 'none',
  audit: {
    action: 'media.quarantine',
    describe: ({ params }, context: Pick<Context, 'accounts' | 'serverName'>) => {
      accountOf(context, params.userId);
      return { after: { quarantined: true } };
    },
  },
  handler: async ({ params, requester }, context: MediaContext) => {
    const { reader, serverName } = context;
    const names = Array.from(mediaOf(reader, params.userId), ({ mediaId }) => ({ serverName, mediaId }));
    return { num_quarantined: await putAway(context, names, requester.userId) };
  },
});

/** `GET /_synapse/admin/v1/media/quarantine_changes`: all that went in and out, in order. */
export const quarantineChanges = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/media/quarantine_changes',
  auth: 'admin',
  may: 'media.read',
  audit: { action: 'media.list' },
  rateLimit: 'none',
  query: z.object({ from: queryInteger().default(0) }),
  handler: ({ query }, { reader }: Pick<Context, 'reader'>) => {
    const changes = [...quarantineChangesAfter(reader, query.from, MAX_CHANGES)];
    return {
      next_batch: changes.at(-1)?.position ?? query.from,
      changes: changes.map(({ serverName, mediaId, isQuarantined }) => ({
        origin: serverName,
        media_id: mediaId,
        quarantined: isQuarantined,
      })),
    };
  },
});

/** Puts media into quarantine; of what is here the digest is captured first. Gives how many. */
async function putAway(context: MediaContext, names: readonly MediaName[], by: string): Promise<number> {
  const subjects: QuarantineSubject[] = [];
  for (const name of names) {
    if (name.serverName === context.serverName) await context.evidence.captureMedia(name.mediaId, by);
    subjects.push(await withDigest(context, name));
  }
  return quarantineMedia(context, subjects, by);
}

async function withDigest(
  { reader, remoteMedia, serverName }: MediaContext,
  name: MediaName,
): Promise<QuarantineSubject> {
  const isOurs = name.serverName === serverName;
  const found = isOurs ? mediaById(reader, name.mediaId) : await remoteMedia.find(name.serverName, name.mediaId);
  return { serverName: name.serverName, mediaId: name.mediaId, sha256: found?.sha256 };
}

/** @throws {MatrixError} `M_INVALID_PARAM` for what names no media */
function named(name: MediaName): MediaName {
  if (!isMediaName(name)) throw invalidParam('This is no name of a media.');
  return name;
}
