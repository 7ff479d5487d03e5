/** Events whether they are shown or withheld: what authorisation and state resolution look at. */

import type { Reader } from '#projections/engine/reader.ts';
import type { AuthEvent, StateLookup } from '#protocol/auth/types.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import type { ResolutionEvent } from '#protocol/state-resolution/index.ts';
import type { Position } from '#streams/event-log.ts';
import { authEventsOf } from './auth-chains/index.ts';
import { contentOf } from './event-content.ts';
import { type EventRow, stateAfter } from './event-row.ts';
import { eventIdKey } from './keys.ts';
import type { Disposition } from './pdu-record.ts';
import type { StateRef } from './state/index.ts';
import { awaitedEvents, eventIds, events, withheld } from './tables.ts';

/** An event with what the server thinks of it. */
export interface KnownEvent {
  readonly position: Position;
  readonly row: EventRow;
  readonly disposition: Disposition;
  /** Why it is not shown. */
  readonly reason?: string;
}

/** The event at a position, shown or not. What is on no timeline but shown all the same counts as accepted. */
export function knownEventAt(reader: Reader, position: Position): KnownEvent | undefined {
  const row = reader.get(events, [position]);
  if (row !== undefined) return { position, row, disposition: 'accepted' };
  const aside = reader.get(withheld, [position]);
  if (aside === undefined) return undefined;
  const { disposition, reason } = aside;
  return { position, row: aside, disposition, ...(reason !== undefined && { reason }) };
}

/** The event with an id, shown or not. */
export function knownEvent(reader: Reader, eventId: string): KnownEvent | undefined {
  const position = reader.get(eventIds, eventIdKey(eventId));
  return position === undefined ? undefined : knownEventAt(reader, position);
}

/** Whether the graph of the room leads to an event, so that there is a state before and after it. */
export function hasPlace({ row, disposition }: KnownEvent): boolean {
  return disposition === 'accepted' || row.fork !== undefined;
}

/** Whether others name an event that has not come: it is a gap in the graph, or the target of a redaction. */
export function isAwaited(reader: Reader, room: Position, eventId: string): boolean {
  return reader.get(awaitedEvents, [room, eventId]) !== undefined;
}

/** The state after an event, if it has its place in the graph. */
export function stateAfterKnown(event: KnownEvent): StateRef | undefined {
  return hasPlace(event) ? stateAfter(event.row) : undefined;
}

/** The room that resolution works on. */
export interface ResolvingRoom {
  /** Internal id. */
  readonly id: Position;
  readonly roomId: string;
  readonly rules: RoomVersionRules;
}

/** A state event as state resolution looks at it. */
export function resolutionEventAt(
  reader: Reader,
  room: ResolvingRoom,
  position: Position,
): ResolutionEvent | undefined {
  const known = knownEventAt(reader, position);
  if (known?.row.stateKey === undefined || known.row.room !== room.id) return undefined;
  const { row, disposition } = known;
  const content = contentOf(row);
  const authEventIds: string[] = [];
  let createEventId = '';
  for (const authEvent of authEventsOf(reader, position)) {
    const named = knownEventAt(reader, authEvent)?.row;
    if (named === undefined) continue;
    const isCreate = named.type === 'm.room.create';
    if (isCreate) createEventId = named.eventId;
    // Where the room id implies it, events do not name it.
    if (!isCreate || room.rules.eventFormat.createEventInAuthEvents) authEventIds.push(named.eventId);
  }
  return {
    eventId: row.eventId,
    roomId: room.roomId,
    type: row.type,
    stateKey: row.stateKey ?? '',
    sender: row.sender,
    content,
    authEventIds,
    prevEventIds: row.followsCreate ? [createEventId] : [],
    originServerTs: row.claims === undefined ? row.originServerTs : BigInt(row.claims.originServerTs),
    depth: row.claims?.depth ?? row.depth,
    rejected: disposition === 'rejected',
    ...(typeof content.redacts === 'string' && { redacts: content.redacts }),
  };
}

/** A state event in the narrow view that authorisation needs. */
export function asAuthEvent({ row }: KnownEvent): AuthEvent {
  const { eventId, type, stateKey = '', sender } = row;
  return { eventId, type, stateKey, sender, content: contentOf(row) };
}

/** Finds state events among a few. */
export function lookupAmong(events: readonly KnownEvent[]): StateLookup {
  return (type, stateKey) => {
    const event = events.find(({ row }) => row.type === type && row.stateKey === stateKey);
    return event && asAuthEvent(event);
  };
}
