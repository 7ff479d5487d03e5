import { z } from 'zod';
import { createBackup } from '#src/encryption/key-backup.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../../user-stream.ts';

/** Longest name of an algorithm, in UTF-16 code units. */
const MAX_ALGORITHM_LENGTH = 255;

/** What says how a backup is encrypted. */
export const backupSchema = z.object({ algorithm: z.string().max(MAX_ALGORITHM_LENGTH), auth_data: z.json() });

/**
 * `POST /_matrix/client/v3/room_keys/version`: begins a backup, into which keys go from now on.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion
 */
export const postBackupVersion = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/room_keys/version',
  auth: 'user',
  rateLimit: 'write',
  body: backupSchema,
  handler: async ({ body, requester }, context: UserStreamContext) => ({
    version: await createBackup(context, requester.userId, body.algorithm, body.auth_data),
  }),
});
