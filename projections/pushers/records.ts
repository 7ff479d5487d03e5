/**
 * The records of a user stream that set and remove pushers.
 *
 * `pusher.set`: one section, msgpack `[userId, deviceId | null, pusher as JSON text]`.
 * `pusher.removed`: one section, msgpack `[userId, appId, pushkey]`.
 * `pusher.progress`: one section, msgpack `[userId, appId, pushkey, position, failingSinceMs | null]`.
 */
import { Packr } from 'msgpackr';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const PUSHER_SET = 'pusher.set';
export const PUSHER_REMOVED = 'pusher.removed';
export const PUSHER_PROGRESS = 'pusher.progress';

/** Where a user's notifications go, as clients see it. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers */
export interface Pusher {
  readonly app_id: string;
  /** With the app id it names the pusher among those of its user. */
  readonly pushkey: string;
  readonly kind: string;
  readonly app_display_name: string;
  readonly device_display_name: string;
  readonly lang: string;
  readonly data: JsonObject;
  readonly profile_tag?: string;
}

/** A pusher was made or changed. */
export interface PusherSet {
  readonly userId: string;
  /** The device that set it; when it goes, so does the pusher. */
  readonly deviceId: string | undefined;
  readonly pusher: Pusher;
}

/** A pusher is gone. */
export interface PusherRemoved {
  readonly userId: string;
  readonly appId: string;
  readonly pushkey: string;
}

/** How far a pusher has come. */
export interface PusherProgress {
  readonly userId: string;
  readonly appId: string;
  readonly pushkey: string;
  /** Position in the log up to which its notifications have been sent, or given up. */
  readonly position: Position;
  /** Since when its gateway has taken none, in milliseconds since the epoch; undefined while it works. */
  readonly failingSinceMs: number | undefined;
}

const packr = new Packr({ useRecords: false });

/** The record of a pusher. */
export function pusherRecord(id: Uint8Array, { userId, deviceId, pusher }: PusherSet): RecordDraft {
  return {
    id,
    kind: PUSHER_SET,
    version: recordKinds[PUSHER_SET].version,
    sections: [packr.pack([userId, deviceId ?? null, JSON.stringify(pusher)])],
  };
}

/** The record of a pusher's end. */
export function pusherRemovedRecord(id: Uint8Array, { userId, appId, pushkey }: PusherRemoved): RecordDraft {
  return {
    id,
    kind: PUSHER_REMOVED,
    version: recordKinds[PUSHER_REMOVED].version,
    sections: [packr.pack([userId, appId, pushkey])],
  };
}

/** The record of how far a pusher has come. */
export function pusherProgressRecord(
  id: Uint8Array,
  { userId, appId, pushkey, position, failingSinceMs }: PusherProgress,
): RecordDraft {
  return {
    id,
    kind: PUSHER_PROGRESS,
    version: recordKinds[PUSHER_PROGRESS].version,
    sections: [packr.pack([userId, appId, pushkey, position, failingSinceMs ?? null])],
  };
}

/** What a `pusher.progress` record says; undefined where its key was destroyed. */
export function readPusherProgress(record: LogRecord): PusherProgress | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const stored = packr.unpack(section) as [string, string, string, number, number | null];
  const [userId, appId, pushkey, position, failingSinceMs] = stored;
  return { userId, appId, pushkey, position, failingSinceMs: failingSinceMs ?? undefined };
}

/** What a `pusher.set` record says; undefined where its key was destroyed. */
export function readPusher(record: LogRecord): PusherSet | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, deviceId, json] = packr.unpack(section) as [string, string | null, string];
  return { userId, deviceId: deviceId ?? undefined, pusher: parseJson(json) as unknown as Pusher };
}

/** What a `pusher.removed` record says; undefined where its key was destroyed. */
export function readPusherRemoved(record: LogRecord): PusherRemoved | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, appId, pushkey] = packr.unpack(section) as [string, string, string];
  return { userId, appId, pushkey };
}
