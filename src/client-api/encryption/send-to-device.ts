import { z } from 'zod';
import { type SendingContext, sendToAllDevices, transactionKey } from '#src/encryption/to-device.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { MAX_EVENT_TYPE_BYTES, MAX_KEYS_BODY_BYTES } from './limits.ts';

/**
 * `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`: sends messages to devices, each once.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid
 */
export const putSendToDevice = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/sendToDevice/{eventType}/{txnId}',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({ messages: z.record(z.string(), z.record(z.string(), z.looseObject({}))) }),
  bodyLimitBytes: MAX_KEYS_BODY_BYTES,
  handler: async ({ params, body, requester }, context: SendingContext) => {
    const { eventType: type, txnId } = params;
    if (type === '' || Buffer.byteLength(type) > MAX_EVENT_TYPE_BYTES || !type.isWellFormed()) {
      throw invalidParam(`The type of a message has 1 to ${MAX_EVENT_TYPE_BYTES} bytes.`);
    }
    const { userId, deviceId, tokenId } = requester;
    const transaction = transactionKey(userId, deviceId ?? tokenId, type, txnId);
    await sendToAllDevices(context, { sender: userId, transaction, type, messages: body.messages });
    return {};
  },
});
