/**
 * The records of a user stream that say which threads the user follows.
 *
 * `thread.subscribed`: one section, msgpack `[userId, roomId, rootEventId, isAutomatic]`.
 * `thread.unsubscribed`: one section, msgpack `[userId, roomId, rootEventId]`.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const THREAD_SUBSCRIBED = 'thread.subscribed';
export const THREAD_UNSUBSCRIBED = 'thread.unsubscribed';

/** A thread, as one user follows it. */
export interface UserThread {
  readonly userId: string;
  readonly roomId: string;
  /** Event id of the root. */
  readonly root: string;
}

/** A user follows a thread. */
export interface ThreadSubscribed extends UserThread {
  /** Whether a client did so on its own, since the user was mentioned. */
  readonly isAutomatic: boolean;
}

const packr = new Packr({ useRecords: false });

/** The record of a subscription. */
export function threadSubscribedRecord(
  id: Uint8Array,
  { userId, roomId, root, isAutomatic }: ThreadSubscribed,
): RecordDraft {
  const { version } = recordKinds[THREAD_SUBSCRIBED];
  return { id, kind: THREAD_SUBSCRIBED, version, sections: [packr.pack([userId, roomId, root, isAutomatic])] };
}

/** The record of a subscription's end. */
export function threadUnsubscribedRecord(id: Uint8Array, { userId, roomId, root }: UserThread): RecordDraft {
  const { version } = recordKinds[THREAD_UNSUBSCRIBED];
  return { id, kind: THREAD_UNSUBSCRIBED, version, sections: [packr.pack([userId, roomId, root])] };
}

/** What a `thread.subscribed` record says; undefined where its key was destroyed. */
export function readThreadSubscribed(record: LogRecord): ThreadSubscribed | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, roomId, root, isAutomatic] = packr.unpack(section) as [string, string, string, boolean];
  return { userId, roomId, root, isAutomatic };
}

/** What a `thread.unsubscribed` record says; undefined where its key was destroyed. */
export function readThreadUnsubscribed(record: LogRecord): UserThread | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, roomId, root] = packr.unpack(section) as [string, string, string];
  return { userId, roomId, root };
}
