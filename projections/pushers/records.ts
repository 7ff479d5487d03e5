/**
 * The records of a user stream that set and remove pushers.
 *
 * `pusher.set`: one section, msgpack `[userId, deviceId | null, pusher as JSON text]`.
 * `pusher.removed`: one section, msgpack `[userId, appId, pushkey]`.
 */
import { Packr } from 'msgpackr';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const PUSHER_SET = 'pusher.set';
export const PUSHER_REMOVED = 'pusher.removed';

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
