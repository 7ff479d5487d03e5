/** The endpoints of dehydrated devices. https://github.com/matrix-org/matrix-spec-proposals/pull/3814 */
import { z } from 'zod';
import { parseJson } from '#protocol/json-limits.ts';
import { checkDeviceId, checkDeviceName } from '#src/accounts/credentials.ts';
import type { Context } from '#src/context.ts';
import {
  dehydratedEvents,
  putDehydratedDevice,
  removeDehydratedDevice,
  requireDehydrated,
} from '#src/encryption/dehydrated-device.ts';
import { boundedJson, uploadedKeysOf } from '#src/encryption/uploaded-keys.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { missingParam } from '#src/http/errors.ts';
import { MAX_KEYS_BODY_BYTES } from '../encryption/limits.ts';
import { jsonObjectSchema } from '../schemas.ts';
import type { UserStreamContext } from '../user-stream.ts';

const PATH = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device';
/** Largest `device_data`, in bytes of JSON: what a client needs to bring the device back, encrypted. */
const MAX_DEVICE_DATA_BYTES = 128 * 1024;

/** `PUT …/dehydrated_device`: makes the user's dehydrated device, in the place of the one before. */
export const putDehydrated = endpoint({
  method: 'PUT',
  path: PATH,
  auth: 'user',
  rateLimit: 'write',
  bodyLimitBytes: MAX_KEYS_BODY_BYTES,
  body: z.looseObject({
    device_id: z.string(),
    device_data: jsonObjectSchema,
    initial_device_display_name: z.string().optional(),
    device_keys: jsonObjectSchema,
  }),
  handler: async ({ body, requester }, context: UserStreamContext) => {
    const { device_id: deviceId, initial_device_display_name: displayName } = body;
    checkDeviceId(deviceId);
    if (displayName !== undefined) checkDeviceName(displayName);
    if (typeof body.device_data['algorithm'] !== 'string') throw missingParam('device_data.algorithm');
    const deviceDataJson = boundedJson(body.device_data, 'device_data', MAX_DEVICE_DATA_BYTES);
    const keys = uploadedKeysOf(body as Parameters<typeof uploadedKeysOf>[0], requester.userId, deviceId);
    await putDehydratedDevice(context, requester.userId, { deviceId, displayName, deviceDataJson, keys });
    return { device_id: deviceId };
  },
});

/** `GET …/dehydrated_device`: what the user's client needs to bring the device back. */
export const getDehydrated = endpoint({
  method: 'GET',
  path: PATH,
  auth: 'user',
  rateLimit: 'read',
  handler: ({ requester }, { reader }: Pick<Context, 'reader'>) => {
    const { deviceId, deviceDataJson } = requireDehydrated(reader, requester.userId);
    return { device_id: deviceId, device_data: parseJson(deviceDataJson) };
  },
});

/** `DELETE …/dehydrated_device`: removes the device with its messages. */
export const deleteDehydrated = endpoint({
  method: 'DELETE',
  path: PATH,
  auth: 'user',
  rateLimit: 'write',
  handler: async ({ requester }, context: UserStreamContext) => ({
    device_id: await removeDehydratedDevice(context, requester.userId),
  }),
});

/** `POST …/dehydrated_device/{deviceId}/events`: the messages to the device, page by page. */
export const postDehydratedEvents = endpoint({
  method: 'POST',
  path: `${PATH}/{deviceId}/events`,
  auth: 'user',
  rateLimit: 'read',
  body: z.object({ next_batch: z.string().optional() }),
  handler: ({ params, body, requester }, { reader }: Pick<Context, 'reader'>) => {
    const { events, nextBatch } = dehydratedEvents(reader, requester.userId, params.deviceId, body.next_batch);
    return jsonTextAnswer(`{"events":[${events.join(',')}],"next_batch":"${nextBatch}"}`);
  },
});
