/** What a user has said of their rooms in account data: which are direct chats, which tags they have. */
import { accountData, accountDataChangesSince } from '#projections/account-data/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { ListedRoom, RoomMarks } from './room-list.ts';

const DIRECT_TYPE = 'm.direct';
const TAG_TYPE = 'm.tag';

/** Forgets what has changed since it was looked at. */
export function keepUpMarks(reader: Reader, userId: string, marks: RoomMarks): void {
  const { frontier } = reader;
  if (marks.checkedAt === frontier) return;
  if (marks.checkedAt !== undefined) {
    for (const { roomId, type } of accountDataChangesSince(reader, userId, marks.checkedAt)) {
      if (type === TAG_TYPE && roomId !== undefined) marks.tags.delete(roomId);
      if (type === DIRECT_TYPE && roomId === undefined) delete marks.direct;
    }
  }
  marks.checkedAt = frontier;
}

/** Room ids of a user's direct chats. https://spec.matrix.org/v1.19/client-server-api/#direct-messaging */
export function directRooms(reader: Reader, userId: string, marks: RoomMarks): ReadonlySet<string> {
  if (marks.direct !== undefined) return marks.direct;
  const rooms = new Set<string>();
  const contentJson = accountData(reader, userId, DIRECT_TYPE);
  const content: unknown = contentJson === undefined ? undefined : parseJson(contentJson);
  for (const list of isJsonObject(content) ? Object.values(content) : []) {
    if (!Array.isArray(list)) continue;
    for (const roomId of list) if (typeof roomId === 'string') rooms.add(roomId);
  }
  marks.direct = rooms;
  return rooms;
}

/** Names of the tags of a room. */
export function tagsOf(
  reader: Reader,
  userId: string,
  marks: RoomMarks,
  { roomId }: Pick<ListedRoom, 'roomId'>,
): ReadonlySet<string> {
  const known = marks.tags.get(roomId);
  if (known !== undefined) return known;
  const contentJson = accountData(reader, userId, TAG_TYPE, roomId);
  const content: unknown = contentJson === undefined ? undefined : parseJson(contentJson);
  const tags = isJsonObject(content) ? content.tags : undefined;
  const found = new Set(isJsonObject(tags) ? Object.keys(tags) : []);
  marks.tags.set(roomId, found);
  return found;
}
