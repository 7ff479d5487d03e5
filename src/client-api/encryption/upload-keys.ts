import { oneTimeKeyCountsOf, uploadKeys } from '#src/encryption/upload-keys.ts';
import { uploadedKeysOf } from '#src/encryption/uploaded-keys.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../user-stream.ts';
import { requireDevice } from './device.ts';
import { MAX_KEYS_BODY_BYTES } from './limits.ts';

/**
 * `POST /_matrix/client/v3/keys/upload`: publishes keys of the device.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload
 */
export const postKeysUpload = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/upload',
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  bodyLimitBytes: MAX_KEYS_BODY_BYTES,
  handler: async ({ body, requester }, context: UserStreamContext) => {
    const device = requireDevice(requester);
    await uploadKeys(context, device, uploadedKeysOf(body, device.userId, device.deviceId));
    return { one_time_key_counts: Object.fromEntries(oneTimeKeyCountsOf(context.reader, device)) };
  },
});
