/** What the keys projection can be asked. All of it reads the committed frontier of the reader, synchronously. */
import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import {
  crossSigningKeys,
  deviceKeys,
  type FallbackKeyRow,
  fallbackKeys,
  joinedRooms,
  type KeyPlaceRow,
  type KeyUsage,
  keyCounts,
  keyPlaces,
  lastPublished,
  listChanges,
  oneTimeKeys,
  outdatedLists,
  ownChanges,
  type PublishedChangeRow,
  publishedChanges,
  type RemoteListRow,
  remoteDeviceNames,
  remoteLists,
  signatures,
} from './key-tables.ts';

/** A device whose keys were asked for. */
export interface DeviceKeys {
  readonly deviceId: string;
  /** JSON text as it was uploaded. */
  readonly json: string;
}

/** The keys of all devices of a user that have uploaded any, by device id. */
export function* deviceKeysOf(reader: Reader, userId: string): Generator<DeviceKeys> {
  for (const { key, value } of reader.range(deviceKeys, { prefix: [userId] })) yield { deviceId: key[1], json: value };
}

/** JSON text of a device's keys. */
export function deviceKeysJson(reader: Reader, userId: string, deviceId: string): string | undefined {
  return reader.get(deviceKeys, [userId, deviceId]);
}

/** How many one-time keys a device has left, for each algorithm that it ever had some of. */
export function* oneTimeKeyCounts(reader: Reader, userId: string, deviceId: string): Generator<[string, number]> {
  for (const { key, value } of reader.range(keyCounts, { prefix: [userId, deviceId] })) yield [key[2], value.unclaimed];
}

/** The one-time keys of a device that are to be given away next, oldest first. */
export function* nextOneTimeKeys(
  reader: Reader,
  userId: string,
  deviceId: string,
  algorithm: string,
): Generator<{ readonly keyId: string; readonly keyJson: string }> {
  for (const { value } of reader.range(oneTimeKeys, { prefix: [userId, deviceId, algorithm] })) {
    yield { keyId: value[0], keyJson: value[1] };
  }
}

/** What is known of a one-time key with this id. */
export function keyPlaceOf(
  reader: Reader,
  userId: string,
  deviceId: string,
  algorithm: string,
  keyId: string,
): KeyPlaceRow | undefined {
  return reader.get(keyPlaces, [userId, deviceId, algorithm, keyId]);
}

/** A device's fallback key of an algorithm. */
export function fallbackKeyOf(
  reader: Reader,
  userId: string,
  deviceId: string,
  algorithm: string,
): FallbackKeyRow | undefined {
  return reader.get(fallbackKeys, [userId, deviceId, algorithm]);
}

/** The algorithms of which a device has a fallback key that nobody has yet. */
export function unusedFallbackKeyTypes(reader: Reader, userId: string, deviceId: string): string[] {
  const types: string[] = [];
  for (const { key, value } of reader.range(fallbackKeys, { prefix: [userId, deviceId] })) {
    if (!value.isUsed) types.push(key[2]);
  }
  return types;
}

/** How many algorithms a device has a fallback key of. */
export function fallbackKeyCount(reader: Reader, userId: string, deviceId: string): number {
  return reader.count(fallbackKeys, { prefix: [userId, deviceId] });
}

/** JSON text of a user's cross-signing key. */
export function crossSigningKeyJson(reader: Reader, userId: string, usage: KeyUsage): string | undefined {
  return reader.get(crossSigningKeys, [userId, usage]);
}

/** A signature that was uploaded for a key. */
export function signatureOnKey(
  reader: Reader,
  targetUserId: string,
  targetKeyId: string,
  signer: string,
  signingKeyId: string,
): string | undefined {
  return reader.get(signatures, [targetUserId, targetKeyId, signer, signingKeyId]);
}

/** The signatures that one user put on a key, by the id of the signing key. */
export function* signaturesBy(
  reader: Reader,
  targetUserId: string,
  targetKeyId: string,
  signer: string,
): Generator<[signingKeyId: string, signature: string]> {
  for (const { key, value } of reader.range(signatures, { prefix: [targetUserId, targetKeyId, signer] })) {
    yield [key[3], value];
  }
}

/** The users whose devices or keys changed after one position and up to another, whoever may see it; each once. */
export function* listsChangedBetween(reader: Reader, after: Position, upTo: Position): Generator<string> {
  if (upTo < 0) return;
  const bounds = after < 0 ? {} : { gt: [after] as const };
  for (const [, userId] of reader.keys(listChanges, { ...bounds, lte: [upTo] })) yield userId;
}

/** The users whose keys look different after a position and up to another for one user only: whom that user has signed. */
export function* listsChangedFor(reader: Reader, viewer: string, after: Position, upTo: Position): Generator<string> {
  if (upTo < 0) return;
  const bounds = after < 0 ? {} : { gt: [viewer, after] as const };
  for (const [, , userId] of reader.keys(ownChanges, { prefix: [viewer], ...bounds, lte: [viewer, upTo] })) {
    yield userId;
  }
}

/** What of the keys of local users other servers have to hear of that changed after a position, in order. */
export function* publishedSince(
  reader: Reader,
  after: Position,
): Generator<{ readonly at: Position; readonly userId: string; readonly change: PublishedChangeRow }> {
  for (const { key, value } of reader.range(publishedChanges, after < 0 ? {} : { gt: [after] })) {
    yield { at: key[0], userId: key[1], change: value };
  }
}

/** Where a local user with devices came into a room last; undefined where others knew of them otherwise. */
export function joinedRoomAt(reader: Reader, userId: string, room: Position): Position | undefined {
  return reader.get(joinedRooms, [userId, room]);
}

/** Where the devices of a local user changed last, as other servers are told it; undefined for none. */
export function lastPublishedOf(reader: Reader, userId: string): Position | undefined {
  return reader.get(lastPublished, [userId]);
}

/** What is known of the list of the devices of a user of another server. */
export function remoteListOf(reader: Reader, userId: string): RemoteListRow | undefined {
  return reader.get(remoteLists, [userId]);
}

/** Users of other servers whose lists have to be asked for, from one on; at most `limit`. */
export function* outdatedListsFrom(reader: Reader, userId: string, limit: number): Generator<string> {
  for (const [outdated] of reader.keys(outdatedLists, { gte: [userId], limit })) yield outdated;
}

/** What the user of another server calls a device, where that was told. */
export function remoteDeviceName(reader: Reader, userId: string, deviceId: string): string | undefined {
  return reader.get(remoteDeviceNames, [userId, deviceId]);
}
