/** An event on its way into the tables: as it was first seen, or when the server came to think otherwise of it. */

import type { Reader, Writer } from '#projections/engine/reader.ts';
import { authEventIdsOf, prevEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { LogRecord, Position, Revision } from '#streams/event-log.ts';
import { readDisposition } from './disposition-record.ts';
import { relationOf, shownContentJson } from './event-content.ts';
import type { EventRow } from './event-row.ts';
import { eventIdKey } from './keys.ts';
import type { ResolvingRoom } from './known-events.ts';
import { type Disposition, type PduRecord, readPduRecord } from './pdu-record.ts';
import { eventIds, events, roomIds, rooms, withheld } from './tables.ts';

/** A depth beyond it counts as this one in the order of `/messages`: whoever claims it has no business there. */
const MAX_TOPOLOGICAL_DEPTH = 2 ** 48 - 1;

/** An event with all that decides where it goes. */
export interface Arrival {
  readonly room: ResolvingRoom;
  /** Of the event, for ever. */
  readonly position: Position;
  /** Of the record that is being applied: where it comes onto the timeline. */
  readonly place: Position;
  readonly revision: Revision;
  readonly disposition: Disposition;
  readonly reason?: string;
  /** All of the row that does not depend on the state of the room. */
  readonly row: Omit<EventRow, 'stateVersion' | 'fork' | 'replaces'>;
  readonly depth: number;
  readonly prevEventIds: readonly string[];
  /** With the create event, where the room version implies it. */
  readonly authEventIds: readonly string[];
  /** The event that the writer found it to redact. */
  readonly redacts?: string;
  readonly hasGivenState: boolean;
  readonly startsAnew: boolean;
  /** This server sends it on. */
  readonly isRelayed: boolean;
  /** The PDU, where this is its own record. */
  readonly pdu?: PduRecord['pdu'];
}

/** The event of a `pdu` record; undefined where it is erased, or of a room version that nobody here knows. */
export function arrivalOfPdu(tx: Writer, record: LogRecord): Arrival | undefined {
  const read = readPduRecord(record);
  const rules = read && roomVersionRules(read.meta.roomVersion);
  if (read === undefined || rules === undefined) return undefined;
  const { meta, pdu } = read;
  const room: ResolvingRoom = { id: roomOf(tx, record, read), roomId: meta.roomId, rules };
  const prevEventIds = prevEventIdsOf(pdu, rules);
  const relation = relationOf(pdu.content);
  const authEventIds = [...authEventIdsOf(pdu, rules)];
  if (!rules.eventFormat.createEventInAuthEvents && pdu.type !== 'm.room.create') {
    authEventIds.push(createEventIdFromRoomId(meta.roomId));
  }
  return {
    room,
    position: record.position,
    place: record.position,
    revision: record.revision,
    disposition: meta.disposition,
    ...(meta.reason !== undefined && { reason: meta.reason }),
    row: {
      room: room.id,
      eventId: meta.eventId,
      type: pdu.type,
      sender: pdu.sender,
      ...(pdu.state_key !== undefined && { stateKey: pdu.state_key }),
      originServerTs: Number(pdu.origin_server_ts),
      depth: Math.min(pdu.depth, MAX_TOPOLOGICAL_DEPTH),
      contentJson: shownContentJson(pdu, rules),
      ...(meta.transaction && { transaction: meta.transaction }),
      ...(relation && { relation }),
      hasUrl: typeof pdu.content.url === 'string',
      ...(pdu.state_key !== undefined && followsCreate(tx, room, prevEventIds) && { followsCreate: true }),
      ...claimsOf(pdu),
    },
    depth: pdu.depth,
    prevEventIds,
    authEventIds,
    ...(meta.redacts !== undefined && { redacts: meta.redacts }),
    hasGivenState: meta.hasGivenState === true,
    startsAnew: meta.startsAnew === true,
    isRelayed: meta.isRelayed === true,
    pdu,
  };
}

function claimsOf({ depth, origin_server_ts: originServerTs }: Pdu): Pick<EventRow, 'claims'> {
  const isExact = depth <= MAX_TOPOLOGICAL_DEPTH && Number.isSafeInteger(originServerTs);
  return isExact ? {} : { claims: { depth, originServerTs: `${originServerTs}` } };
}

/** The event of a `pdu.disposition` record; undefined if it is not withheld, so that there is nothing to think otherwise of. */
export function arrivalOfDisposition(tx: Reader, record: LogRecord): Arrival | undefined {
  const now = readDisposition(record);
  const position = now && tx.get(eventIds, eventIdKey(now.eventId));
  const aside = position === undefined ? undefined : tx.get(withheld, [position]);
  const room = aside && tx.get(rooms, [aside.room]);
  const rules = room && roomVersionRules(room.version);
  if (!now || position === undefined || !aside || !room || !rules) return undefined;
  const { disposition: _, reason: __, prevEventIds, authEventIds, stateVersion: ___, fork: ____, ...row } = aside;
  return {
    room: { id: aside.room, roomId: room.roomId, rules },
    position,
    place: record.position,
    revision: record.revision,
    disposition: now.disposition,
    ...(now.reason !== undefined && { reason: now.reason }),
    row,
    depth: row.depth,
    prevEventIds,
    authEventIds,
    hasGivenState: now.hasGivenState === true,
    startsAnew: now.startsAnew === true,
    isRelayed: false,
  };
}

/** The room's internal id: the position of its first record. */
function roomOf(tx: Writer, record: LogRecord, { meta }: PduRecord): Position {
  const known = tx.get(roomIds, [meta.roomId]);
  if (known !== undefined) return known;
  tx.put(roomIds, [meta.roomId], record.position);
  tx.put(rooms, [record.position], { roomId: meta.roomId, version: meta.roomVersion, stream: record.stream });
  return record.position;
}

function followsCreate(tx: Reader, { id, roomId, rules }: ResolvingRoom, prevEventIds: readonly string[]): boolean {
  const [only] = prevEventIds;
  if (only === undefined || prevEventIds.length !== 1) return false;
  if (rules.roomIdFormat === 'create_event_hash') return only === createEventIdFromRoomId(roomId);
  const position = tx.get(eventIds, eventIdKey(only));
  const row = position === undefined ? undefined : (tx.get(events, [position]) ?? tx.get(withheld, [position]));
  return row?.type === 'm.room.create' && row.room === id;
}
