/** Tables of device keys, one-time and fallback keys, cross-signing keys, signatures, and changes of device lists. */
import { type AnyTable, defineTable, empty, msgpack, str, tuple, u32, u48 } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';

/** What a cross-signing key is used for. */
export type KeyUsage = 'master' | 'self_signing' | 'user_signing';

/** A one-time key that nobody has yet. */
export type QueuedKeyRow = readonly [keyId: string, keyJson: string];

/** Where a one-time key is, or was, in the queue, and what it is. */
export interface KeyPlaceRow {
  readonly at: number;
  readonly index: number;
  /** Names the key material: the same id with another digest is another key. */
  readonly digest: Uint8Array;
  /** It was given away, and must never be again. */
  readonly isClaimed: boolean;
}

/** How many one-time keys of an algorithm a device has left, and how many given ones are remembered. */
export interface KeyCountRow {
  readonly unclaimed: number;
  readonly claimed: number;
}

/** A device's fallback key of an algorithm. */
export interface FallbackKeyRow {
  readonly keyId: string;
  readonly keyJson: string;
  readonly isUsed: boolean;
}

export const deviceKeys = defineTable({
  name: 'keys.device-keys',
  key: tuple<[userId: string, deviceId: string]>(str, str),
  value: str,
  why: 'A query asks for all devices of a user: one range of JSON texts, as they were uploaded.',
  hide: ([userId], row, { users }) => (users.has(userId) ? undefined : row),
});

export const oneTimeKeys = defineTable({
  name: 'keys.one-time-keys',
  key: tuple<[userId: string, deviceId: string, algorithm: string, at: number, index: number]>(str, str, str, u48, u32),
  value: msgpack<QueuedKeyRow>(),
  why: 'The next key to give away is the first row: the oldest upload, and in it the order in which the keys came.',
});

export const keyPlaces = defineTable({
  name: 'keys.key-places',
  key: tuple<[userId: string, deviceId: string, algorithm: string, keyId: string]>(str, str, str, str),
  value: msgpack<KeyPlaceRow>(),
  why: 'An upload that is sent again must add no key twice, above all none that was given away meanwhile.',
});

export const claimedKeys = defineTable({
  name: 'keys.claimed-keys',
  key: tuple<[userId: string, deviceId: string, algorithm: string, at: number, index: number]>(str, str, str, u48, u32),
  value: str,
  why: 'The ids of keys that were given away, oldest first, so that the oldest can be forgotten.',
});

export const keyCounts = defineTable({
  name: 'keys.key-counts',
  key: tuple<[userId: string, deviceId: string, algorithm: string]>(str, str, str),
  value: msgpack<KeyCountRow>(),
  why: 'Every sync says how many one-time keys are left; counting them would read them all.',
});

export const fallbackKeys = defineTable({
  name: 'keys.fallback-keys',
  key: tuple<[userId: string, deviceId: string, algorithm: string]>(str, str, str),
  value: msgpack<FallbackKeyRow>(),
  why: 'One key for each algorithm; every sync says which are unused.',
});

export const crossSigningKeys = defineTable({
  name: 'keys.cross-signing',
  key: tuple<[userId: string, usage: string]>(str, str),
  value: str,
  why: 'At most three rows a user, each the JSON text that was uploaded.',
  hide: ([userId], row, { users }) => (users.has(userId) ? undefined : row),
});

export const signatures = defineTable({
  name: 'keys.signatures',
  key: tuple<[targetUserId: string, targetKeyId: string, signer: string, signingKeyId: string]>(str, str, str, str),
  value: str,
  why: 'Who may see a signature depends on who made it: the owner’s and the asking user’s are a range each.',
  hide: ([target, , signer], text, { users }) => (users.has(target) || users.has(signer) ? undefined : text),
});

export const listChanges = defineTable({
  name: 'keys.list-changes',
  key: tuple<[at: number, userId: string]>(u48, str),
  value: empty,
  why: 'Whose device list changed after a position is one range, for all who ask; a list that changes again moves.',
});

export const lastListChanges = defineTable({
  name: 'keys.last-list-changes',
  key: tuple<[userId: string]>(str),
  value: u48,
  why: 'Finds the row of a list that changes again.',
});

export const ownChanges = defineTable({
  name: 'keys.own-changes',
  key: tuple<[viewer: string, at: number, userId: string]>(str, u48, str),
  value: empty,
  why: 'Whom a user has signed is news for that user only.',
});

export const lastOwnChanges = defineTable({
  name: 'keys.last-own-changes',
  key: tuple<[viewer: string, userId: string]>(str, str),
  value: u48,
  why: 'Finds the row of somebody who is signed again.',
});

/** What of a local user's keys other servers have to hear of. */
export interface PublishedChangeRow {
  /** Where the user's devices had changed before; null for the first change. */
  readonly previous: Position | null;
  readonly deviceIds: readonly string[];
  /** Whether the cross-signing keys, or signatures on them, are others. */
  readonly hasSigningKeys: boolean;
  /** The room that the user came into, where nothing changed but that: for the servers that did not know the user before. */
  readonly joined?: Position;
}

export const publishedChanges = defineTable({
  name: 'keys.published-changes',
  key: tuple<[at: number, userId: string]>(u48, str),
  value: msgpack<PublishedChangeRow>(),
  why: 'What a server has not heard of after a position is one range; each change names the one before it.',
});

export const lastPublished = defineTable({
  name: 'keys.last-published',
  key: tuple<[userId: string]>(str),
  value: u48,
  why: 'Where the devices of a local user changed last, as other servers are told it.',
});

export const joinedRooms = defineTable({
  name: 'keys.joined-rooms',
  key: tuple<[userId: string, room: number]>(str, u48),
  value: u48,
  why: 'Where a local user with devices came into a room of several servers: those in older rooms know the devices already.',
});

/** What is known here of the devices of a user of another server; the keys are with those of local users. */
export interface RemoteListRow {
  /** This server's name, under which it shares rooms with the user. */
  readonly keptBy: string;
  /** The numbers of the last changes that are in the list, the newest last. */
  readonly streamIds: readonly number[];
  /** Something changed that is not in the list. */
  readonly isOutdated: boolean;
}

export const remoteLists = defineTable({
  name: 'keys.remote-lists',
  key: tuple<[userId: string]>(str),
  value: msgpack<RemoteListRow>(),
  why: 'Whether a query can be answered from here, and whether a change follows what is known, is one look.',
});

export const outdatedLists = defineTable({
  name: 'keys.outdated-lists',
  key: tuple<[userId: string]>(str),
  value: empty,
  why: 'The lists that have to be asked for, also after a restart, without a look at all others.',
});

export const remoteDeviceNames = defineTable({
  name: 'keys.remote-device-names',
  key: tuple<[userId: string, deviceId: string]>(str, str),
  value: str,
  why: 'Few servers tell what their users call their devices.',
  hide: ([userId], row, { users }) => (users.has(userId) ? undefined : row),
});

export const keyTables: readonly AnyTable[] = [
  deviceKeys,
  oneTimeKeys,
  keyPlaces,
  claimedKeys,
  keyCounts,
  fallbackKeys,
  crossSigningKeys,
  signatures,
  listChanges,
  lastListChanges,
  ownChanges,
  lastOwnChanges,
  publishedChanges,
  lastPublished,
  joinedRooms,
  remoteLists,
  outdatedLists,
  remoteDeviceNames,
];
