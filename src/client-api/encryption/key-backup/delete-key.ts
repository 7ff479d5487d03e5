import { removeKeys } from '#src/encryption/key-backup.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../../user-stream.ts';
import { versionQuery } from './schemas.ts';

/**
 * `DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`: takes one key out of a backup.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomidsessionid
 */
export const deleteBackupKey = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}',
  auth: 'user',
  rateLimit: 'write',
  query: versionQuery,
  handler: ({ params, query, requester }, context: UserStreamContext) =>
    removeKeys(context, requester.userId, query.version, params),
});
