/** Which of a user's rooms a list is made of. Source: MSC4186, `SlidingRoomFilter`. */
import type { Reader } from '#projections/engine/reader.ts';
import {
  eventAt,
  findRoom,
  membershipOf,
  stateEvent,
  stateEventsOfType,
  strippedStateOf,
} from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { ListFilters } from './request.ts';
import type { ListedRoom, RoomMarks } from './room-list.ts';
import { directRooms, tagsOf } from './room-marks.ts';

/** Who asks, and what is known of their rooms. */
export interface FilterContext {
  readonly reader: Reader;
  readonly userId: string;
  readonly marks: RoomMarks;
}

/** A test for rooms; undefined where there is none to pass. */
export function compileListFilters(
  context: FilterContext,
  filters: ListFilters | undefined,
): ((room: ListedRoom) => boolean) | undefined {
  if (filters === undefined) return undefined;
  const { isDm, isEncrypted, isInvite, spaces, roomTypes, notRoomTypes, nameLike, tags, notTags } = filters;
  const tests: ((room: ListedRoom) => boolean)[] = [];
  if (isInvite !== undefined) tests.push(({ row }) => (row.membership === 'invite') === isInvite);
  if (isDm !== undefined) {
    const direct = directRooms(context.reader, context.userId, context.marks);
    tests.push(({ roomId }) => direct.has(roomId) === isDm);
  }
  if (tags !== undefined || notTags !== undefined) {
    tests.push((room) => {
      const own = tagsOf(context.reader, context.userId, context.marks, room);
      return (tags === undefined || meet(own, tags)) && (notTags === undefined || !meet(own, notTags));
    });
  }
  if (spaces !== undefined) {
    const children = childrenOfSpaces(context, spaces);
    tests.push(({ roomId }) => children.has(roomId));
  }
  if (isEncrypted !== undefined) tests.push((room) => isEncryptedRoom(context, room) === isEncrypted);
  if (roomTypes !== undefined) tests.push((room) => roomTypes.has(typeOf(context, room)));
  if (notRoomTypes !== undefined) tests.push((room) => !notRoomTypes.has(typeOf(context, room)));
  if (nameLike !== undefined) tests.push((room) => nameOf(context, room).includes(nameLike));
  return tests.length === 0 ? undefined : (room) => tests.every((test) => test(room));
}

function meet(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const one of some) if (others.has(one)) return true;
  return false;
}

/** Room ids of the children of those of some spaces that the user is in. */
function childrenOfSpaces({ reader, userId }: FilterContext, spaces: readonly string[]): ReadonlySet<string> {
  const children = new Set<string>();
  for (const space of new Set(spaces)) {
    const room = findRoom(reader, space);
    if (room === undefined || membershipOf(reader, room.id, userId) !== 'join') continue;
    for (const { stateKey, contentJson } of stateEventsOfType(reader, room.id, 'm.space.child')) {
      // Without a list of servers it is not a child. Source: client-server API, `m.space.child`.
      const { via } = parseJson(contentJson) as JsonObject;
      if (stateKey !== undefined && Array.isArray(via)) children.add(stateKey);
    }
  }
  return children;
}

function isEncryptedRoom(context: FilterContext, room: ListedRoom): boolean {
  room.facts.isEncrypted ??= contentOf(context, room, 'm.room.encryption') !== undefined;
  return room.facts.isEncrypted;
}

function typeOf(context: FilterContext, room: ListedRoom): string | null {
  if (room.facts.type === undefined) {
    const type = contentOf(context, room, 'm.room.create')?.type;
    room.facts.type = typeof type === 'string' ? type : null;
  }
  return room.facts.type;
}

function nameOf(context: FilterContext, room: ListedRoom): string {
  if (room.facts.name === undefined) {
    const name = contentOf(context, room, 'm.room.name')?.name;
    const alias = typeof name === 'string' ? undefined : contentOf(context, room, 'm.room.canonical_alias')?.alias;
    room.facts.name = [name, alias].find((one) => typeof one === 'string')?.toLowerCase() ?? '';
  }
  return room.facts.name;
}

/** Content of a state event as the user may know it: of a room that they are not in, as it was when that was decided. */
function contentOf({ reader, userId }: FilterContext, { id, row }: ListedRoom, type: string): JsonObject | undefined {
  if (row.membership === 'join') return parsed(stateEvent(reader, id, type, '')?.contentJson);
  const told = strippedStateOf(reader, id, userId);
  if (told !== undefined) return contentIn(told, type);
  const membership = eventAt(reader, row.event);
  return membership && parsed(stateEvent(reader, id, type, '', membership.stateVersion)?.contentJson);
}

function contentIn(strippedJson: string, type: string): JsonObject | undefined {
  const events: unknown = parseJson(strippedJson);
  if (!Array.isArray(events)) return undefined;
  const event = events.find((one) => isJsonObject(one) && one['type'] === type && one['state_key'] === '');
  const content: unknown = isJsonObject(event) ? event['content'] : undefined;
  return isJsonObject(content) ? content : undefined;
}

function parsed(contentJson: string | undefined): JsonObject | undefined {
  return contentJson === undefined ? undefined : (parseJson(contentJson) as JsonObject);
}
