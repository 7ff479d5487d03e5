import { eventIdKey } from '#projections/rooms/keys.ts';
import type { KnownEvent } from '#projections/rooms/known-events.ts';
import type { Room } from '#projections/rooms/queries.ts';
import { eventIds } from '#projections/rooms/tables.ts';
import { authEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Position } from '#streams/event-log.ts';
import { type PduSource, pduOf } from '../pdus.ts';

/**
 * What an event names to authorise it, with the create event where the room id implies that. Read from the log: the index of
 * auth chains holds state events alone.
 */
export async function authEventPositions(source: PduSource, room: Room, event: KnownEvent): Promise<Position[]> {
  const pdu = await pduOf(source, event);
  const rules = roomVersionRules(room.version);
  if (pdu === undefined || rules === undefined) return [];
  const ids = [...authEventIdsOf(pdu, rules)];
  if (!rules.eventFormat.createEventInAuthEvents) ids.push(createEventIdFromRoomId(room.roomId));
  return ids.flatMap((id) => source.reader.get(eventIds, eventIdKey(id)) ?? []).filter((at) => at !== event.position);
}
