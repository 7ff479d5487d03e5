import { findRoom, isServerIn, membershipOf } from '#projections/rooms/queries.ts';
import { isServerName } from '#protocol/server-name.ts';
import { notFound } from '#src/http/errors.ts';
import { type HierarchyContext, maySeeRemote } from './hierarchy.ts';
import { maySeeSummary, type RoomSummary, roomSummary } from './room-summary.ts';

export interface SummaryRequest {
  readonly roomId: string;
  /** Undefined for somebody who is not logged in: for them no other server is asked. */
  readonly userId: string | undefined;
  /** Servers that may know the room. */
  readonly via: readonly string[];
}

/**
 * The summary of a room, with the user's membership.
 * @throws {MatrixError} M_NOT_FOUND, whether there is no such room or the user may not see it.
 */
export async function findSummary(
  { reader, serverName, remoteSpaces }: HierarchyContext,
  { roomId, userId, via }: SummaryRequest,
): Promise<RoomSummary & { readonly membership?: string }> {
  const room = findRoom(reader, roomId);
  const membership = room && userId !== undefined ? membershipOf(reader, room.id, userId) : undefined;
  const withMembership = (summary: RoomSummary) => ({ ...summary, ...(membership !== undefined && { membership }) });
  if (room !== undefined && isServerIn(reader, room.id, serverName)) {
    if (maySeeSummary(reader, room, userId)) return withMembership(roomSummary(reader, room));
  } else if (userId !== undefined) {
    const remote = await remoteSpaces.room(roomId, via.filter(isServerName), false);
    if (remote !== undefined && maySeeRemote(reader, remote.summary, userId)) return withMembership(remote.summary);
  }
  throw notFound('There is no such room, or it is not for you to see.');
}
