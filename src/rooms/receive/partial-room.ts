/** Rooms that this server is in without having been told of all their members: what waits, and how the members come in. */
import type { Reader } from '#projections/engine/reader.ts';
import { dispositionRecord } from '#projections/rooms/disposition-record.ts';
import { knownEvent } from '#projections/rooms/known-events.ts';
import { holdsAtLeast, isHeld, isPartial, partialRoom } from '#projections/rooms/partial.ts';
import { eventHeldRecord, membersToldRecord } from '#projections/rooms/partial-records.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { stateTakenRecord } from '#projections/rooms/taken-state-record.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import type { StateLookup } from '#protocol/auth/types.ts';
import { authEventIdsOf, authInputOf } from '#protocol/event-references.ts';
import type { StateMap } from '#src/sync/room-state.ts';
import type { Rooms } from '../rooms.ts';
import { toldState } from './known.ts';
import { momentOf } from './moment.ts';
import { recordOf } from './record.ts';
import { MEMBER_PREFIX, partsToComplete } from './state-taking.ts';
import { judge, STEPS_OF_TOLD_EVENT } from './steps.ts';
import type { Receipt, ReceivingRoom, Verdict } from './types.ts';
import { ACCEPTED, retry } from './verdicts.ts';

/** Events of a room that wait until all its members are known; whoever sends more has to come again. */
const MAX_HELD_EVENTS = 10_000;

interface Options {
  readonly rooms: Rooms;
  readonly reader: Reader;
}

/**
 * Adds the members to the state before a join that the join names to authorise it, such as the invite: whoever leaves out the members
 * of the state need not leave them in it.
 */
export async function addMembersNamed(reader: Reader, { room, pdu }: Receipt, state: StateMap): Promise<void> {
  for (const [key, position] of await toldState(reader, room, authEventIdsOf(pdu, room.rules))) {
    if (key.startsWith(MEMBER_PREFIX) && !state.has(key)) state.set(key, position);
  }
}

/** Keeps an event until all members of its room are known. Undefined if they are known by now. */
export function holdEvent({ rooms, reader }: Options, receipt: Receipt): Promise<Verdict | undefined> {
  const { room, eventId } = receipt;
  return rooms.alone(room, async ({ append }) => {
    const id = findRoom(reader, room.roomId)?.id;
    if (id === undefined || !isPartial(reader, id)) return undefined;
    const known = knownEvent(reader, eventId);
    // Whoever sends it again and again does not make the log grow.
    if (known !== undefined && isHeld(reader, id, known.position)) return ACCEPTED;
    if (holdsAtLeast(reader, id, MAX_HELD_EVENTS)) {
      return retry('prev_events_known', 'Too many events of the room wait until this server knows all its members.');
    }
    await append([
      ...(known === undefined ? [recordOf(rooms, receipt, { disposition: 'outlier' })] : []),
      eventHeldRecord(rooms.newRecordId(), { roomId: room.roomId, eventId }),
    ]);
    return ACCEPTED;
  });
}

/**
 * Takes in a held event that puts the last user of this server out of the room, when nobody tells a server that is out of it who its
 * members are. The settings of the room are known; that its sender is a member is taken from what authorises it. The room ends with
 * it: what else was held goes.
 */
export function takeRemoval({ rooms, reader }: Options, receipt: Receipt): Promise<boolean> {
  const { room, eventId, pdu } = receipt;
  return rooms.alone(room, async ({ append }) => {
    const id = findRoom(reader, room.roomId)?.id ?? -1;
    const known = knownEvent(reader, eventId);
    if (known === undefined || !isPartial(reader, id) || !isHeld(reader, id, known.position)) return false;
    const moment = momentOf(reader, receipt);
    if (moment?.createEvent === undefined || judge(receipt, moment, STEPS_OF_TOLD_EVENT).kind !== 'accept')
      return false;
    const lookup: StateLookup = (type, stateKey) => {
      if (type !== 'm.room.member' || stateKey !== pdu.sender) return moment.currentState(type, stateKey);
      const named = moment.authEvents.find((event) => event.type === type && event.stateKey === stateKey);
      return named && { ...named, stateKey };
    };
    if (!checkAuth(authInputOf(pdu, room.rules), lookup, room.rules).allowed) return false;
    const ending = { eventId, disposition: 'accepted', startsAnew: true } as const;
    await append([dispositionRecord(rooms.newRecordId(), ending)]);
    return true;
  });
}

/**
 * Takes in the members of the state before the event by which the server came in, part by part.
 *
 * @returns false if the room does not wait for its members any more, or nothing may be said of it.
 */
export function takeMembers(
  { rooms, reader }: Options,
  room: ReceivingRoom,
  entryId: string,
  state: StateMap,
): Promise<boolean> {
  return rooms.alone(room, async ({ append }) => {
    const id = findRoom(reader, room.roomId)?.id ?? -1;
    const partial = partialRoom(reader, id);
    if (partial?.entry !== entryId || !rooms.isResident(room.roomId)) return false;
    const { parts, replaced } = await partsToComplete(reader, { room: id, ...partial }, state);
    for (const part of parts) await append([stateTakenRecord(rooms.newRecordId(), part)]);
    await append([membersToldRecord(rooms.newRecordId(), { roomId: room.roomId, replaced, entry: entryId })]);
    return true;
  });
}
