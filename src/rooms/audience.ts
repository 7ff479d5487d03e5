/** Who could have seen an event: by the history visibility and everybody's membership, then and since. */
import type { Reader } from '#projections/engine/reader.ts';
import {
  type Event,
  eventAt,
  eventById,
  type Room,
  roomById,
  stateHistoryBackwards,
} from '#projections/rooms/queries.ts';
import { state as stateTable } from '#projections/rooms/tables.ts';
import type { Position } from '#streams/event-log.ts';
import { wasThere } from './as-of.ts';
import { membershipIn, RoomVisibility } from './visibility.ts';

const MEMBER = 'm.room.member';

/** Somebody who could see an event. */
export interface Onlooker {
  readonly user_id: string;
  /** Their membership in the room when the event was sent. */
  readonly membership: string;
  /** Since when: `sent`, from the event itself on; or milliseconds since the epoch of the join that let them see it. */
  readonly since: 'sent' | number;
}

/** Who could have seen an event. */
export interface Audience {
  readonly event_id: string;
  readonly room_id: string;
  /** The history visibility when it was sent. */
  readonly history_visibility: string;
  /** True where anybody at all could, members or not. */
  readonly anybody: boolean;
  /** Those who were ever named as members and could, by user id. */
  readonly users: readonly Onlooker[];
}

/**
 * Who could have seen an event up to the moment that the reader shows, or until a record of the log was taken in. It tells who was allowed
 * to, of this server and of others; not who looked, and not who was shown a copy. Undefined where there is no such event, where it was
 * never shown, or not by then.
 */
export function audienceOf(
  reader: Reader,
  eventId: string,
  until: Position = Number.MAX_SAFE_INTEGER,
): Audience | undefined {
  const event = eventById(reader, eventId);
  const room = event && roomById(reader, event.room);
  if (event === undefined || room === undefined || !wasThere(event, until)) return undefined;
  const visibility = new RoomVisibility(reader, room.id, '').visibilityAtVersion(event.stateVersion);
  return {
    event_id: eventId,
    room_id: room.roomId,
    history_visibility: visibility,
    anybody: visibility === 'world_readable',
    users: everybodyEverNamed(reader, room).flatMap((userId) => onlooker(reader, room, event, userId, until) ?? []),
  };
}

/** Everybody of whom the room's state ever said what their membership is, by user id. */
function everybodyEverNamed(reader: Reader, room: Room): string[] {
  const users: string[] = [];
  for (const [, , userId] of reader.keys(stateTable, { prefix: [room.id, MEMBER] })) {
    if (users.at(-1) !== userId) users.push(userId);
  }
  return users;
}

function onlooker(reader: Reader, room: Room, event: Event, userId: string, until: Position): Onlooker | undefined {
  const own = new RoomVisibility(reader, room.id, userId);
  if (!own.canSee(event)) return undefined;
  const membership = own.membershipAt(event);
  const sawAtOnce =
    membership === 'join' || own.visibilityAtVersion(event.stateVersion) !== 'shared' || own.isOwnMembership(event);
  const joined = sawAtOnce ? undefined : firstJoinAfter(reader, room, event, userId);
  if (joined !== undefined && !wasThere(joined, until)) return undefined;
  return { user_id: userId, membership, since: joined?.originServerTs ?? 'sent' };
}

/** With which event a user first joined after an event. */
function firstJoinAfter(reader: Reader, room: Room, event: Event, userId: string): Event | undefined {
  let first: Event | undefined;
  for (const { version, position } of stateHistoryBackwards(reader, room.id, MEMBER, userId)) {
    if (version <= event.stateVersion) break;
    const member = eventAt(reader, position);
    if (member !== undefined && membershipIn(member.contentJson) === 'join') first = member;
  }
  return first;
}
