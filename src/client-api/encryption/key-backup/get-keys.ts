import type { Context } from '#src/context.ts';
import { allKeysText, requireBackup } from '#src/encryption/key-backup.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { versionQuery } from './schemas.ts';

/**
 * `GET /_matrix/client/v3/room_keys/keys`: all keys of a backup.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeys
 */
export const getBackupKeys = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/room_keys/keys',
  auth: 'user',
  rateLimit: 'read',
  query: versionQuery,
  handler: async ({ query, requester: { userId } }, { reader }: Pick<Context, 'reader'>) => {
    const { version } = requireBackup(reader, userId, query.version);
    return jsonTextAnswer(await allKeysText(reader, userId, version));
  },
});
