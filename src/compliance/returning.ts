/** Whether what was purged of a room's history may be taken in again where another server still has it. */
import { isErasedUser } from '#projections/accounts/queries.ts';
import { erasuresOf } from '#projections/compliance/queries.ts';
import type { RetentionPolicy } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { KnownEvent } from '#projections/rooms/known-events.ts';
import { lifetimeOf } from './decision/decide.ts';
import { roomRetention } from './retention-policy.ts';

/** Tells of a purged event of a room whether it may come back. */
export type MayReturn = (roomId: string, event: KnownEvent) => boolean;

/**
 * A purge of history makes room, and is no promise that nobody sees it any more. A policy, a redaction and an erasure are: what is of
 * a room whose messages expire, what somebody redacted, and what somebody wrote who was erased since stays away.
 */
export function returning({
  reader,
  policy,
}: {
  readonly reader: Reader;
  readonly policy: RetentionPolicy;
}): MayReturn {
  return (roomId, { row }) => {
    const { redactedBy, sender } = row;
    if (redactedBy !== undefined || isErasedUser(reader, sender) || erasuresOf(reader, sender).length > 0) return false;
    const room = roomRetention(reader, roomId);
    return lifetimeOf({ class: 'messages' }, { policy, room, holds: [], nowMs: 0 }).maxMs === null;
  };
}
