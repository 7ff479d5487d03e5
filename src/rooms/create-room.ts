import type { Reader } from '#projections/engine/reader.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { isUserId } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Config } from '#src/config/schema.ts';
import type { Entrance } from '#src/federation/entrance.ts';
import { FederationError } from '#src/federation/errors.ts';
import type { ThirdPartyAddress } from '#src/federation/identity-servers.ts';
import type { Inviting } from '#src/federation/inviting.ts';
import type { ThirdPartyInvites } from '#src/federation/third-party-invites.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Directory } from './directory.ts';
import { firstEvents, type RoomPreset } from './first-events.ts';
import { requireInvitable } from './invite-permission.ts';
import { invite, inviteByAddress } from './membership.ts';
import type { Rooms } from './rooms.ts';

/** What a client asks of a new room. Source: client-server API, `POST /createRoom`. */
export interface CreateRoomRequest {
  readonly visibility: 'public' | 'private';
  readonly preset?: RoomPreset | undefined;
  readonly aliasLocalpart?: string | undefined;
  readonly name?: string | undefined;
  readonly topic?: string | undefined;
  readonly invitees: readonly string[];
  /** Those of whom only an address is known. */
  readonly addresses: readonly ThirdPartyAddress[];
  readonly roomVersion?: string | undefined;
  readonly creationContent: JsonObject;
  readonly initialState: readonly { readonly type: string; readonly stateKey: string; readonly content: JsonObject }[];
  readonly isDirect: boolean;
  readonly powerLevelContentOverride: JsonObject;
}

export interface CreateRoomContext {
  readonly config: Pick<Config, 'default_room_version'>;
  readonly serverName: string;
  readonly reader: Reader;
  readonly rooms: Rooms;
  readonly directory: Directory;
  readonly entrance: Entrance;
  readonly inviting: Inviting;
  readonly thirdPartyInvites: ThirdPartyInvites;
  readonly newRoomId: () => string;
}

/**
 * Makes a room with all its first events at once, then its alias, which nobody gets meanwhile, and its listing.
 *
 * @returns the room's id.
 * @throws {MatrixError} M_UNSUPPORTED_ROOM_VERSION, M_ROOM_IN_USE, M_INVALID_ROOM_STATE, M_BAD_JSON, M_INVITE_BLOCKED.
 */
export async function createRoom(
  context: CreateRoomContext,
  creator: string,
  request: CreateRoomRequest,
): Promise<string> {
  const version = request.roomVersion ?? context.config.default_room_version;
  const rules = roomVersionRules(version);
  if (rules === undefined)
    throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', `Room version ${version} is not supported.`);
  const additional = request.creationContent['additional_creators'];
  if (
    additional !== undefined &&
    !(Array.isArray(additional) && additional.every((id) => typeof id === 'string' && isUserId(id)))
  ) {
    throw new MatrixError('M_BAD_JSON', 'additional_creators is a list of user ids.');
  }
  for (const invitee of request.invitees) requireInvitable(context.reader, invitee);
  const alias = request.aliasLocalpart === undefined ? undefined : `#${request.aliasLocalpart}:${context.serverName}`;
  if (alias !== undefined) context.directory.checkFree(alias);

  const invitees = request.invitees.filter((id) => id !== creator);
  const isLocal = (userId: string): boolean => !context.inviting.concerns(userId);
  const events = firstEvents(
    {
      creator,
      preset: request.preset ?? (request.visibility === 'public' ? 'public_chat' : 'private_chat'),
      creatorProfile: { ...profileOf(context.reader, creator) },
      creationContent: request.creationContent,
      ...(alias !== undefined && { canonicalAlias: alias }),
      initialState: request.initialState,
      ...(request.name !== undefined && { name: request.name }),
      ...(request.topic !== undefined && { topic: request.topic }),
      invitees: new Map(invitees.filter(isLocal).map((id) => [id, { ...profileOf(context.reader, id) }])),
      isDirect: request.isDirect,
      powerLevelContentOverride: request.powerLevelContentOverride,
    },
    rules,
  );
  const make = (): Promise<string> => makeRoom(() => context.rooms.create(rules, context.newRoomId(), events));
  const roomId = alias === undefined ? await make() : await context.directory.addToNew(alias, creator, make);
  if (request.visibility === 'public') await context.directory.setListed(roomId, true);
  const others = invitees.filter((id) => !isLocal(id));
  const { isDirect } = request;
  await Promise.all([
    ...others.map((id) => unlessAway(invite(context, creator, roomId, id, { isDirect }))),
    ...request.addresses.map((address) => unlessAway(inviteByAddress(context, creator, roomId, address, { isDirect }))),
  ]);
  return roomId;
}

/**
 * An invite into a new room that takes another server. That one being away is no reason for the room not to be there: it is, and
 * the invite can be sent again.
 */
async function unlessAway(inviting: Promise<void>): Promise<void> {
  try {
    await inviting;
  } catch (error) {
    if (!(error instanceof FederationError || error instanceof MatrixError)) throw error;
  }
}

/** What the rules refuse of a room's first events is the fault of the request as a whole. */
async function makeRoom(make: () => Promise<string>): Promise<string> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof MatrixError && error.errcode === 'M_FORBIDDEN') {
      throw new MatrixError('M_INVALID_ROOM_STATE', error.message);
    }
    throw error;
  }
}
