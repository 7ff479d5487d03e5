/**
 * Messages to devices of users of other servers. They wait in the log until their servers have them.
 * https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging
 */
import { isQueued } from '#projections/encryption/outbox-projection.ts';
import { outboxStream, queuedRecord } from '#projections/encryption/outbox-records.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { parseUserId } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { UserStreamContext } from '#src/client-api/user-stream.ts';
import { badJson, MatrixError } from '#src/http/errors.ts';
import type { DeviceMessage } from './to-device.ts';
import { isDeviceId } from './told-keys.ts';

/** Most servers that one request may send to. */
export const MAX_DESTINATIONS = 1000;
/** An EDU is not made longer than this, unless a single message is. In bytes. */
export const SOFT_MAX_EDU_BYTES = 48 * 1024;
/** Servers whose messages are queued at the same time: one group commit takes them together. */
const DESTINATIONS_AT_ONCE = 64;

/** One message to one device, or to all of a user. */
interface Piece {
  readonly userId: string;
  readonly deviceId: string;
  readonly json: string;
}

/** The contents of EDUs for each server that a message goes to. */
export type RemoteMessages = ReadonlyMap<string, readonly string[]>;

/**
 * What of a message goes to other servers. Names that are no user ids, or cannot be ids of devices, are left out.
 * @throws {MatrixError} `M_TOO_LARGE` for too many servers, `M_BAD_JSON` for what cannot be sent to another server
 */
export function remoteMessagesOf(serverName: string, message: DeviceMessage): RemoteMessages {
  const byServer = new Map<string, Piece[]>();
  for (const [userId, byDevice] of Object.entries(message.messages)) {
    const server = parseUserId(userId)?.serverName;
    if (server === undefined || server === serverName) continue;
    const pieces = byServer.get(server) ?? [];
    byServer.set(server, pieces);
    if (byServer.size > MAX_DESTINATIONS) {
      throw new MatrixError('M_TOO_LARGE', `A message can go to at most ${MAX_DESTINATIONS} other servers at once.`);
    }
    for (const [deviceId, content] of Object.entries(byDevice)) {
      if (!isDeviceId(deviceId)) continue;
      pieces.push({ userId, deviceId, json: canonical(content as JsonObject) });
    }
  }
  return new Map([...byServer].map(([server, pieces]) => [server, eduContents(message, pieces)]));
}

/** Queues messages; they are in the log when the promise resolves. May be done again after a crash. */
export async function queueForServers(
  { reader, commands, newRecordId }: UserStreamContext,
  { sender, transaction }: DeviceMessage,
  messages: RemoteMessages,
): Promise<void> {
  const queue = async ([destination, contents]: readonly [string, readonly string[]]): Promise<void> => {
    if (contents.length === 0) return;
    await commands.run(outboxStream(destination, sender), () => {
      const records = isQueued(reader, destination, transaction)
        ? []
        : [queuedRecord(newRecordId(), { destination, transaction, contents })];
      return { records, result: undefined };
    });
  };
  const all = [...messages];
  for (let begin = 0; begin < all.length; begin += DESTINATIONS_AT_ONCE) {
    await Promise.all(all.slice(begin, begin + DESTINATIONS_AT_ONCE).map(queue));
  }
}

function canonical(content: JsonObject): string {
  try {
    return canonicalJson(content);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw badJson(`This message cannot be sent to another server. ${reason}`);
  }
}

function eduContents({ sender, type, transaction }: DeviceMessage, pieces: readonly Piece[]): string[] {
  const contents: string[] = [];
  for (const group of groups(pieces)) {
    const users = [...group].map(([userId, members]) => `${JSON.stringify(userId)}:{${members.join(',')}}`);
    const messageId = `${Buffer.from(transaction).toString('base64url')}.${contents.length}`;
    const head = JSON.stringify({ sender, type, message_id: messageId });
    contents.push(`${head.slice(0, -1)},"messages":{${users.join(',')}}}`);
  }
  return contents;
}

/** The pieces in groups that are not too long: user → members `"device": content`. */
function* groups(pieces: readonly Piece[]): Generator<ReadonlyMap<string, readonly string[]>> {
  let group = new Map<string, string[]>();
  let size = 0;
  for (const { userId, deviceId, json } of pieces) {
    const member = `${JSON.stringify(deviceId)}:${json}`;
    if (size > 0 && size + member.length > SOFT_MAX_EDU_BYTES) {
      yield group;
      group = new Map();
      size = 0;
    }
    const members = group.get(userId) ?? [];
    group.set(userId, members);
    members.push(member);
    size += member.length;
  }
  if (size > 0) yield group;
}
