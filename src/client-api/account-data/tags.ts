/** The tags of a room, which are the content of the user's `m.tag` account data there. */

import { accountData } from '#projections/account-data/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { invalidParam } from '#src/http/errors.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';
import { accountDataDraft, requireRoomForEntry, TAG_TYPE } from './entries.ts';

/** Longest name of a tag, in bytes of UTF-8. https://spec.matrix.org/v1.19/client-server-api/#room-tagging */
export const MAX_TAG_BYTES = 255;
/** Most tags of one room. */
export const MAX_TAGS = 1000;

/** Tag name → what the user said of it. */
type Tags = ReadonlyMap<string, JsonObject>;

/** The tags that a user gave a room. */
export function tagsOf(reader: Reader, userId: string, roomId: string): JsonObject {
  return Object.fromEntries(readTags(reader, userId, roomId));
}

/**
 * Gives a room a tag, or changes what is said of it.
 * @throws {MatrixError} `M_INVALID_PARAM` for an impossible name, or too many tags.
 */
export async function setTag(
  context: UserStreamContext,
  userId: string,
  roomId: string,
  tag: string,
  info: JsonObject,
): Promise<void> {
  if (Buffer.byteLength(tag) > MAX_TAG_BYTES) throw invalidParam(`A tag has at most ${MAX_TAG_BYTES} bytes.`);
  await changeTags(context, userId, roomId, (tags) => {
    if (!tags.has(tag) && tags.size >= MAX_TAGS) throw invalidParam(`A room has at most ${MAX_TAGS} tags.`);
    return new Map([...tags, [tag, info]]);
  });
}

/** Takes a tag off a room; if it has no such tag, nothing changes. */
export async function removeTag(
  context: UserStreamContext,
  userId: string,
  roomId: string,
  tag: string,
): Promise<void> {
  await changeTags(context, userId, roomId, (tags) =>
    tags.has(tag) ? new Map([...tags].filter(([name]) => name !== tag)) : undefined,
  );
}

async function changeTags(
  context: UserStreamContext,
  userId: string,
  roomId: string,
  change: (tags: Tags) => Tags | undefined,
): Promise<void> {
  await changeUser(context, userId, () => {
    const tags = change(readTags(context.reader, userId, roomId));
    if (tags === undefined) return [];
    requireRoomForEntry(context, userId, roomId, TAG_TYPE);
    return [accountDataDraft(context, userId, roomId, TAG_TYPE, { tags: Object.fromEntries(tags) })];
  });
}

/** Clients can set `m.tag` as account data too, so it may be anything. */
function readTags(reader: Reader, userId: string, roomId: string): Tags {
  const json = accountData(reader, userId, TAG_TYPE, roomId);
  const tags = json === undefined ? undefined : (parseJson(json) as JsonObject).tags;
  if (!isJsonObject(tags)) return new Map();
  return new Map(Object.entries(tags).flatMap(([name, info]) => (isJsonObject(info) ? [[name, info]] : [])));
}
