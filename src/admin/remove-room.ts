/** Takes everybody of this server out of a room, for good where it is blocked; and may offer them another one. */
import { findRoom, membersOf } from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { MatrixError, notFound } from '#src/http/errors.ts';
import { createRoom } from '#src/rooms/create-room.ts';
import { invite, join, leave } from '#src/rooms/membership.ts';

const LEAVES: ReadonlySet<string> = new Set(['join', 'invite', 'knock']);
const DEFAULT_NAME = 'Content Violation Notification';
const DEFAULT_MESSAGE =
  'Sharing illegal content on this server is not permitted and rooms in violation will be blocked.';

/** What an administrator asks for. */
export interface RoomRemoval {
  readonly roomId: string;
  /** Whether nobody of this server may come in again. */
  readonly block: boolean;
  /** Whether the room's events are destroyed too, as far as no hold and no rule keeps them. */
  readonly purge: boolean;
  /** Who makes a room for those who were in it, and tells them why; nobody does where undefined. */
  readonly newRoomUserId: string | undefined;
  readonly newRoomName: string | undefined;
  readonly message: string | undefined;
  /** The administrator. */
  readonly by: string;
}

/** What came of it; the names are those of Synapse's answers. */
export type RemovalResult = {
  kicked_users: string[];
  failed_to_kick_users: string[];
  local_aliases: string[];
  new_room_id: string | null;
};

/** @throws {MatrixError} M_FORBIDDEN where a hold keeps what is to be purged; M_NOT_FOUND for a room that is not known here and is not to be blocked either. */
export async function removeRoom(context: Context, removal: RoomRemoval): Promise<RemovalResult> {
  const { reader, directory, compliance } = context;
  const { roomId, block, purge, by } = removal;
  const room = findRoom(reader, roomId);
  // Where a hold keeps the room nothing is done by halves: nobody is to see that there is one.
  if (room !== undefined && purge) await compliance.purges.checkRoom(roomId);
  if (room === undefined && !block) throw notFound('There is no such room here.');
  if (block) await directory.setBlocked(roomId, true, by);
  const result: RemovalResult = { kicked_users: [], failed_to_kick_users: [], local_aliases: [], new_room_id: null };
  if (room === undefined) return result;
  // Who is in it goes first: where the server does not know all members yet, it need not wait for them once it is out itself.
  const ours = Array.from(membersOf(reader, room.id))
    .filter(({ userId, membership }) => LEAVES.has(membership) && serverNameOf(userId) === context.serverName)
    .sort((a, b) => Number(b.membership === 'join') - Number(a.membership === 'join'));
  const joined = ours.filter(({ membership }) => membership === 'join').map(({ userId }) => userId);
  result.new_room_id = (await replacement(context, removal)) ?? null;
  for (const { userId } of ours) {
    const isOut = await leave(context, userId, roomId).then(
      () => true,
      () => false,
    );
    (isOut ? result.kicked_users : result.failed_to_kick_users).push(userId);
  }
  result.local_aliases = directory.aliasesOf(roomId);
  await moveIn(context, removal, joined, result.new_room_id);
  if (purge) await compliance.purges.room(roomId);
  return result;
}

/** The room for those who were in the other one: they may read in it why, and nothing more. */
async function replacement(context: Context, removal: RoomRemoval): Promise<string | undefined> {
  const { newRoomUserId, newRoomName, message } = removal;
  if (newRoomUserId === undefined) return undefined;
  if (context.accounts.find(newRoomUserId)?.isDeactivated !== false) {
    throw new MatrixError('M_INVALID_PARAM', 'new_room_user_id is not a user of this server.');
  }
  const roomId = await createRoom(context, newRoomUserId, {
    visibility: 'private',
    preset: 'private_chat',
    name: newRoomName ?? DEFAULT_NAME,
    invitees: [],
    addresses: [],
    creationContent: {},
    initialState: [],
    isDirect: false,
    powerLevelContentOverride: { users_default: -10 },
  });
  const content = { msgtype: 'm.text', body: message ?? DEFAULT_MESSAGE };
  await context.rooms.send(roomId, { sender: newRoomUserId, type: 'm.room.message', content });
  return roomId;
}

/** Aliases follow to the new room, or go; people are let in. Who cannot be is left out: the removal stands all the same. */
async function moveIn(
  context: Context,
  { roomId, newRoomUserId }: RoomRemoval,
  joined: readonly string[],
  newRoomId: string | null,
): Promise<void> {
  const { directory } = context;
  if (newRoomId === null || newRoomUserId === undefined) {
    for (const alias of directory.aliasesOf(roomId)) await directory.remove(alias);
    await directory.setListed(roomId, false);
    return;
  }
  await directory.move(roomId, newRoomId);
  await directory.setListed(newRoomId, false);
  for (const userId of joined.filter((one) => one !== newRoomUserId)) {
    try {
      await invite(context, newRoomUserId, newRoomId, userId);
      await join(context, userId, newRoomId);
    } catch (error) {
      if (!(error instanceof MatrixError) || error.status >= 500) throw error;
    }
  }
}
