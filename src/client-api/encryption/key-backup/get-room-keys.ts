import type { Context } from '#src/context.ts';
import { requireBackup, roomKeysText } from '#src/encryption/key-backup.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { versionQuery } from './schemas.ts';

/**
 * `GET /_matrix/client/v3/room_keys/keys/{roomId}`: the keys of a room in a backup.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomid
 */
export const getBackupRoomKeys = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/room_keys/keys/{roomId}',
  auth: 'user',
  rateLimit: 'read',
  query: versionQuery,
  handler: async ({ params, query, requester: { userId } }, { reader }: Pick<Context, 'reader'>) => {
    const { version } = requireBackup(reader, userId, query.version);
    return jsonTextAnswer(await roomKeysText(reader, userId, version, params.roomId));
  },
});
