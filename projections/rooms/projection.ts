/** The rooms projection: from the records of room streams to timelines, state and memberships. */

import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { CanonicalJsonError } from '#protocol/canonical-json.ts';
import { referenceHash } from '#protocol/hashing.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { type Arrival, arrivalOfDisposition, arrivalOfPdu } from './arrival.ts';
import { DISPOSITION_KIND } from './disposition-record.ts';
import { ROOM_FORGOTTEN_KIND, readRoomForgotten } from './forgotten-record.ts';
import { readStateGiven, STATE_GIVEN_KIND } from './given-state-record.ts';
import { transactionKey } from './keys.ts';
import { applyEventHeld, applyMembersAwaited, applyMembersTold } from './partial.ts';
import { EVENT_HELD_KIND, MEMBERS_AWAITED_KIND, MEMBERS_TOLD_KIND } from './partial-records.ts';
import { PDU_KIND } from './pdu-record.ts';
import { noteRevision, placeEvent } from './place-event.ts';
import { applyHistoryPurged, applyReturn, applyReturnAsItIs, DESTRUCTION_DECIDED_KIND } from './purged-history.ts';
import { events, givenStates, referenceHashes, roomIds, rooms, roomTables, transactions, userRooms } from './tables.ts';
import { applyStateTaken } from './take-state.ts';
import { STATE_TAKEN_KIND } from './taken-state-record.ts';

/** After this many positions a transaction id is forgotten: a client resends within minutes, not after a million records. */
export const TRANSACTION_WINDOW = 1_000_000;

export const roomsProjection: Projection = {
  name: 'rooms',
  version: 10,
  tables: roomTables,
  apply(tx, record) {
    switch (record.kind) {
      case PDU_KIND:
        applyPdu(tx, record, arrivalOfPdu(tx, record));
        break;
      case DISPOSITION_KIND: {
        const arrival = arrivalOfDisposition(tx, record);
        if (arrival === undefined) applyReturnAsItIs(tx, record);
        else placeEvent(tx, arrival);
        break;
      }
      case STATE_GIVEN_KIND:
        applyStateGiven(tx, record);
        break;
      case STATE_TAKEN_KIND:
        applyStateTaken(tx, record);
        break;
      case MEMBERS_AWAITED_KIND:
        applyMembersAwaited(tx, record);
        break;
      case EVENT_HELD_KIND:
        applyEventHeld(tx, record);
        break;
      case MEMBERS_TOLD_KIND:
        applyMembersTold(tx, record);
        break;
      case ROOM_FORGOTTEN_KIND:
        applyForgotten(tx, record);
        break;
      case DESTRUCTION_DECIDED_KIND:
        applyHistoryPurged(tx, record);
        break;
    }
  },
};

function applyPdu(tx: Writer, record: LogRecord, arrival: Arrival | undefined): void {
  if (arrival !== undefined) {
    const { room, position, pdu } = arrival;
    if (pdu !== undefined && room.rules.eventFormat.referencesHoldHashes) {
      putReferenceHash(tx, position, pdu, room.rules);
    }
    if (!applyReturn(tx, arrival)) placeEvent(tx, arrival);
  }
  forgetOldTransaction(tx, record.position - TRANSACTION_WINDOW);
}

/** So that events of ours can name this one. An event that has no hash was never let in. */
function putReferenceHash(tx: Writer, position: Position, pdu: Pdu, rules: RoomVersionRules): void {
  try {
    tx.put(referenceHashes, [position], Buffer.from(referenceHash(redact(pdu, rules), rules), 'base64url'));
  } catch (error) {
    if (!(error instanceof CanonicalJsonError)) throw error;
  }
}

/** Kept until the record of the event comes, which is next. */
function applyStateGiven(tx: Writer, record: LogRecord): void {
  const given = readStateGiven(record);
  const room = given && tx.get(roomIds, [given.roomId]);
  if (given === undefined || room === undefined) return;
  tx.put(givenStates, [room, given.eventId, given.part], given.events);
  noteRevision(tx, room, record.revision);
}

function forgetOldTransaction(tx: Writer, position: Position): void {
  if (position < 0) return;
  const old = tx.get(events, [position]);
  if (old?.transaction === undefined) return;
  const room = tx.get(rooms, [old.room]);
  if (room) tx.remove(transactions, transactionKey(old.sender, room.roomId, old.type, old.transaction));
}

function applyForgotten(tx: Writer, record: LogRecord): void {
  const read = readRoomForgotten(record);
  const room = read && tx.get(roomIds, [read.roomId]);
  const row = room === undefined ? undefined : tx.get(userRooms, [read?.userId ?? '', room]);
  if (read === undefined || room === undefined || row === undefined) return;
  tx.put(userRooms, [read.userId, room], { ...row, forgotten: true });
  tx.touch(`user:${read.userId}`);
}
