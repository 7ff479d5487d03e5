/** What every change of keys does to the tables: who is told of it, and what goes when a device is another one. */
import type { Writer } from '#projections/engine/reader.ts';
import { readDisposition } from '#projections/rooms/disposition-record.ts';
import { contentOf } from '#projections/rooms/event-content.ts';
import { readMembersTold } from '#projections/rooms/partial-records.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { eventAt, eventById, membershipOf } from '#projections/rooms/queries.ts';
import { shownEvent } from '#projections/rooms/shown-event.ts';
import { roomServers, rooms, userRooms } from '#projections/rooms/tables.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import {
  claimedKeys,
  fallbackKeys,
  joinedRooms,
  keyCounts,
  keyPlaces,
  lastListChanges,
  lastOwnChanges,
  lastPublished,
  listChanges,
  oneTimeKeys,
  ownChanges,
  publishedChanges,
  signatures,
} from './key-tables.ts';

/** Begins the topic that says that other servers have to hear of a user's keys. */
export const PUBLISHED_TOPIC = 'published:';

/** The public key that a device is known by, in its keys' JSON text. */
export function identityOf(deviceKeysJson: string, deviceId: string): string | undefined {
  const value = parseJson(deviceKeysJson);
  const keys = isJsonObject(value) ? value.keys : undefined;
  const key = isJsonObject(keys) ? keys[`ed25519:${deviceId}`] : undefined;
  return typeof key === 'string' ? key : undefined;
}

/** The public key that a cross-signing key is, in unpadded base64. */
export function publicKeyOf(crossSigningKeyJson: string): string | undefined {
  const value = parseJson(crossSigningKeyJson);
  const keys = isJsonObject(value) ? value.keys : undefined;
  const [key] = isJsonObject(keys) ? Object.values(keys) : [];
  return typeof key === 'string' ? key : undefined;
}

/** Takes away all that belongs to the identity of a device but its own keys. */
export function forgetDevice(tx: Writer, userId: string, deviceId: string): void {
  const prefix = [userId, deviceId] as const;
  tx.removeRange(oneTimeKeys, { prefix });
  tx.removeRange(claimedKeys, { prefix });
  tx.removeRange(keyPlaces, { prefix });
  tx.removeRange(keyCounts, { prefix });
  tx.removeRange(fallbackKeys, { prefix });
  tx.removeRange(signatures, { prefix });
}

/** Notes that a user's devices or keys changed, and wakes the user and everybody who shares a room with them. */
export function markList(tx: Writer, at: Position, userId: string): void {
  const before = tx.get(lastListChanges, [userId]);
  if (before === at) return;
  if (before !== undefined) tx.remove(listChanges, [before, userId]);
  tx.put(listChanges, [at, userId], true);
  tx.put(lastListChanges, [userId], at);
  tx.touch(`user:${userId}`);
  for (const { key, value } of tx.range(userRooms, { prefix: [userId] })) {
    const room = value.membership === 'join' ? tx.get(rooms, [key[1]]) : undefined;
    if (room !== undefined) tx.touch(`room:${room.roomId}`);
  }
}

/** Notes that a user's keys look different for one user only, and wakes that one. */
export function markForOne(tx: Writer, at: Position, viewer: string, userId: string): void {
  const before = tx.get(lastOwnChanges, [viewer, userId]);
  if (before !== undefined) tx.remove(ownChanges, [viewer, before, userId]);
  tx.put(ownChanges, [viewer, at, userId], true);
  tx.put(lastOwnChanges, [viewer, userId], at);
  tx.touch(`user:${viewer}`);
}

/**
 * Notes what of a local user's keys other servers have to hear of: devices that are new, other or gone, and whether the
 * cross-signing keys are others. Devices without keys are not theirs to know.
 */
export function publish(
  tx: Writer,
  at: Position,
  userId: string,
  { deviceIds = [], hasSigningKeys = false }: { deviceIds?: readonly string[]; hasSigningKeys?: boolean },
): void {
  if (deviceIds.length === 0 && !hasSigningKeys) return;
  const before = tx.get(publishedChanges, [at, userId]);
  const previous = before === undefined ? (tx.get(lastPublished, [userId]) ?? null) : before.previous;
  tx.put(publishedChanges, [at, userId], {
    previous,
    deviceIds: [...new Set([...(before?.deviceIds ?? []), ...deviceIds])],
    hasSigningKeys: hasSigningKeys || (before?.hasSigningKeys ?? false),
  });
  if (deviceIds.length > 0) tx.put(lastPublished, [userId], at);
  tx.touch(`${PUBLISHED_TOPIC}${userId}`);
}

/**
 * Notes that a local user with devices came into a room with other servers: those that shared none with the user before have to
 * hear of the devices, when they have heard of the join. Source: server-server API, "Device Management".
 */
export function publishJoin(tx: Writer, record: LogRecord): void {
  if (record.kind === PDU_KIND && readPduRecord(record)?.pdu.type !== 'm.room.member') return;
  const { event } = shownEvent(tx, record) ?? {};
  if (event?.type !== 'm.room.member' || event.stateKey === undefined) return;
  const { room, stateKey: userId, replaces } = event;
  const previous = tx.get(lastPublished, [userId]);
  if (previous === undefined || membershipOf(tx, room, userId) !== 'join') return;
  const before = replaces === undefined ? undefined : eventAt(tx, replaces);
  if (before !== undefined && contentOf(before).membership === 'join') return;
  // Where the server comes in, all others may be in the room of whom it was not told yet.
  if (!startsAnew(record) && tx.count(roomServers, { prefix: [room], limit: 2 }) < 2) return;
  introduce(tx, record.position, userId, room, previous);
}

/**
 * All members of a room are known: who came in with the server shows their devices again, to those servers too that were not named
 * before. Others know them already.
 */
export function publishToMembersTold(tx: Writer, record: LogRecord): void {
  const entry = readMembersTold(record)?.entry;
  const event = entry === undefined ? undefined : eventById(tx, entry);
  if (event?.stateKey === undefined) return;
  const { room, stateKey: userId } = event;
  const previous = tx.get(lastPublished, [userId]);
  if (previous === undefined || membershipOf(tx, room, userId) !== 'join') return;
  introduce(tx, record.position, userId, room, previous);
  tx.touch(`${PUBLISHED_TOPIC}${userId}`);
}

function introduce(tx: Writer, at: Position, userId: string, room: Position, previous: Position): void {
  tx.put(joinedRooms, [userId, room], at);
  tx.put(publishedChanges, [at, userId], { previous, deviceIds: [], hasSigningKeys: false, joined: room });
}

function startsAnew(record: LogRecord): boolean {
  const read = record.kind === PDU_KIND ? readPduRecord(record)?.meta : readDisposition(record);
  return read?.startsAnew === true;
}
