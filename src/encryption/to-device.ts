/**
 * Messages from device to device.
 * https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
 */
import { hash } from 'node:crypto';
import { devices, users } from '#projections/accounts/tables.ts';
import { isDelivered, TRANSACTION_BYTES } from '#projections/encryption/inbox-projection.ts';
import { type DeviceContent, deliveredRecord, inboxOfStream } from '#projections/encryption/inbox-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { UserStreamContext } from '#src/client-api/user-stream.ts';
import type { Context } from '#src/context.ts';
import { queueForServers, remoteMessagesOf } from './outbox.ts';

/** Stands for all devices of a user. */
export const ALL_DEVICES = '*';
/** Users who are sent to at the same time: one group commit takes them together. */
const USERS_AT_ONCE = 64;

/** A message to devices of users, as one request asks for it. */
export interface DeviceMessage {
  readonly sender: string;
  /** Names the request: see {@link transactionKey}. */
  readonly transaction: Uint8Array;
  readonly type: string;
  /** User → device id or `*` → content. */
  readonly messages: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

/** Names one request of one device. */
export function transactionKey(sender: string, deviceKey: string, type: string, txnId: string): Uint8Array {
  const name = JSON.stringify([sender, deviceKey, type, txnId]);
  return hash('sha256', name, 'buffer').subarray(0, TRANSACTION_BYTES);
}

/** What sending to users of other servers needs besides. */
export type SendingContext = UserStreamContext & Pick<Context, 'serverName' | 'config'>;

/**
 * Puts a message into the inboxes of the local users it is for, and into the outboxes of other servers. It may be done again
 * after a crash.
 * @throws {MatrixError} `M_TOO_LARGE`, `M_BAD_JSON`: see {@link remoteMessagesOf}
 */
export async function sendToAllDevices(context: SendingContext, message: DeviceMessage): Promise<void> {
  const remote = remoteMessagesOf(context.serverName, message);
  await sendToDevices(context, message);
  if (context.config.federation.enabled) await queueForServers(context, message, remote);
}

/**
 * Puts a message into the inboxes of the local users it is for. Users and devices that this server does not have are left
 * out. May be done again after a crash: an inbox that has the message gets it no second time.
 */
export async function sendToDevices(context: UserStreamContext, message: DeviceMessage): Promise<void> {
  const recipients = Object.entries(message.messages);
  for (let begin = 0; begin < recipients.length; begin += USERS_AT_ONCE) {
    const deliveries = recipients
      .slice(begin, begin + USERS_AT_ONCE)
      .map(([userId, byDevice]) => deliver(context, message, userId, byDevice));
    await Promise.all(deliveries);
  }
}

async function deliver(
  context: UserStreamContext,
  { sender, transaction, type }: DeviceMessage,
  userId: string,
  byDevice: Readonly<Record<string, object>>,
): Promise<void> {
  const { reader, commands, newRecordId } = context;
  const user = reader.get(users, [userId]);
  if (user === undefined || user.isDeactivated) return;
  await commands.run(inboxOfStream(user.stream), () => {
    const contents = isDelivered(reader, userId, transaction) ? [] : contentsFor(reader, userId, byDevice);
    if (contents.length === 0) return { records: [], result: undefined };
    return {
      records: [deliveredRecord(newRecordId(), { userId, sender, transaction, type, contents })],
      result: undefined,
    };
  });
}

/** The contents with the devices that are there; what is for one device goes before what is for all. */
function contentsFor(reader: Reader, userId: string, byDevice: Readonly<Record<string, object>>): DeviceContent[] {
  const known = new Set(Array.from(reader.keys(devices, { prefix: [userId] }), ([, deviceId]) => deviceId));
  const contents: DeviceContent[] = [];
  for (const [deviceId, content] of Object.entries(byDevice)) {
    if (deviceId === ALL_DEVICES || !known.delete(deviceId)) continue;
    contents.push([[deviceId], JSON.stringify(content)]);
  }
  const forAll = Object.hasOwn(byDevice, ALL_DEVICES) ? byDevice[ALL_DEVICES] : undefined;
  if (forAll !== undefined && known.size > 0) contents.push([[...known], JSON.stringify(forAll)]);
  return contents;
}
