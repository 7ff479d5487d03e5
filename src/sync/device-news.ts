/** What a sync says about encryption: messages to the device, whose devices changed, how many keys the device has left. */
import { waitingMessages } from '#projections/encryption/inbox-projection.ts';
import { oneTimeKeyCounts, unusedFallbackKeyTypes } from '#projections/encryption/key-queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { deviceListNews } from '#src/encryption/device-list-news.ts';
import { objectText } from '#src/encryption/json-text.ts';
import type { Position } from '#streams/event-log.ts';
import type { Viewer } from './client-event.ts';
import type { RecentChanges } from './recent-changes.ts';
import type { SyncRun } from './run.ts';

/** Most messages to a device in one answer: what the specification recommends. */
export const MAX_DEVICE_MESSAGES = 100;
/** Clients count on this algorithm: where it is not named, some take it that the server does not count. */
const USUAL_ALGORITHM = 'signed_curve25519';

/** The messages of one answer. */
export interface DeviceMessages {
  /** JSON texts of the events. */
  readonly events: readonly string[];
  /** How far the answer goes where there are more; undefined if it has all. */
  readonly seenUpTo: Position | undefined;
}

/** The messages that a device has not seen, oldest first. */
export function deviceMessages(reader: Reader, viewer: Viewer, after: Position, upTo: Position): DeviceMessages {
  const events: string[] = [];
  let last: Position | undefined;
  const range = { after, upTo, limit: MAX_DEVICE_MESSAGES + 1 };
  for (const { at, eventJson } of waitingMessages(reader, viewer.userId, viewer.deviceKey, range)) {
    if (events.length === MAX_DEVICE_MESSAGES) return { events, seenUpTo: last };
    events.push(eventJson);
    last = at;
  }
  return { events, seenUpTo: undefined };
}

/** Members of an answer that say which keys others can still have of the device, without a comma around them. */
export function keyCountsText(reader: Reader, { userId, deviceKey }: Viewer): string {
  const counts = new Map([[USUAL_ALGORITHM, 0], ...oneTimeKeyCounts(reader, userId, deviceKey)]);
  const countsText = objectText([...counts].map(([algorithm, count]) => [algorithm, String(count)]));
  const unused = JSON.stringify(unusedFallbackKeyTypes(reader, userId, deviceKey));
  return `"device_one_time_keys_count":${countsText},"device_unused_fallback_key_types":${unused}`;
}

/** JSON text of `device_lists`; undefined where there is nothing to say. */
export async function deviceListsText(run: SyncRun, recent: RecentChanges): Promise<string | undefined> {
  // A new client asks for the keys of whomever it has to do with.
  if (run.isInitial) return undefined;
  const { reader, viewer, since, upTo, pacer } = run;
  const memberships = recent.membershipsSince(reader, since);
  const { changed, left } = await deviceListNews({ reader, viewer: viewer.userId, since, upTo, memberships, pacer });
  if (changed.size === 0 && left.size === 0) return undefined;
  return JSON.stringify({
    ...(changed.size > 0 && { changed: [...changed] }),
    ...(left.size > 0 && { left: [...left] }),
  });
}
