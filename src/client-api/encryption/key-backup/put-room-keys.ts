import { storeKeys } from '#src/encryption/key-backup.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../../user-stream.ts';
import { MAX_KEYS_BODY_BYTES } from '../limits.ts';
import { backedUpKeyOf, roomKeysSchema, versionQuery } from './schemas.ts';

/**
 * `PUT /_matrix/client/v3/room_keys/keys/{roomId}`: puts keys of a room into the backup in use.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomid
 */
export const putBackupRoomKeys = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/room_keys/keys/{roomId}',
  auth: 'user',
  rateLimit: 'write',
  query: versionQuery,
  body: roomKeysSchema,
  bodyLimitBytes: MAX_KEYS_BODY_BYTES,
  handler: ({ params, body, query, requester }, context: UserStreamContext) => {
    const keys = Object.entries(body.sessions).map(([sessionId, key]) => backedUpKeyOf(params.roomId, sessionId, key));
    return storeKeys(context, requester.userId, query.version, keys);
  },
});
