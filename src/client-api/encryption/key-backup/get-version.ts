import type { Context } from '#src/context.ts';
import { backupText, requireBackup } from '#src/encryption/key-backup.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/room_keys/version/{version}`: information about a backup.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion
 */
export const getBackupVersion = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/room_keys/version/{version}',
  auth: 'user',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader }: Pick<Context, 'reader'>) =>
    jsonTextAnswer(backupText(requireBackup(reader, requester.userId, params.version))),
});
