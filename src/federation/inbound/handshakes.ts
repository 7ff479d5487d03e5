/**
 * Users of other servers that come, go and knock through this one.
 * https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { type KnownEvent, knownEvent } from '#projections/rooms/known-events.ts';
import type { Room } from '#projections/rooms/queries.ts';
import { numberStrictness } from '#protocol/hashing.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { type SigningKey, signatureOn, signJson } from '#protocol/signing.ts';
import type { Context } from '#src/context.ts';
import { badJson, forbidden, invalidParam, MatrixError } from '#src/http/errors.ts';
import { authoriserOf } from '#src/rooms/membership.ts';
import type { Verdict } from '#src/rooms/receive/types.ts';
import { admittedRoom, requireMembers } from './admission.ts';

/** What somebody may ask to become through another server. */
export type AskedMembership = 'join' | 'leave' | 'knock';

/** What the handshakes need. */
export type HandshakeContext = Pick<
  Context,
  'rooms' | 'reader' | 'serverName' | 'receiver' | 'federation' | 'entrance' | 'inviting'
>;

const VOUCHER = 'join_authorised_via_users_server';

/**
 * A member event that the room would let in, for the server of the user to sign.
 *
 * @param versions the room versions that the other server knows; undefined where it does not have to say.
 * @throws {MatrixError} M_NOT_FOUND, M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION, M_UNABLE_TO_AUTHORISE_JOIN, M_UNABLE_TO_GRANT_JOIN.
 */
export function makeMembership(
  context: HandshakeContext,
  origin: string,
  roomId: string,
  userId: string,
  membership: AskedMembership,
  versions: readonly string[] | undefined,
): { readonly room_version: string; readonly event: JsonObject } {
  if (serverNameOf(userId) !== origin) throw forbidden('The user is not one of your server.');
  const room = admittedRoom(context.reader, context.serverName, origin, roomId);
  requireMembers(context.reader, room);
  if (versions !== undefined && !versions.includes(room.version)) {
    throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', `The room has version ${room.version}.`, {
      extra: { room_version: room.version },
    });
  }
  const authoriser = membership === 'join' ? authoriserFor(context, roomId, userId) : undefined;
  const event = context.rooms.draft(roomId, {
    sender: userId,
    type: 'm.room.member',
    stateKey: userId,
    content: { membership, ...(authoriser !== undefined && { [VOUCHER]: authoriser }) },
  });
  return { room_version: room.version, event };
}

/** Who vouches for a user of another server that joins; nobody where no condition has to be met, or an invite is there. */
function authoriserFor(context: HandshakeContext, roomId: string, userId: string): string | undefined {
  const membership = context.rooms.state(roomId, 'm.room.member', userId)?.content.membership;
  return membership === 'join' || membership === 'invite' ? undefined : authoriserOf(context, userId, roomId);
}

/** A member event that was taken in, with the room it is in. */
export interface AcceptedMembership {
  readonly room: Room;
  readonly known: KnownEvent;
  /** As it is sent to the others: signed by this server too, where it has to be. */
  readonly pdu: JsonObject;
}

/**
 * Takes in a member event that was made from a template, and has it sent to everybody in the room.
 *
 * @throws {MatrixError} M_INVALID_PARAM for what is no such event, M_FORBIDDEN with the rule that refuses it.
 */
export async function acceptMembership(
  context: HandshakeContext,
  origin: string,
  roomId: string,
  eventId: string,
  event: JsonObject,
  membership: AskedMembership,
): Promise<AcceptedMembership> {
  const { reader, serverName, receiver, federation } = context;
  const room = admittedRoom(reader, serverName, origin, roomId);
  requireMembers(reader, room);
  const rules = roomVersionRules(room.version);
  if (rules === undefined) throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION');
  checkMemberEvent(event, origin, roomId, membership);
  const signed = withOurVoucher(event, rules, serverName, federation.ownKeys.signingKey);
  const verdict = await receiver.receiveForAll({ roomId, rules }, origin, signed);
  if (verdict.kind !== 'accept') throw refusal(verdict);
  const known = knownEvent(reader, eventId);
  if (known === undefined || known.row.room !== room.id) {
    throw invalidParam('The id in the path is not that of the event.');
  }
  return { room, known, pdu: signed };
}

function checkMemberEvent(event: JsonObject, origin: string, roomId: string, membership: AskedMembership): void {
  const content = event.content as JsonObject | undefined;
  if (event.type !== 'm.room.member') throw invalidParam('The event is not a member event.');
  if (content?.membership !== membership) throw invalidParam(`The membership of the event is not ${membership}.`);
  if (event.room_id !== roomId) throw invalidParam('The event is of another room.');
  if (typeof event.sender !== 'string' || serverNameOf(event.sender) !== origin) {
    throw invalidParam('The sender of the event is not a user of your server.');
  }
  if (event.state_key !== event.sender) throw invalidParam('The event is about somebody else than its sender.');
}

/** Our signature on a join that one of our users vouches for. Source: rooms/v8, "Authorisation rules". */
function withOurVoucher(event: JsonObject, rules: RoomVersionRules, serverName: string, key: SigningKey): JsonObject {
  const voucher = (event.content as JsonObject)[VOUCHER];
  if (!rules.authorization.restrictedJoins || typeof voucher !== 'string') return event;
  if (serverNameOf(voucher) !== serverName || signatureOn(event, serverName, key.keyId) !== undefined) return event;
  return signEvent(event, rules, serverName, key);
}

/** An event with our signature beside those it has. */
export function signEvent(event: JsonObject, rules: RoomVersionRules, serverName: string, key: SigningKey): JsonObject {
  return {
    ...event,
    signatures: signJson(redact(event as Pdu, rules), serverName, key, numberStrictness(rules)).signatures,
  };
}

/** Why an event that somebody waits for was not taken in. */
export function refusal(verdict: Exclude<Verdict, { readonly kind: 'accept' }>): MatrixError {
  switch (verdict.kind) {
    case 'drop':
      return verdict.step === 'signatures' ? forbidden(verdict.reason) : badJson(verdict.reason);
    case 'retry':
      return new MatrixError('M_FORBIDDEN', `The event cannot be judged now: ${verdict.reason}`);
    default:
      return forbidden(verdict.reason);
  }
}
