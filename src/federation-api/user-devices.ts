import { isActiveUser } from '#projections/accounts/queries.ts';
import { changeNumberOffset } from '#projections/backups/projection.ts';
import { lastPublishedOf } from '#projections/encryption/key-queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { keysForServers, objectIn } from './user-keys.ts';

/**
 * `GET /_matrix/federation/v1/user/devices/{userId}`: all devices of a user of this server that have keys. The `stream_id` is the
 * log position at which the list last changed, as in the EDUs that tell of it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid
 */
export const getUserDevices = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/user/devices/{userId}',
  auth: 'server',
  rateLimit: 'federation',
  handler: async ({ params }, { reader, serverName }: Pick<Context, 'reader' | 'serverName'>) => {
    const { userId } = params;
    if (serverNameOf(userId) !== serverName) throw invalidParam('That user is not one of this server.');
    if (!isActiveUser(reader, userId)) throw notFound('There is no such user.');
    // Looked at first: a list that changes meanwhile is then asked for once more, and not missed.
    const streamId = (lastPublishedOf(reader, userId) ?? 0) + changeNumberOffset(reader);
    const keys = await keysForServers(reader, { [userId]: [] });
    const master = keys.master_keys[userId];
    const selfSigning = keys.self_signing_keys[userId];
    return {
      user_id: userId,
      stream_id: streamId,
      devices: Object.entries(objectIn(keys.device_keys, userId)).map(([deviceId, ofDevice]) => ({
        device_id: deviceId,
        keys: ofDevice,
      })),
      ...(master !== undefined && { master_key: master }),
      ...(selfSigning !== undefined && { self_signing_key: selfSigning }),
    };
  },
});
