/** Invites and knocks of our users that others end, in rooms that this server is not in. */
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, findRoom, userRoomOf } from '#projections/rooms/queries.ts';
import { authEventIdsOf } from '#protocol/event-references.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { checkForm } from '#src/rooms/receive/check-form.ts';
import { type Receiver, receivingRoom } from '#src/rooms/receive/receiver.ts';

export interface EndedInvitesOptions {
  readonly reader: Reader;
  readonly serverName: string;
  readonly receiver: Pick<Receiver, 'receiveOutOfBand'>;
}

/**
 * Takes in that an invite was taken back, or that somebody who knocked is not let in. Nothing of the room is known that it could be
 * checked against: an invite may be ended by the server that sent it; a knock by whoever knows the event of it, as those in the room do.
 *
 * @param origin the server that says so; of its own users.
 * @returns whether the event was such an end, and is recorded.
 */
export async function takeEnd(
  { reader, serverName, receiver }: EndedInvitesOptions,
  origin: string,
  roomId: string,
  event: JsonObject,
): Promise<boolean> {
  const { type, state_key: target, sender, content } = event;
  if (type !== 'm.room.member' || typeof target !== 'string' || typeof sender !== 'string') return false;
  if (!isJsonObject(content) || (content.membership !== 'leave' && content.membership !== 'ban')) return false;
  if (serverNameOf(target) !== serverName || serverNameOf(sender) !== origin) return false;
  const room = findRoom(reader, roomId);
  const standing = room && userRoomOf(reader, target, room.id);
  const before = standing && eventAt(reader, standing.event);
  const receiving = room && receivingRoom(roomId, room.version);
  if (receiving === undefined || before === undefined) return false;
  const isInvited = standing?.membership === 'invite' && serverNameOf(before.sender) === origin;
  if (!isInvited && standing?.membership !== 'knock') return false;
  const receipt = checkForm(receiving, origin, event);
  if ('kind' in receipt || !authEventIdsOf(receipt.pdu, receiving.rules).includes(before.eventId)) return false;
  return (await receiver.receiveOutOfBand(receiving, origin, event)).kind === 'accept';
}
