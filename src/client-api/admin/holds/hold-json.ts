import { z } from 'zod';
import type { Hold } from '#projections/compliance/queries.ts';
import type { HoldScope } from '#projections/compliance/records.ts';

const id = z.string().min(1).max(255);
const time = z.int().min(0);

/** What a hold covers, as requests say it: all of it together. Times are milliseconds since the epoch. */
export const holdScopeSchema = z.strictObject({
  user_id: id.optional(),
  room_id: id.optional(),
  /** The last part of `mxc://server/MEDIA_ID`. */
  media_id: id.optional(),
  from_ms: time.optional(),
  to_ms: time.optional(),
});

/** The scope that a request says. */
export function holdScopeOf(body: z.output<typeof holdScopeSchema>): HoldScope {
  const { user_id: userId, room_id: roomId, media_id: mediaId, from_ms: fromMs, to_ms: toMs } = body;
  return {
    ...(userId !== undefined && { userId }),
    ...(roomId !== undefined && { roomId }),
    ...(mediaId !== undefined && { mediaId }),
    ...(fromMs !== undefined && { fromMs }),
    ...(toMs !== undefined && { toMs }),
  };
}

/** A hold as JSON. */
export function holdJson({ id: holdId, scope: covered, caseId, reason, by, addedAtMs, released }: Hold): object {
  return {
    hold_id: holdId,
    scope: {
      user_id: covered.userId,
      room_id: covered.roomId,
      media_id: covered.mediaId,
      from_ms: covered.fromMs,
      to_ms: covered.toMs,
    },
    case_id: caseId,
    reason,
    set_by: by,
    set_at: new Date(addedAtMs).toISOString(),
    released:
      released === null
        ? null
        : { by: released.by, reason: released.reason, at: new Date(released.atMs).toISOString() },
  };
}
