import { hash } from 'node:crypto';
import { TRANSACTION_BYTES } from '#projections/encryption/inbox-projection.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { MAX_EVENT_TYPE_BYTES, MAX_KEYS_BODY_BYTES } from '#src/client-api/encryption/limits.ts';
import type { UserStreamContext } from '#src/client-api/user-stream.ts';
import type { Context } from '#src/context.ts';
import { sendToDevices } from '#src/encryption/to-device.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { EduRefused, userOf } from './checks.ts';

/** Users that one message may be for. */
export const MAX_RECIPIENTS = 1000;
/** Longest id of a message: the specification has 32 characters, and some send more. */
const MAX_MESSAGE_ID_CHARACTERS = 255;

type ToDeviceContext = UserStreamContext & Pick<Context, 'serverName'>;

/** `m.direct_to_device`. https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging */
export function directToDeviceHandler(context: ToDeviceContext): EduHandler {
  return async (origin, { sender: from, type, message_id: messageId, messages }) => {
    const sender = userOf(origin, from);
    if (typeof type !== 'string' || type === '' || Buffer.byteLength(type) > MAX_EVENT_TYPE_BYTES) {
      throw new EduRefused('its message has no type');
    }
    if (typeof messageId !== 'string' || messageId.length > MAX_MESSAGE_ID_CHARACTERS || !isJsonObject(messages)) {
      throw new EduRefused('it is no message');
    }
    await sendToDevices(context, {
      sender,
      transaction: transactionOf(sender, messageId),
      type: type.toWellFormed(),
      messages: localMessages(context.serverName, messages),
    });
  };
}

/** Names a message of a user, so that it is delivered once however often it comes. */
function transactionOf(sender: string, messageId: string): Uint8Array {
  const name = JSON.stringify(['m.direct_to_device', sender, messageId]);
  return hash('sha256', name, 'buffer').subarray(0, TRANSACTION_BYTES);
}

function localMessages(serverName: string, messages: JsonObject): Record<string, Record<string, object>> {
  const local: [string, Record<string, object>][] = [];
  for (const [userId, byDevice] of Object.entries(messages)) {
    if (serverNameOf(userId) !== serverName || !isJsonObject(byDevice)) continue;
    if (local.length >= MAX_RECIPIENTS || Buffer.byteLength(JSON.stringify(byDevice)) > MAX_KEYS_BODY_BYTES) {
      throw new EduRefused('it is too much for one message');
    }
    const contents = Object.entries(byDevice).filter((entry): entry is [string, JsonObject] => isJsonObject(entry[1]));
    local.push([userId, Object.fromEntries(contents)]);
  }
  return Object.fromEntries(local);
}
