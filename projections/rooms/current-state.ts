/** The current state of a room, and what follows from it: who is in the room, and which rooms somebody is in. */

import type { Writer } from '#projections/engine/reader.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Position } from '#streams/event-log.ts';
import { contentOf } from './event-content.ts';
import { knownEventAt } from './known-events.ts';
import { appendToMainLine, type StateChange } from './state/index.ts';
import { members, roomServers, serverRooms, userRooms } from './tables.ts';

/** Longest name of a server that can be reached: longer ones are in no user id that the rules of today let in. */
const MAX_SERVER_NAME_BYTES = 255;

/** By how much the numbers of members change. */
export interface MemberCounts {
  readonly joined: number;
  readonly invited: number;
}

export const NO_MEMBERS: MemberCounts = { joined: 0, invited: 0 };

/**
 * Takes changes into the current state of a room.
 *
 * @param version of the current state.
 * @param changes each key once; each differs from what is there.
 * @param place position of the record that decided them.
 */
export function changeCurrentState(
  tx: Writer,
  room: Position,
  version: number,
  changes: readonly StateChange[],
  place: Position,
): MemberCounts {
  appendToMainLine(tx, room, version, changes);
  let counts = NO_MEMBERS;
  for (const { type, stateKey, event } of changes) {
    if (type !== 'm.room.member') continue;
    const row = event === undefined ? undefined : knownEventAt(tx, event)?.row;
    const membership = row === undefined ? undefined : String(contentOf(row).membership);
    counts = addCounts(counts, changeMember(tx, room, stateKey, membership, event, place));
  }
  return counts;
}

/** Notes somebody's new standing in a room; `membership` is undefined where forks came to the outcome that there is none. */
export function changeMember(
  tx: Writer,
  room: Position,
  userId: string,
  membership: string | undefined,
  event: Position | undefined,
  place: Position,
): MemberCounts {
  const before = tx.get(members, [room, userId]);
  if (membership === undefined || event === undefined) {
    tx.remove(members, [room, userId]);
    const known = tx.get(userRooms, [userId, room]);
    if (known) tx.put(userRooms, [userId, room], { ...known, membership: 'leave', since: place });
  } else {
    tx.put(members, [room, userId], { membership, event });
    tx.put(userRooms, [userId, room], { membership, event, since: place, forgotten: false });
  }
  tx.touch(`user:${userId}`);
  const difference = (of: string): number => Number(membership === of) - Number(before?.membership === of);
  const joined = difference('join');
  if (joined !== 0) changeServer(tx, room, userId, joined);
  return { joined, invited: difference('invite') };
}

function changeServer(tx: Writer, room: Position, userId: string, difference: number): void {
  const server = serverNameOf(userId);
  if (server === undefined || Buffer.byteLength(server) > MAX_SERVER_NAME_BYTES) return;
  const joined = (tx.get(roomServers, [room, server]) ?? 0) + difference;
  if (joined > 0) {
    tx.put(roomServers, [room, server], joined);
    if (joined === difference) tx.put(serverRooms, [server, room], true);
  } else {
    tx.remove(roomServers, [room, server]);
    tx.remove(serverRooms, [server, room]);
  }
}

/** Two changes of the numbers of members as one. */
export function addCounts(a: MemberCounts, b: MemberCounts): MemberCounts {
  return { joined: a.joined + b.joined, invited: a.invited + b.invited };
}
