import { z } from 'zod';
import { updateBackup } from '#src/encryption/key-backup.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import type { UserStreamContext } from '../../user-stream.ts';
import { backupSchema } from './post-version.ts';

/**
 * `PUT /_matrix/client/v3/room_keys/version/{version}`: other authentication data for a backup.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion
 */
export const putBackupVersion = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/room_keys/version/{version}',
  auth: 'user',
  rateLimit: 'write',
  body: backupSchema.extend({ version: z.string().optional() }),
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    if (body.version !== undefined && body.version !== params.version) {
      throw invalidParam('The version of the body is another one than that of the path.');
    }
    await updateBackup(context, requester.userId, params.version, body.algorithm, body.auth_data);
    return {};
  },
});
