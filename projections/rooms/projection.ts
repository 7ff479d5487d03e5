/** The rooms projection: from the records of room streams to timelines, state and memberships. */

import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { CanonicalJsonError, canonicalJson } from '#protocol/canonical-json.ts';
import { prevEventIdsOf } from '#protocol/event-references.ts';
import { referenceHash } from '#protocol/hashing.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact, redactContent, redactedEventIdOf } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import type { EventRow } from './event-row.ts';
import { ROOM_FORGOTTEN_KIND, readRoomForgotten } from './forgotten-record.ts';
import { eventIdKey, transactionKey } from './keys.ts';
import { PDU_KIND, type PduRecord, readPduRecord } from './pdu-record.ts';
import {
  eventIds,
  events,
  heads,
  members,
  type RoomHeadRow,
  referenceHashes,
  roomIds,
  rooms,
  roomTables,
  state,
  stateVersions,
  timeline,
  topology,
  transactions,
  userRooms,
} from './tables.ts';

/** A depth beyond it counts as this one in the order of `/messages`: whoever claims it has no business there. */
const MAX_TOPOLOGICAL_DEPTH = 2 ** 48 - 1;
/** After this many positions a transaction id is forgotten: a client resends within minutes, not after a million records. */
export const TRANSACTION_WINDOW = 1_000_000;

export const roomsProjection: Projection = {
  name: 'rooms',
  version: 2,
  tables: roomTables,
  apply(tx, record) {
    if (record.kind === PDU_KIND) applyPdu(tx, record);
    else if (record.kind === ROOM_FORGOTTEN_KIND) applyForgotten(tx, record);
  },
};

/** What the head of a room says before its first event. */
const EMPTY_HEAD: Omit<RoomHeadRow, 'revision'> = {
  depth: 0,
  extremities: [],
  stateVersion: 0,
  latest: -1,
  joined: 0,
  invited: 0,
};

function applyPdu(tx: Writer, record: LogRecord): void {
  const read = readPduRecord(record);
  if (read === undefined || read.meta.disposition !== 'accepted') return;
  const { meta, pdu } = read;
  const { position } = record;
  const room = roomOf(tx, record, read);
  const head = tx.get(heads, [room]);
  const rules = roomVersionRules(meta.roomVersion);
  const row = eventRowOf(room, read, head?.stateVersion ?? 0, rules);
  const change = row.stateKey === undefined ? undefined : applyState(tx, position, row, row.stateKey, pdu);

  tx.put(events, [position], change?.replaces === undefined ? row : { ...row, replaces: change.replaces });
  tx.put(eventIds, eventIdKey(meta.eventId), position);
  if (rules?.eventFormat.referencesHoldHashes) putReferenceHash(tx, position, pdu, rules);
  tx.put(timeline, [room, position], position);
  tx.put(topology, [room, row.depth, position], true);
  const before = head ?? EMPTY_HEAD;
  tx.put(heads, [room], {
    revision: record.revision,
    depth: Math.max(before.depth, pdu.depth),
    extremities: extremitiesAfter(before.extremities, rules ? prevEventIdsOf(pdu, rules) : [], meta.eventId),
    stateVersion: row.stateVersion + (change ? 1 : 0),
    latest: position,
    joined: before.joined + (change?.joined ?? 0),
    invited: before.invited + (change?.invited ?? 0),
  });
  if (meta.transaction)
    tx.put(transactions, transactionKey(pdu.sender, meta.roomId, pdu.type, meta.transaction), position);
  if (meta.redacts !== undefined && rules) applyRedaction(tx, position, meta.redacts, rules);
  forgetOldTransaction(tx, position - TRANSACTION_WINDOW);
  tx.touch(`room:${meta.roomId}`);
}

/** The room's internal id; a create event makes the room. */
function roomOf(tx: Writer, record: LogRecord, { meta, pdu }: PduRecord): Position {
  const known = tx.get(roomIds, [meta.roomId]);
  if (known !== undefined) return known;
  tx.put(roomIds, [meta.roomId], record.position);
  tx.put(rooms, [record.position], {
    roomId: meta.roomId,
    version: meta.roomVersion,
    stream: record.stream,
    creator: pdu.sender,
  });
  return record.position;
}

/** So that events of ours can name this one. An event that has no hash was never let in. */
function putReferenceHash(tx: Writer, position: Position, pdu: Pdu, rules: RoomVersionRules): void {
  try {
    tx.put(referenceHashes, [position], Buffer.from(referenceHash(redact(pdu, rules), rules), 'base64url'));
  } catch (error) {
    if (!(error instanceof CanonicalJsonError)) throw error;
  }
}

function eventRowOf(
  room: Position,
  { meta, pdu }: PduRecord,
  stateVersion: number,
  rules: RoomVersionRules | undefined,
): EventRow {
  const relation = relationOf(pdu.content);
  return {
    room,
    eventId: meta.eventId,
    type: pdu.type,
    sender: pdu.sender,
    ...(pdu.state_key !== undefined && { stateKey: pdu.state_key }),
    originServerTs: pdu.origin_server_ts,
    depth: Math.min(pdu.depth, MAX_TOPOLOGICAL_DEPTH),
    contentJson: contentJsonOf(rules ? shownContent(pdu, rules) : pdu.content),
    stateVersion,
    ...(meta.transaction && { transaction: meta.transaction }),
    ...(relation && { relation }),
    hasUrl: typeof pdu.content.url === 'string',
  };
}

/**
 * The content that clients see: that of a redaction names its target in every room version, also where the event itself has
 * that outside of its content. Source: rooms/v11, "Moving the redacts property of m.room.redaction events".
 */
function shownContent(pdu: Pdu, rules: RoomVersionRules): JsonObject {
  if (pdu.type !== 'm.room.redaction' || rules.redaction.redactsInContent) return pdu.content;
  return { ...pdu.content, redacts: redactedEventIdOf(pdu, rules) };
}

/**
 * Content as it is served. In canonical form, because the order of keys differs between an event that was just made and the
 * same event put together from its sections; content that has no canonical form is of a room version that keeps it as it came.
 */
function contentJsonOf(content: JsonObject): string {
  try {
    return canonicalJson(content);
  } catch {
    return JSON.stringify(content);
  }
}

function relationOf(content: JsonObject): EventRow['relation'] {
  const relates = content['m.relates_to'];
  if (!isJsonObject(relates)) return undefined;
  const { rel_type: type, event_id: eventId } = relates;
  return typeof type === 'string' && typeof eventId === 'string' ? { type, eventId } : undefined;
}

interface StateChange {
  readonly replaces: Position | undefined;
  /** By how much the numbers of joined and invited members change. */
  readonly joined: number;
  readonly invited: number;
}

function applyState(tx: Writer, position: Position, row: EventRow, stateKey: string, pdu: Pdu): StateChange {
  const version = row.stateVersion + 1;
  const replaces = tx.seekLast(state, [row.room, row.type, stateKey])?.value;
  tx.put(state, [row.room, row.type, stateKey, version], position);
  tx.put(stateVersions, [row.room, version], position);
  if (row.type !== 'm.room.member') return { replaces, joined: 0, invited: 0 };

  const membership = String(pdu.content.membership);
  const before = tx.get(members, [row.room, stateKey])?.membership;
  tx.put(members, [row.room, stateKey], { membership, event: position });
  tx.put(userRooms, [stateKey, row.room], { membership, event: position, forgotten: false });
  tx.touch(`user:${stateKey}`);
  const difference = (of: string): number => Number(membership === of) - Number(before === of);
  return { replaces, joined: difference('join'), invited: difference('invite') };
}

function extremitiesAfter(before: readonly string[], followed: readonly string[], eventId: string): string[] {
  return [...before.filter((id) => !followed.includes(id)), eventId];
}

/** Takes the content of the redacted event out of what is served. Source: client-server API, "Redactions". */
function applyRedaction(tx: Writer, redaction: Position, redactedEventId: string, rules: RoomVersionRules): void {
  const position = tx.get(eventIds, eventIdKey(redactedEventId));
  const original = position === undefined ? undefined : tx.get(events, [position]);
  if (position === undefined || original === undefined) return;
  const content = redactContent({ type: original.type, content: parseJson(original.contentJson) as JsonObject }, rules);
  const { relation: _, ...kept } = original;
  tx.put(events, [position], {
    ...kept,
    contentJson: contentJsonOf(content),
    hasUrl: false,
    redactedBy: original.redactedBy ?? redaction,
  });
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
