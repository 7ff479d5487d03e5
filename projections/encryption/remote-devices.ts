/**
 * The devices of users of other servers, as far as their servers tell of them. A list is kept for as long as this server shares
 * a room with the user: only for so long it is told of changes.
 */
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { joinedMembers, membershipOf } from '#projections/rooms/queries.ts';
import { shownEvent } from '#projections/rooms/shown-event.ts';
import { roomServers, userRooms } from '#projections/rooms/tables.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { forgetDevice, identityOf, markList, publicKeyOf } from './key-changes.ts';
import {
  crossSigningKeys,
  deviceKeys,
  type KeyUsage,
  outdatedLists,
  remoteDeviceNames,
  remoteLists,
  signatures,
} from './key-tables.ts';
import type { RemoteDevice, RemoteDeviceRecord, RemoteDeviceRecords } from './remote-device-records.ts';

/** Numbers of changes that are remembered for each list: changes may come out of order, and twice. */
export const MAX_STREAM_IDS = 16;

/** Applies what another server said. */
export function applyRemoteDevices(tx: Writer, at: Position, { kind, fields }: RemoteDeviceRecord): void {
  switch (kind) {
    case 'remote_devices.listed':
      applyList(tx, at, fields);
      break;
    case 'remote_devices.changed':
      applyChange(tx, at, fields);
      break;
    case 'remote_devices.signing_keys_changed':
      putSigningKey(tx, fields.userId, 'master', fields.masterJson);
      putSigningKey(tx, fields.userId, 'self_signing', fields.selfSigningJson);
      markList(tx, at, fields.userId);
      break;
    case 'remote_devices.outdated': {
      const { streamIds = [] } = tx.get(remoteLists, [fields.userId]) ?? {};
      tx.put(remoteLists, [fields.userId], { keptBy: fields.keptBy, streamIds, isOutdated: true });
      tx.put(outdatedLists, [fields.userId], true);
      if (fields.isTold) markList(tx, at, fields.userId);
      break;
    }
  }
}

/** Whether two servers are both in a room of a user of one of them. */
export function sharesRoomWith(reader: Reader, userId: string, serverName: string): boolean {
  for (const { key, value } of reader.range(userRooms, { prefix: [userId] })) {
    if (value.membership === 'join' && reader.has(roomServers, [key[1], serverName])) return true;
  }
  return false;
}

/** Lets go of the lists of those with whom this server shares no room any more, where somebody left one. */
export function forgetStrangers(tx: Writer, record: LogRecord): void {
  if (record.kind === PDU_KIND && readPduRecord(record)?.pdu.type !== 'm.room.member') return;
  const { event } = shownEvent(tx, record) ?? {};
  if (event?.type !== 'm.room.member' || event.stateKey === undefined) return;
  const { room, stateKey: userId } = event;
  if (membershipOf(tx, room, userId) === 'join') return;
  if (tx.has(remoteLists, [userId])) {
    forgetStranger(tx, record.position, userId);
    return;
  }
  if (tx.has(roomServers, [room, serverNameOf(userId) ?? ''])) return;
  // The last of a server has left: if that is this one, all the others in the room may be strangers now.
  for (const member of [...joinedMembers(tx, room)]) {
    if (tx.get(remoteLists, [member])?.keptBy === serverNameOf(userId)) forgetStranger(tx, record.position, member);
  }
}

function forgetStranger(tx: Writer, at: Position, userId: string): void {
  const list = tx.get(remoteLists, [userId]);
  if (list === undefined || sharesRoomWith(tx, userId, list.keptBy)) return;
  tx.remove(remoteLists, [userId]);
  tx.remove(outdatedLists, [userId]);
  for (const [, deviceId] of [...tx.keys(deviceKeys, { prefix: [userId] })]) removeDevice(tx, userId, deviceId);
  tx.removeRange(remoteDeviceNames, { prefix: [userId] });
  tx.removeRange(crossSigningKeys, { prefix: [userId] });
  // Whoever shares a room with the user when they look next has missed what happened until then.
  markList(tx, at, userId);
}

function applyList(tx: Writer, at: Position, fields: RemoteDeviceRecords['remote_devices.listed']): void {
  const { userId, keptBy, streamId, devices, masterJson, selfSigningJson } = fields;
  const listed = new Set(devices.map(({ deviceId }) => deviceId));
  let isOther = false;
  for (const [, deviceId] of [...tx.keys(deviceKeys, { prefix: [userId] })]) {
    if (listed.has(deviceId)) continue;
    removeDevice(tx, userId, deviceId);
    isOther = true;
  }
  tx.removeRange(remoteDeviceNames, { prefix: [userId] });
  for (const device of devices) if (putDevice(tx, userId, device)) isOther = true;
  for (const [usage, json] of [
    ['master', masterJson],
    ['self_signing', selfSigningJson],
  ] as const) {
    if (json === (tx.get(crossSigningKeys, [userId, usage]) ?? null)) continue;
    if (json === null) tx.remove(crossSigningKeys, [userId, usage]);
    else putSigningKey(tx, userId, usage, json);
    isOther = true;
  }
  tx.put(remoteLists, [userId], { keptBy, streamIds: [streamId], isOutdated: false });
  tx.remove(outdatedLists, [userId]);
  if (isOther) markList(tx, at, userId);
}

function applyChange(tx: Writer, at: Position, fields: RemoteDeviceRecords['remote_devices.changed']): void {
  const { userId, streamId, device, isDeleted } = fields;
  const list = tx.get(remoteLists, [userId]);
  // Nobody shares a room with the user any more.
  if (list === undefined) return;
  tx.put(remoteLists, [userId], { ...list, streamIds: [...list.streamIds, streamId].slice(-MAX_STREAM_IDS) });
  tx.remove(remoteDeviceNames, [userId, device.deviceId]);
  if (isDeleted) removeDevice(tx, userId, device.deviceId);
  else putDevice(tx, userId, device);
  markList(tx, at, userId);
}

/** Whether there was another device, or none, of that name. */
function putDevice(tx: Writer, userId: string, { deviceId, keysJson, displayName }: RemoteDevice): boolean {
  const before = tx.get(deviceKeys, [userId, deviceId]);
  if (displayName !== null) tx.put(remoteDeviceNames, [userId, deviceId], displayName);
  if (keysJson === null) {
    if (before !== undefined) removeDevice(tx, userId, deviceId);
    return before !== undefined;
  }
  if (before !== undefined && identityOf(before, deviceId) !== identityOf(keysJson, deviceId)) {
    forgetDevice(tx, userId, deviceId);
  }
  tx.put(deviceKeys, [userId, deviceId], keysJson);
  return before !== keysJson;
}

function removeDevice(tx: Writer, userId: string, deviceId: string): void {
  tx.remove(deviceKeys, [userId, deviceId]);
  forgetDevice(tx, userId, deviceId);
}

function putSigningKey(tx: Writer, userId: string, usage: KeyUsage, json: string | null): void {
  if (json === null) return;
  const before = tx.get(crossSigningKeys, [userId, usage]);
  const formerKey = before === undefined ? undefined : publicKeyOf(before);
  if (usage === 'master' && formerKey !== undefined && formerKey !== publicKeyOf(json)) {
    tx.removeRange(signatures, { prefix: [userId, formerKey] });
  }
  tx.put(crossSigningKeys, [userId, usage], json);
}
