/**
 * The record `outbox.queued`: messages to devices of users of another server, which are to be sent there. Section 0 msgpack
 * `[destination, transaction]`, section 1 msgpack: a list of the contents of `m.direct_to_device` EDUs as JSON texts. The streams
 * are a few for all servers, so that their names do not say with whom people here talk.
 */
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { packedRecord, unpackSection } from './packed-record.ts';
import { shardOf } from './remote-device-records.ts';

export const OUTBOX_QUEUED = 'outbox.queued';
/** How many streams there are: messages of one stream are written one after the other. */
const STREAMS = 64;

/** Messages for users of one server, from one request. */
export interface OutboxQueued {
  readonly destination: string;
  /** Names the sender's request, so that one which is made again sends nothing again. */
  readonly transaction: Uint8Array;
  /** Contents of `m.direct_to_device` EDUs, in order, as canonical JSON texts. */
  readonly contents: readonly string[];
}

/** The stream with the messages of a user to a server: in it they are in order, and those of others do not wait for them. */
export function outboxStream(destination: string, sender: string): string {
  return `server-outbox-${shardOf(`${sender} ${destination}`, STREAMS)}`;
}

/** The record of messages that wait. */
export function queuedRecord(id: Uint8Array, { destination, transaction, contents }: OutboxQueued): RecordDraft {
  return packedRecord(id, OUTBOX_QUEUED, [[destination, transaction], contents]);
}

/** What a record says; undefined where a key of it was destroyed. */
export function readQueued(record: LogRecord): OutboxQueued | undefined {
  const head = unpackSection(record, OUTBOX_QUEUED, 0);
  const contents = unpackSection(record, OUTBOX_QUEUED, 1);
  if (head === undefined || contents === undefined) return undefined;
  const [destination, transaction] = head as [string, Uint8Array];
  return { destination, transaction, contents: contents as string[] };
}
