import type { Reader } from '#projections/engine/reader.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { findRoom, joinedMembers, membershipOf, serversIn, userRoomOf } from '#projections/rooms/queries.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Entrance } from '#src/federation/entrance.ts';
import type { ThirdPartyAddress } from '#src/federation/identity-servers.ts';
import type { Inviting } from '#src/federation/inviting.ts';
import type { ThirdPartyInvites } from '#src/federation/third-party-invites.ts';
import { MatrixError, missingParam } from '#src/http/errors.ts';
import { requireUnblocked } from './blocked-rooms.ts';
import { type CarryOverContext, carryOver, moveNamesOnFirstJoin } from './carry-over.ts';
import type { EventToSend } from './event-writer.ts';
import { requireGuestAccess, requireGuestAccessElsewhere } from './guest-access.ts';
import { requireInvitable } from './invite-permission.ts';
import type { RemoteSpaces } from './remote-spaces.ts';
import type { Rooms, SentEvent } from './rooms.ts';

/** What moving people in and out of rooms needs. */
export interface MembershipContext {
  readonly rooms: Rooms;
  readonly reader: Reader;
  readonly serverName: string;
  /** For rooms in which this server is not. */
  readonly entrance: Entrance;
  /** For users of other servers. */
  readonly inviting: Inviting;
}

/** For people of whom only an address is known. */
export interface AddressContext {
  readonly thirdPartyInvites: ThirdPartyInvites;
}

/** What a client may say about a change of membership. */
export interface MembershipOptions {
  readonly reason?: string | undefined;
  /** The `third_party_signed` of a join by a third-party invite. */
  readonly thirdPartySigned?: JsonObject | undefined;
  /** What else the member event of a join is to say. */
  readonly content?: JsonObject | undefined;
  /** Servers that may be in the room, for one in which this server is not. */
  readonly via?: readonly string[] | undefined;
  /** Whether an invite is to a room for two. */
  readonly isDirect?: boolean | undefined;
}

/** Local members that are asked whether they may let somebody in, at most, for one restricted join. */
const MAX_AUTHORISERS_TRIED = 10_000;
/** Names who vouches for a restricted join. */
const VOUCHER = 'join_authorised_via_users_server';

/** What joining needs. */
export type JoinContext = MembershipContext &
  CarryOverContext &
  AddressContext & { readonly remoteSpaces: RemoteSpaces };

/** A user joins a room; joining again changes nothing. @throws {MatrixError} as {@link Rooms.send} */
export async function join(
  context: JoinContext,
  userId: string,
  roomId: string,
  options: MembershipOptions = {},
): Promise<void> {
  requireUnblocked(context.reader, roomId);
  const content = {
    ...ownWords(options.content),
    ...profileOf(context.reader, userId),
    ...withReason(options),
  };
  if (options.thirdPartySigned !== undefined) await redeem(context, userId, roomId, options.thirdPartySigned);
  if (context.rooms.isResident(roomId)) {
    if (currentMembership(context, roomId, userId) === 'join') return;
    await context.rooms.whenMembersKnown(roomId);
    const membership = currentMembership(context, roomId, userId);
    if (membership === 'join') return;
    requireGuestAccess(context, roomId, userId);
    await joinHere(context, userId, roomId, membership, content);
  } else {
    await requireGuestAccessElsewhere(context, roomId, userId, options.via ?? []);
    await context.entrance.join(userId, roomId, options.via ?? [], content);
  }
  await settleIn(context, userId, roomId);
}

/** Somebody who was invited by address shows that the address is theirs. */
async function redeem(context: JoinContext, userId: string, roomId: string, signed: JsonObject): Promise<void> {
  const { sender } = signed;
  if (typeof sender !== 'string') throw missingParam('third_party_signed.sender');
  if (context.rooms.isResident(roomId)) {
    const membership = currentMembership(context, roomId, userId);
    if (membership === 'join' || membership === 'invite') return;
  }
  await context.thirdPartyInvites.redeem({ roomId, sender, target: userId, signed });
}

/** Where nobody here may let the user in, another server of the room may. */
async function joinHere(
  context: JoinContext,
  userId: string,
  roomId: string,
  membership: string | undefined,
  content: JsonObject,
): Promise<void> {
  let voucher: JsonObject = {};
  if (membership !== 'invite') {
    try {
      const authoriser = authoriserOf(context, userId, roomId);
      if (authoriser !== undefined) voucher = { [VOUCHER]: authoriser };
    } catch (error) {
      const others =
        error instanceof MatrixError && error.errcode === 'M_UNABLE_TO_GRANT_JOIN' ? otherServers(context, roomId) : [];
      if (others.length === 0) throw error;
      return context.entrance.join(userId, roomId, others, content);
    }
  }
  await sendMembership(context, roomId, userId, userId, 'join', { ...content, ...voucher });
}

function otherServers({ reader, serverName }: MembershipContext, roomId: string): string[] {
  const room = findRoom(reader, roomId);
  return room === undefined ? [] : [...serversIn(reader, room.id)].filter((server) => server !== serverName);
}

/** What of a client's content a member event may say: not who vouches for the user, nor who invited them by address. */
function ownWords(content: JsonObject = {}): JsonObject {
  const { [VOUCHER]: _, third_party_invite: __, ...words } = content;
  return words;
}

/** What is to be done when a local user has come into a room. */
export async function settleIn(context: JoinContext, userId: string, roomId: string): Promise<void> {
  await moveNamesOnFirstJoin(context, userId, roomId);
  await carryOver(context, userId, roomId);
}

/** A user asks to be let in; asking again, or as a member, is refused by the rules. */
export async function knock(
  context: MembershipContext,
  userId: string,
  roomId: string,
  options: MembershipOptions = {},
): Promise<void> {
  requireUnblocked(context.reader, roomId);
  const content = { ...profileOf(context.reader, userId), ...withReason(options) };
  if (context.rooms.isResident(roomId)) await sendMembership(context, roomId, userId, userId, 'knock', content);
  else await context.entrance.knock(userId, roomId, options.via ?? [], content);
}

/** A user leaves a room, turns an invite down, or takes a knock back; leaving again changes nothing. */
export async function leave(
  context: MembershipContext,
  userId: string,
  roomId: string,
  options: MembershipOptions = {},
): Promise<void> {
  if (!context.rooms.isResident(roomId)) return leaveFromOutside(context, userId, roomId, options);
  if (currentMembership(context, roomId, userId) !== 'join') await context.rooms.whenMembersKnown(roomId);
  const membership = currentMembership(context, roomId, userId);
  if (membership === 'leave') return;
  if (membership === undefined) throw new MatrixError('M_FORBIDDEN', 'You are not in this room.');
  await sendMembership(context, roomId, userId, userId, 'leave', withReason(options));
}

/** Ends an invite to a room in which this server is not, or a knock on one. */
async function leaveFromOutside(
  context: MembershipContext,
  userId: string,
  roomId: string,
  options: MembershipOptions,
): Promise<void> {
  const room = findRoom(context.reader, roomId);
  if (room === undefined) throw new MatrixError('M_NOT_FOUND', 'This server does not know the room.');
  const membership = userRoomOf(context.reader, userId, room.id)?.membership;
  if (membership === 'leave') return;
  if (membership !== 'invite' && membership !== 'knock') {
    throw new MatrixError('M_FORBIDDEN', 'You are not in this room.');
  }
  await context.entrance.leave(userId, roomId, withReason(options));
}

/** A member invites somebody. @throws {MatrixError} M_INVITE_BLOCKED; as {@link Rooms.send} */
export async function invite(
  context: MembershipContext,
  sender: string,
  roomId: string,
  target: string,
  options: MembershipOptions = {},
): Promise<void> {
  requireUnblocked(context.reader, roomId);
  requireInvitable(context.reader, target);
  await context.rooms.whenMembersKnown(roomId);
  const content = {
    ...profileOf(context.reader, target),
    ...withReason(options),
    ...(options.isDirect === true && { is_direct: true }),
    membership: 'invite',
  };
  if (context.inviting.concerns(target)) {
    await context.inviting.invite(roomId, { sender, type: 'm.room.member', stateKey: target, content });
  } else {
    await sendMembership(context, roomId, sender, target, 'invite', content);
  }
}

/** A member invites whoever has an address. @throws {MatrixError} as {@link invite}, and `ThirdPartyInvites.invite` */
export async function inviteByAddress(
  context: MembershipContext & AddressContext,
  sender: string,
  roomId: string,
  address: ThirdPartyAddress,
  options: MembershipOptions = {},
): Promise<void> {
  const target = await context.thirdPartyInvites.invite(sender, roomId, address);
  if (target !== undefined) await invite(context, sender, roomId, target, options);
}

/** A member removes somebody who is in the room, invited or knocking. */
export async function kick(
  context: MembershipContext,
  sender: string,
  roomId: string,
  target: string,
  options: MembershipOptions = {},
): Promise<void> {
  requireJoined(context, roomId, sender);
  await context.rooms.whenMembersKnown(roomId);
  const membership = currentMembership(context, roomId, target);
  if (membership !== 'join' && membership !== 'invite' && membership !== 'knock') {
    throw new MatrixError('M_FORBIDDEN', `${target} is not in the room.`);
  }
  await sendMembership(context, roomId, sender, target, 'leave', withReason(options));
}

/** A member bans somebody; banning again is allowed and may give another reason. */
export async function ban(
  context: MembershipContext,
  sender: string,
  roomId: string,
  target: string,
  options: MembershipOptions = {},
): Promise<void> {
  await sendMembership(context, roomId, sender, target, 'ban', withReason(options));
}

/** A member lifts a ban. */
export async function unban(
  context: MembershipContext,
  sender: string,
  roomId: string,
  target: string,
  options: MembershipOptions = {},
): Promise<void> {
  requireJoined(context, roomId, sender);
  await context.rooms.whenMembersKnown(roomId);
  if (currentMembership(context, roomId, target) !== 'ban') {
    throw new MatrixError('M_BAD_STATE', `${target} is not banned from the room.`, { status: 403 });
  }
  await sendMembership(context, roomId, sender, target, 'leave', withReason(options));
}

/**
 * The content of a member event as a client wrote it, made fit to be sent: who vouches for somebody that joins a restricted
 * room is for the server to find out, never for the one who wants to come in to say.
 *
 * @throws {MatrixError} M_FORBIDDEN if the user meets none of the room's conditions; M_INVITE_BLOCKED.
 */
export function vouchedContent(
  context: MembershipContext,
  roomId: string,
  event: EventToSend & { readonly stateKey: string },
): JsonObject {
  const { [VOUCHER]: _, ...content } = event.content;
  if (content['membership'] === 'invite') requireInvitable(context.reader, event.stateKey);
  if (content['membership'] !== 'join' || event.sender !== event.stateKey) return content;
  const membership = currentMembership(context, roomId, event.sender);
  if (membership !== 'join') requireGuestAccess(context, roomId, event.sender);
  const isExpected = membership === 'join' || membership === 'invite';
  const authoriser = isExpected ? undefined : authoriserOf(context, event.sender, roomId);
  return authoriser === undefined ? content : { ...content, [VOUCHER]: authoriser };
}

function sendMembership(
  context: MembershipContext,
  roomId: string,
  sender: string,
  target: string,
  membership: string,
  content: JsonObject,
): Promise<SentEvent> {
  return context.rooms.send(roomId, {
    sender,
    type: 'm.room.member',
    stateKey: target,
    content: { ...content, membership },
  });
}

function withReason(options: MembershipOptions): JsonObject {
  return options.reason === undefined ? {} : { reason: options.reason };
}

function currentMembership(context: MembershipContext, roomId: string, userId: string): string | undefined {
  const membership = context.rooms.state(roomId, 'm.room.member', userId)?.content['membership'];
  return typeof membership === 'string' ? membership : undefined;
}

function requireJoined(context: MembershipContext, roomId: string, userId: string): void {
  if (currentMembership(context, roomId, userId) !== 'join') {
    throw new MatrixError('M_FORBIDDEN', 'You are not in this room.');
  }
}

/**
 * The local member whose right to invite lets a user join a restricted room, or undefined where the join rule asks for none.
 * Source: client-server API, "Restricted rooms".
 * @throws {MatrixError} M_FORBIDDEN if the user meets none of the conditions.
 */
export function authoriserOf(context: MembershipContext, userId: string, roomId: string): string | undefined {
  const { rooms, reader } = context;
  const rules = rooms.rules(roomId);
  const joinRules = rooms.state(roomId, 'm.room.join_rules', '')?.content;
  const isRestricted =
    joinRules?.['join_rule'] === 'restricted' ||
    (joinRules?.['join_rule'] === 'knock_restricted' && rules.authorization.knockRestrictedJoins);
  if (!isRestricted || !rules.authorization.restrictedJoins) return undefined;
  if (!meetsCondition(reader, userId, joinRules['allow'])) {
    throw new MatrixError('M_FORBIDDEN', 'Only members of certain other rooms may join this one.');
  }
  const room = findRoom(reader, roomId);
  const levels = rooms.powerLevels(roomId);
  let tried = 0;
  for (const member of room ? joinedMembers(reader, room.id) : []) {
    if (++tried > MAX_AUTHORISERS_TRIED) break;
    if (member.endsWith(`:${context.serverName}`) && levels.powerLevelOf(member) >= levels.invite) return member;
  }
  throw new MatrixError('M_UNABLE_TO_GRANT_JOIN');
}

/** Whether a user meets one of the conditions of a restricted room: `allow` of its join rules. */
export function meetsCondition(reader: Reader, userId: string, allow: unknown): boolean {
  if (!Array.isArray(allow)) return false;
  return allow.some((condition: unknown) => {
    if (typeof condition !== 'object' || condition === null || !('type' in condition)) return false;
    if (condition.type !== 'm.room_membership' || !('room_id' in condition)) return false;
    const room = typeof condition.room_id === 'string' ? findRoom(reader, condition.room_id) : undefined;
    return room !== undefined && membershipOf(reader, room.id, userId) === 'join';
  });
}
