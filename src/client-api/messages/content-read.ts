/**
 * The `content.read` record of the stream `server-content_reads`: a moderator was shown what a redaction had taken away. One
 * section, msgpack `[userId, roomId, eventId]`.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const CONTENT_READS_STREAM = 'server-content_reads';
export const CONTENT_READ = 'content.read';

/** Who was shown the content of which redacted event. */
export interface ContentRead {
  readonly userId: string;
  readonly roomId: string;
  readonly eventId: string;
}

const packr = new Packr({ useRecords: false });

/** The record of a reading. */
export function contentReadRecord(id: Uint8Array, { userId, roomId, eventId }: ContentRead): RecordDraft {
  return {
    id,
    kind: CONTENT_READ,
    version: recordKinds[CONTENT_READ].version,
    sections: [packr.pack([userId, roomId, eventId])],
  };
}

/** What a `content.read` record says; undefined where its key was destroyed. */
export function readContentRead(record: LogRecord): ContentRead | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, roomId, eventId] = packr.unpack(section) as [string, string, string];
  return { userId, roomId, eventId };
}
