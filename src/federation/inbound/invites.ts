/** Invites of users of other servers to users of this one. https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room */
import { isActiveUser } from '#projections/accounts/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, roomsOf } from '#projections/rooms/queries.ts';
import { roomIdOfCreateEvent } from '#protocol/hashing.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Context } from '#src/context.ts';
import { badJson, forbidden, invalidParam, MatrixError, notFound } from '#src/http/errors.ts';
import { requireUnblocked } from '#src/rooms/blocked-rooms.ts';
import { requireInvitable } from '#src/rooms/invite-permission.ts';
import { idOfTold } from '../pdus.ts';
import { strippedEvents } from '../stripped-room-state.ts';
import { aclOf } from './admission.ts';
import { refusal, signEvent } from './handshakes.ts';

/** Invites that a user has not answered; with more, none of other servers is taken. */
export const MAX_OPEN_INVITES = 1000;

/** What taking an invite needs. */
export type InviteContext = Pick<Context, 'rooms' | 'reader' | 'serverName' | 'receiver' | 'federation'>;

/** An invite as the other server sends it. */
export interface ReceivedInvite {
  readonly roomId: string;
  readonly eventId: string;
  readonly event: JsonObject;
  /** Of the room. */
  readonly version: string;
  /** What the invited user may know of the room. */
  readonly told: readonly JsonObject[];
}

/**
 * Signs an invite for the other server to send to the room. Where this server is not in the room, the user gets it with what
 * the other server tells of the room; else it comes with the next transaction.
 *
 * @throws {MatrixError} M_INCOMPATIBLE_ROOM_VERSION, M_INVALID_PARAM, M_NOT_FOUND, M_FORBIDDEN.
 */
export async function acceptInvite(
  context: InviteContext,
  origin: string,
  { roomId, eventId, event, version, told }: ReceivedInvite,
): Promise<JsonObject> {
  const { reader, rooms, serverName, receiver, federation } = context;
  const rules = roomVersionRules(version);
  if (rules === undefined) {
    throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', `Room version ${version} is not supported.`, {
      extra: { room_version: version },
    });
  }
  const { unsigned: _, ...sent } = event;
  const target = checkInvite(sent, origin, roomId, serverName);
  const room = findRoom(reader, roomId);
  if (room !== undefined && !aclOf(reader, room)(origin))
    throw forbidden('The access list of the room shuts your server out.');
  requireUnblocked(reader, roomId);
  requireInvitable(reader, target);
  if (rules.roomIdFormat === 'create_event_hash') checkTold(told, roomId);
  const named = idOfTold(sent, rules);
  if (named === undefined) throw badJson('The event has no canonical form.');
  if (named !== eventId) throw invalidParam('The id in the path is not that of the event.');

  const signed = signEvent(sent, rules, serverName, federation.ownKeys.signingKey);
  if (!rooms.isResident(roomId)) {
    if (!isActiveUser(reader, target)) throw notFound('There is no such user on this server.');
    if (hasTooManyInvites(reader, target)) throw forbidden('The user has too many invites that are not answered yet.');
    const verdict = await receiver.receiveOutOfBand({ roomId, rules }, origin, signed, strippedEvents(told));
    if (verdict.kind !== 'accept') throw refusal(verdict);
  }
  return signed;
}

function hasTooManyInvites(reader: Reader, userId: string): boolean {
  let open = 0;
  for (const { membership } of roomsOf(reader, userId)) {
    if (membership === 'invite' && ++open >= MAX_OPEN_INVITES) return true;
  }
  return false;
}

/** @returns who is invited. */
function checkInvite(event: JsonObject, origin: string, roomId: string, serverName: string): string {
  const { type, content, sender, state_key: target, room_id: room } = event;
  if (type !== 'm.room.member') throw invalidParam('The event is not a member event.');
  if (!isJsonObject(content) || content.membership !== 'invite') throw invalidParam('The event is not an invite.');
  if (room !== roomId) throw invalidParam('The event is of another room.');
  if (typeof sender !== 'string' || serverNameOf(sender) !== origin) {
    throw invalidParam('The sender of the event is not a user of your server.');
  }
  if (typeof target !== 'string' || serverNameOf(target) !== serverName) {
    throw invalidParam('The user who is invited is not one of this server.');
  }
  return target;
}

/** Where the room id is the hash of the create event, that event proves what room it is. */
function checkTold(told: readonly JsonObject[], roomId: string): void {
  const create = told.find(({ type, state_key: stateKey }) => type === 'm.room.create' && stateKey === '');
  const version = isJsonObject(create?.content) ? create.content.room_version : undefined;
  const rules = typeof version === 'string' ? roomVersionRules(version) : undefined;
  if (create === undefined || rules === undefined) throw invalidParam('invite_room_state has no create event.');
  let named: string | undefined;
  try {
    named = roomIdOfCreateEvent(create as Pdu, rules);
  } catch {
    named = undefined;
  }
  if (named !== roomId) throw invalidParam('The create event in invite_room_state is not that of the room.');
}
