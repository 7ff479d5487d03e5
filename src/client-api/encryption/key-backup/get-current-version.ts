import { currentBackup } from '#projections/encryption/backup-projection.ts';
import type { Context } from '#src/context.ts';
import { backupText } from '#src/encryption/key-backup.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /_matrix/client/v3/room_keys/version`: the backup into which keys go now.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion
 */
export const getCurrentBackupVersion = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/room_keys/version',
  auth: 'user',
  rateLimit: 'read',
  handler: ({ requester }, { reader }: Pick<Context, 'reader'>) => {
    const backup = currentBackup(reader, requester.userId);
    if (backup === undefined) throw notFound('There is no backup.');
    return jsonTextAnswer(backupText(backup));
  },
});
