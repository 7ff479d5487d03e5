/** What somebody outside may know of a room, as it is told to other servers. */
import { headOf, type Room, stateEvent } from '#projections/rooms/queries.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { STRIPPED_STATE_TYPES } from '#src/sync/invited-room.ts';
import { type PduSource, pduAt } from './pdus.ts';

/**
 * Invite or knock state of a room: whole PDUs, so that the other server can check them, and takes of them what it shows.
 * Source: server-server API, `invite_room_state`.
 *
 * @param memberIds whose member events are told too, such as who invites.
 */
export async function strippedRoomState(
  source: PduSource,
  room: Room,
  memberIds: readonly string[] = [],
): Promise<JsonObject[]> {
  const { reader } = source;
  const version = headOf(reader, room.id)?.stateVersion;
  const events: JsonObject[] = [];
  const keys = [
    ...STRIPPED_STATE_TYPES.map((type) => [type, ''] as const),
    ...memberIds.map((userId) => ['m.room.member', userId] as const),
  ];
  for (const [type, stateKey] of keys) {
    const event = stateEvent(reader, room.id, type, stateKey, version);
    if (event === undefined) continue;
    const pdu = await pduAt(source, event.position);
    if (pdu !== undefined) events.push(pdu);
  }
  return events;
}

/** Events that a server may tell of a room with an invite; what is beyond is not looked at. */
const MAX_TOLD_EVENTS = 50;
/** Characters of JSON of all of them together: each invite is part of what the user's clients get first. */
const MAX_TOLD_CHARACTERS = 64 * 1024;

/** What a server told of a room, as clients get it that are not in the room. What is no state event is left out. */
export function strippedEvents(told: readonly JsonObject[]): JsonObject[] {
  const events: JsonObject[] = [];
  let characters = 0;
  for (const { type, state_key: stateKey, sender, content } of told.slice(0, MAX_TOLD_EVENTS)) {
    if (typeof type !== 'string' || typeof stateKey !== 'string' || typeof sender !== 'string') continue;
    if (!isJsonObject(content)) continue;
    const event = { type, state_key: stateKey, sender, content };
    characters += JSON.stringify(event).length;
    if (characters > MAX_TOLD_CHARACTERS) break;
    events.push(event);
  }
  return events;
}
