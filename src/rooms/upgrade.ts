import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { MatrixError } from '#src/http/errors.ts';
import { type CarryOverContext, carryOver } from './carry-over.ts';
import type { EventToSend } from './event-writer.ts';
import type { Rooms } from './rooms.ts';
import { type ReplacementEvents, replacementEvents } from './upgrade-events.ts';
import { restrictedLevels } from './upgrade-levels.ts';

export interface UpgradeContext extends CarryOverContext {
  readonly newRoomId: () => string;
}

/** What a client asks. Source: client-server API, `POST /rooms/{roomId}/upgrade`. */
export interface UpgradeRequest {
  readonly userId: string;
  readonly roomId: string;
  readonly version: string;
  /** Who else makes the new room, where its version has such; else it has no effect. */
  readonly additionalCreators: readonly string[];
}

/** Stands for a room id that is not known yet. */
const SOME_ROOM_ID = `!${'A'.repeat(43)}`;

/** For each writer the upgrades that are under way: asking for one again, as an impatient user does, makes no second room. */
const underWay = new WeakMap<Rooms, Map<string, Promise<string>>>();

/**
 * Replaces a room by one of another version, with all that goes over: settings, bans, the rooms of a space, aliases, and what
 * the user has set for themselves. The old room is closed with a tombstone.
 *
 * Where the id of the new room is free to choose, its create event names the tombstone as the predecessor, so the tombstone
 * comes first; what could refuse the new room is asked before. Where the id is made from the create event, it is the other way round.
 * After a crash in between the upgrade can be asked for again.
 *
 * @returns the id of the new room.
 * @throws {MatrixError} M_UNSUPPORTED_ROOM_VERSION; M_NOT_FOUND for an unknown room; M_FORBIDDEN if the user may not replace it.
 */
export function upgradeRoom(context: UpgradeContext, request: UpgradeRequest): Promise<string> {
  const upgrades = underWay.get(context.rooms) ?? new Map<string, Promise<string>>();
  underWay.set(context.rooms, upgrades);
  const key = JSON.stringify(request);
  const same = upgrades.get(key);
  if (same !== undefined) return same;
  const upgrading = upgrade(context, request).finally(() => upgrades.delete(key));
  upgrades.set(key, upgrading);
  return upgrading;
}

async function upgrade(context: UpgradeContext, request: UpgradeRequest): Promise<string> {
  const { rooms, reader } = context;
  const { userId, roomId: oldRoomId, version, additionalCreators } = request;
  const newRules = roomVersionRules(version);
  if (newRules === undefined) {
    throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', `Room version ${version} is not supported.`);
  }
  // The bans go over, and so does whoever is in.
  await rooms.whenMembersKnown(oldRoomId);
  rooms.check(oldRoomId, tombstone(userId, SOME_ROOM_ID));
  const events = replacementEvents({ rooms, reader, oldRoomId, newRules, userId, additionalCreators });
  let newRoomId: string;
  if (newRules.roomIdFormat === 'create_event_hash') {
    newRoomId = await rooms.create(newRules, '', events.first(undefined));
    await rooms.send(oldRoomId, tombstone(userId, newRoomId));
  } else {
    newRoomId = context.newRoomId();
    await rooms.checkNew(newRules, newRoomId, events.first('$tombstone'));
    const { eventId } = await rooms.send(oldRoomId, tombstone(userId, newRoomId));
    await rooms.create(newRules, newRoomId, events.first(eventId));
  }
  await finish(context, request, newRoomId, events);
  return newRoomId;
}

async function finish(
  context: UpgradeContext,
  { userId, roomId: oldRoomId }: UpgradeRequest,
  newRoomId: string,
  { later }: ReplacementEvents,
): Promise<void> {
  const { rooms } = context;
  for (const event of later) await rooms.send(newRoomId, event);
  const wasMoved = new Set(context.directory.aliasesOf(oldRoomId));
  await context.directory.move(oldRoomId, newRoomId);
  const canonical = rooms.state(oldRoomId, 'm.room.canonical_alias', '')?.content;
  const left = canonical && withoutAliases(canonical, wasMoved);
  if (left !== undefined) await sendIfAllowed(context, oldRoomId, userId, 'm.room.canonical_alias', left);
  const levels = rooms.state(oldRoomId, 'm.room.power_levels', '')?.content;
  const restricted = levels && restrictedLevels(levels, rooms.rules(oldRoomId));
  if (restricted !== undefined) await sendIfAllowed(context, oldRoomId, userId, 'm.room.power_levels', restricted);
  await carryOver(context, userId, newRoomId);
}

function tombstone(sender: string, replacement: string): EventToSend {
  const content = { body: 'This room has been replaced', replacement_room: replacement };
  return { sender, type: 'm.room.tombstone', stateKey: '', content };
}

/** What is done in the old room beside the tombstone is good to have; who may replace a room need not be allowed to do it. */
async function sendIfAllowed(
  { rooms }: UpgradeContext,
  roomId: string,
  sender: string,
  type: string,
  content: JsonObject,
): Promise<void> {
  try {
    await rooms.send(roomId, { sender, type, stateKey: '', content });
  } catch (error) {
    if (!(error instanceof MatrixError && error.errcode === 'M_FORBIDDEN')) throw error;
  }
}

/** The content of a canonical alias event without some aliases; undefined if it has none of them. */
function withoutAliases(content: JsonObject, gone: ReadonlySet<string>): JsonObject | undefined {
  const isGone = (alias: JsonValue | undefined): boolean => typeof alias === 'string' && gone.has(alias);
  const { alias, alt_aliases: alternatives, ...others } = content;
  const listed = Array.isArray(alternatives) ? (alternatives as readonly JsonValue[]) : [];
  if (!isGone(alias) && !listed.some(isGone)) return undefined;
  const staying = listed.filter((one) => !isGone(one));
  return {
    ...others,
    ...(alias !== undefined && !isGone(alias) && { alias }),
    ...(staying.length > 0 && { alt_aliases: staying }),
  };
}
