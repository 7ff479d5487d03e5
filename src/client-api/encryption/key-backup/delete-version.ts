import { deleteBackup } from '#src/encryption/key-backup.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../../user-stream.ts';

/**
 * `DELETE /_matrix/client/v3/room_keys/version/{version}`: deletes a backup and all keys in it.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion
 */
export const deleteBackupVersion = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/room_keys/version/{version}',
  auth: 'user',
  rateLimit: 'write',
  handler: async ({ params, requester }, context: UserStreamContext) => {
    await deleteBackup(context, requester.userId, params.version);
    return {};
  },
});
