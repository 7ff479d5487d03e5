/** One event as somebody may look at it, and how it is shown to them. */
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventById, findRoom, type Room, userRoomOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import { BundledRelations } from '#src/sync/bundled-relations.ts';
import { type EventView, viewerOf } from '#src/sync/client-event.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';

/** An event of a room that somebody may see. */
export interface VisibleEvent {
  readonly room: Room;
  readonly event: Event;
  /** What they may see of the room. */
  readonly visibility: RoomVisibility;
  /** Whose events they do not want to see, but for state. */
  readonly ignored: ReadonlySet<string>;
}

/**
 * The event, if the user may see it.
 * @throws {MatrixError} M_NOT_FOUND, whether there is no such event, it is not theirs to see, or they ignore who sent it.
 */
export function visibleEvent(reader: Reader, roomId: string, eventId: string, userId: string): VisibleEvent {
  const room = findRoom(reader, roomId);
  const event = room && eventById(reader, eventId);
  if (room === undefined || event?.room !== room.id) throw noSuchEvent();
  const visibility = new RoomVisibility(reader, room.id, userId);
  const ignored = ignoredUsers(reader, userId);
  const isForgotten = userRoomOf(reader, userId, room.id)?.forgotten === true;
  if (isForgotten || isIgnored(ignored, event) || !visibility.canSee(event)) throw noSuchEvent();
  return { room, event, visibility, ignored };
}

/** Whether an event is hidden because of who sent it. State is not. Source: client-server API, "Ignoring Users". */
export function isIgnored(
  ignored: ReadonlySet<string>,
  { stateKey, sender }: Pick<Event, 'stateKey' | 'sender'>,
): boolean {
  return ignored.size > 0 && stateKey === undefined && ignored.has(sender);
}

/** How the events of a room are shown to who asks: with their room, and with what relates to them. */
export function eventViewFor(
  { reader, clock }: Pick<Context, 'reader' | 'clock'>,
  requester: Requester,
  { roomId, visibility, ignored }: Pick<VisibleEvent, 'visibility' | 'ignored'> & { readonly roomId: string },
): EventView {
  return {
    reader,
    visibility,
    viewer: viewerOf(requester),
    nowMs: clock(),
    roomId,
    bundles: new BundledRelations(reader, ignored),
  };
}

/** That there is no such event for the user. */
export function noSuchEvent(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'There is no such event in this room, or you may not see it.');
}
