/** Which media the events of a room name, as far as this server can read them: not those of encrypted events. */
import type { Event, Room } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { readPage } from '#src/client-api/messages/page.ts';
import type { Context } from '#src/context.ts';
import { parseMediaUri } from '#src/media/media-uri.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { FIRST_PLACE } from '#src/sync/tokens.ts';

/** Most media of a room that are told of. */
export const MAX_ROOM_MEDIA = 100_000;
/** Events that are read between looks at the clock. */
const EVENTS_A_STEP = 100;

/** The `mxc://` URIs in the events of a room, each once, the oldest first; up to {@link MAX_ROOM_MEDIA}. */
export async function mediaOfRoom({ reader }: Pick<Context, 'reader'>, room: Room, viewer: string): Promise<string[]> {
  const found = new Set<string>();
  const visibility = new RoomVisibility(reader, room.id, viewer);
  const view = { room, visibility, stateVersion: 0, departure: undefined };
  const collect = (event: Event): boolean => {
    for (const uri of mediaOfContent(parseJson(event.contentJson) as JsonObject)) {
      if (found.size < MAX_ROOM_MEDIA) found.add(uri);
    }
    return false;
  };
  let from = FIRST_PLACE;
  while (found.size < MAX_ROOM_MEDIA) {
    const page = { reader, view, from, direction: 'f' as const, limit: EVENTS_A_STEP, pacer: sharedPacer };
    const { end } = await readPage({ ...page, accepts: collect });
    if (end === undefined) break;
    from = end;
  }
  return [...found];
}

/** The media that the content of an event names: a file, its thumbnail, an avatar. */
export function* mediaOfContent(content: JsonObject): Generator<string> {
  const info = objectOf(content['info']);
  const candidates = [
    content['url'],
    content['avatar_url'],
    objectOf(content['file'])?.['url'],
    info?.['thumbnail_url'],
    objectOf(info?.['thumbnail_file'])?.['url'],
  ];
  for (const one of candidates) {
    if (typeof one === 'string' && parseMediaUri(one) !== undefined) yield one;
  }
}

function objectOf(value: JsonValue | undefined): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined;
}
