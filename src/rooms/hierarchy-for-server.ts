import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, isServerIn } from '#projections/rooms/queries.ts';
import { notFound } from '#src/http/errors.ts';
import { mayServerSeeSummary, type RoomSummary, roomSummary } from './room-summary.ts';
import { type ChildLink, childLinks } from './space-children.ts';

/** Rooms that are looked at before others get their turn. */
const ROOMS_PER_TURN = 32;

/** What another server is told of a space. Source: server-server API, `GET /hierarchy/{roomId}`. */
export interface HierarchyForServer {
  readonly room: RoomSummary & { readonly children_state: readonly ChildLink[] };
  readonly children: readonly RoomSummary[];
  readonly inaccessible_children: readonly string[];
}

/**
 * A space, or a room, and what this server knows of the rooms in it, as far as the other server may know of them.
 * @throws {MatrixError} M_NOT_FOUND if this server is not in the room, or the other may not know of it.
 */
export async function hierarchyForServer(
  { reader, serverName }: { readonly reader: Reader; readonly serverName: string },
  origin: string,
  roomId: string,
  suggestedOnly: boolean,
): Promise<HierarchyForServer> {
  const space = findRoom(reader, roomId);
  const isHere = space !== undefined && isServerIn(reader, space.id, serverName);
  if (!isHere || !mayServerSeeSummary(reader, space, origin)) {
    throw notFound('There is no such room here, or it is not for your server to see.');
  }
  const links = childLinks(reader, space, suggestedOnly);
  const children: RoomSummary[] = [];
  const inaccessible: string[] = [];
  for (const [index, { state_key: childId }] of links.entries()) {
    if (index % ROOMS_PER_TURN === ROOMS_PER_TURN - 1) await nextTurn();
    const child = findRoom(reader, childId);
    if (child === undefined || !isServerIn(reader, child.id, serverName)) continue;
    if (mayServerSeeSummary(reader, child, origin)) children.push(roomSummary(reader, child));
    else inaccessible.push(childId);
  }
  return {
    room: { ...roomSummary(reader, space), children_state: links },
    children,
    inaccessible_children: inaccessible,
  };
}
