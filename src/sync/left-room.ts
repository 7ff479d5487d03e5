/** The section of a sync's answer about a room that the user has left, was removed or banned from. */
import type { AccountDataEntry } from '#projections/account-data/queries.ts';
import { roomAccountData } from '#projections/account-data/queries.ts';
import { type Event, eventAt, type Room, stateVersionAt } from '#projections/rooms/queries.ts';
import { departureOf } from '#src/rooms/visibility.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { passes } from './filters.ts';
import { accountDataJson, addHidden, timelineJson, timelineOf, wasJoined } from './joined-room.ts';
import { addMembers, type StateMap, type StateSource, stateAtVersion, stateDelta, stateEvents } from './room-state.ts';
import { eventsJson, type RoomRun, roomRunOf, type SyncRun } from './run.ts';
import type { Timeline } from './timeline.ts';

/** The member event that says that the user is out. */
export interface LeftAt {
  readonly event: Position;
  /** Position of the record that made it so. */
  readonly since: Position;
  readonly forgotten: boolean;
}

/**
 * JSON text of a left room: what happened up to the moment of leaving, and the event that says so now (a ban may follow a
 * leave); of the state, nothing that came later. Of one that was forgotten since, that it was left.
 */
export async function leftRoom(
  run: SyncRun,
  room: Room,
  left: LeftAt,
  accountData: readonly AccountDataEntry[],
): Promise<string> {
  const roomRun = roomRunOf(run, room);
  const departure = left.forgotten ? undefined : departureOf(run.reader, room.id, run.viewer.userId);
  const isKnown = !run.isInitial && wasJoined(roomRun);
  const timeline =
    departure === undefined
      ? ownEventOnly(roomRun, left.event)
      : await timelineOf(roomRun, {
          after: isKnown ? run.since : BEFORE_FIRST,
          upTo: left.since,
          endVersion: departure.version,
        });
  const state = departure === undefined ? [] : await stateOf(roomRun, timeline, departure.version, isKnown);
  const entries = run.isInitial ? [...roomAccountData(run.reader, run.viewer.userId, room.roomId)] : accountData;
  const filter = run.filter.room.accountData;
  const data = filter.matchesRoom(room.roomId)
    ? entries.filter(({ type }) => filter.matchesTypeAndSender(type, undefined))
    : [];
  return (
    `{"account_data":{"events":[${data.map(({ type, contentJson }) => accountDataJson(type, contentJson)).join(',')}]},` +
    `"${run.stateSection}":{"events":${await eventsJson(roomRun, state)}},"timeline":${await timelineJson(roomRun, timeline)}}`
  );
}

/** Somebody who never was in the room, or has forgotten it, learns that it is over, and no more. */
function ownEventOnly({ run }: RoomRun, position: Position): Timeline {
  const event = eventAt(run.reader, position);
  return {
    events: event !== undefined && passes(run.filter.room.timeline, event, run.reader) ? [event] : [],
    isLimited: false,
    hasHoles: false,
    isWhole: false,
    prevBatch: `t${event?.depth ?? 0}_${position}`,
    startVersion: 0,
  };
}

async function stateOf(
  { run, room }: RoomRun,
  timeline: Timeline,
  departureVersion: number,
  isKnown: boolean,
): Promise<Event[]> {
  const filter = run.filter.room.state;
  if (filter.passesNone || !filter.matchesRoom(room.roomId)) return [];
  const source: StateSource = { reader: run.reader, room: room.id, pacer: run.pacer };
  const target = run.stateSection === 'state' ? Math.min(timeline.startVersion, departureVersion) : departureVersion;
  const positions: StateMap =
    isKnown && !run.isFullState
      ? await stateDelta(source, stateVersionAt(run.reader, room.id, run.since), target)
      : await stateAtVersion(source, target, !filter.lazyLoadMembers);
  if (timeline.hasHoles && run.stateSection === 'state') await addHidden(source, timeline, departureVersion, positions);
  if (filter.lazyLoadMembers) {
    const senders = new Set(timeline.events.map((event) => event.sender));
    addMembers(source, target, senders.add(run.viewer.userId), positions);
  }
  return stateEvents(source, positions.values(), (event) => passes(filter, event, run.reader));
}
