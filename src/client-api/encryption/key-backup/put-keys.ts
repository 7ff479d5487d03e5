import { z } from 'zod';
import { storeKeys } from '#src/encryption/key-backup.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../../user-stream.ts';
import { MAX_KEYS_BODY_BYTES } from '../limits.ts';
import { backedUpKeyOf, roomKeysSchema, versionQuery } from './schemas.ts';

/**
 * `PUT /_matrix/client/v3/room_keys/keys`: puts keys into the backup in use.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys
 */
export const putBackupKeys = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/room_keys/keys',
  auth: 'user',
  rateLimit: 'write',
  query: versionQuery,
  body: z.object({ rooms: z.record(z.string(), roomKeysSchema) }),
  bodyLimitBytes: MAX_KEYS_BODY_BYTES,
  handler: ({ body, query, requester }, context: UserStreamContext) => {
    const keys = Object.entries(body.rooms).flatMap(([roomId, { sessions }]) =>
      Object.entries(sessions).map(([sessionId, key]) => backedUpKeyOf(roomId, sessionId, key)),
    );
    return storeKeys(context, requester.userId, query.version, keys);
  },
});
