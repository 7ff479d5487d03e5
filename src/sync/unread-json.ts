/** What a sync says about how much of a room is unread. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync */
import type { ReadEvent, RoomUnread, ThreadUnread } from '#src/push/unread.ts';
import type { SyncRun } from './run.ts';

/** Members of a room's section, without a comma around them. A client that knows threads gets those apart. */
export function unreadJson({ main, threads, total }: RoomUnread, isByThread: boolean): string {
  if (!isByThread) return `"unread_notifications":${countsJson(total)}`;
  const texts = [...threads].map(([root, unread]) => `${JSON.stringify(root)}:${countsJson(unread)}`);
  return `"unread_notifications":${countsJson(main)},"unread_thread_notifications":{${texts.join(',')}}`;
}

function countsJson({ notifications, highlights }: ThreadUnread): string {
  return `{"highlight_count":${highlights},"notification_count":${notifications}}`;
}

/** Reads events through what the syncs of one moment share. */
export function readShared({ shared }: SyncRun): ReadEvent {
  return (reader, position) => shared.event(reader, position);
}
