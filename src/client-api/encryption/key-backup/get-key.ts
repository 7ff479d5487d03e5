import { backedUpKey } from '#projections/encryption/backup-projection.ts';
import type { Context } from '#src/context.ts';
import { keyText, requireBackup } from '#src/encryption/key-backup.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { versionQuery } from './schemas.ts';

/**
 * `GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`: one key in a backup.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid
 */
export const getBackupKey = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}',
  auth: 'user',
  rateLimit: 'read',
  query: versionQuery,
  handler: ({ params, query, requester: { userId } }, { reader }: Pick<Context, 'reader'>) => {
    const { version } = requireBackup(reader, userId, query.version);
    const key = backedUpKey(reader, userId, version, params.roomId, params.sessionId);
    if (key === undefined) throw notFound('There is no such key in the backup.');
    return jsonTextAnswer(keyText(key));
  },
});
