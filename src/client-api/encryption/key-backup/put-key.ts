import { storeKeys } from '#src/encryption/key-backup.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../../user-stream.ts';
import { MAX_KEYS_BODY_BYTES } from '../limits.ts';
import { backedUpKeyOf, keySchema, versionQuery } from './schemas.ts';

/**
 * `PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`: puts a key into the backup in use.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid
 */
export const putBackupKey = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}',
  auth: 'user',
  rateLimit: 'write',
  query: versionQuery,
  body: keySchema,
  bodyLimitBytes: MAX_KEYS_BODY_BYTES,
  handler: ({ params, body, query, requester }, context: UserStreamContext) => {
    const keys = [backedUpKeyOf(params.roomId, params.sessionId, body)];
    return storeKeys(context, requester.userId, query.version, keys);
  },
});
