/**
 * The records of an inbox stream: the messages to the devices of one user, and what of them the devices have got. The
 * stream of the user `user-<random>` has the inbox `inbox-<random>` with the same random part, so that whose inbox it is
 * need not be recorded, and two senders cannot make two of them.
 *
 * `inbox.delivered`: section 0 msgpack `[userId, sender, transaction | null]`, section 1 msgpack
 * `[type, [[[deviceId, …], content as JSON text], …]]`.
 * `inbox.acknowledged`: one section, msgpack `[userId, [[deviceId, position], …]]`.
 */
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';
import { packedRecord, unpackSection } from './packed-record.ts';

export const INBOX_DELIVERED = 'inbox.delivered';
export const INBOX_ACKNOWLEDGED = 'inbox.acknowledged';

/** One content for devices of one user. */
export type DeviceContent = readonly [deviceIds: readonly string[], contentJson: string];

/** A message came in for devices of a user. */
export interface InboxDelivered {
  readonly userId: string;
  readonly sender: string;
  /** Names the sender's request, so that one which is made again delivers nothing again. */
  readonly transaction: Uint8Array | null;
  readonly type: string;
  readonly contents: readonly DeviceContent[];
}

/** Devices of a user have got all messages up to a position. */
export interface InboxAcknowledged {
  readonly userId: string;
  readonly upTo: readonly (readonly [deviceId: string, position: Position])[];
}

const USER_STREAM_PREFIX = 'user-';

/** The inbox of the user that has this stream. */
export function inboxOfStream(userStream: string): string {
  if (!userStream.startsWith(USER_STREAM_PREFIX)) throw new RangeError(`${userStream} is not the stream of a user`);
  return `inbox-${userStream.slice(USER_STREAM_PREFIX.length)}`;
}

/** The record of a message. */
export function deliveredRecord(id: Uint8Array, delivered: InboxDelivered): RecordDraft {
  const { userId, sender, transaction, type, contents } = delivered;
  return packedRecord(id, INBOX_DELIVERED, [
    [userId, sender, transaction],
    [type, contents],
  ]);
}

/** The record of what devices have got. */
export function acknowledgedRecord(id: Uint8Array, { userId, upTo }: InboxAcknowledged): RecordDraft {
  return packedRecord(id, INBOX_ACKNOWLEDGED, [[userId, upTo]]);
}

/** What an `inbox.delivered` record says; undefined where a key of it was destroyed. */
export function readDelivered(record: LogRecord): InboxDelivered | undefined {
  const head = unpackSection(record, INBOX_DELIVERED, 0);
  const body = unpackSection(record, INBOX_DELIVERED, 1);
  if (head === undefined || body === undefined) return undefined;
  const [userId, sender, transaction] = head as [string, string, Uint8Array | null];
  const [type, contents] = body as [string, DeviceContent[]];
  return { userId, sender, transaction, type, contents };
}

/** What an `inbox.acknowledged` record says; undefined where its key was destroyed. */
export function readAcknowledged(record: LogRecord): InboxAcknowledged | undefined {
  const section = unpackSection(record, INBOX_ACKNOWLEDGED, 0);
  if (section === undefined) return undefined;
  const [userId, upTo] = section as [string, InboxAcknowledged['upTo']];
  return { userId, upTo };
}
