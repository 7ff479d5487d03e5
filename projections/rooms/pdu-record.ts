/**
 * The `pdu` record of a room stream: one event as it was first seen, with what this server thought of it.
 *
 * Section 0, the *skeleton*: msgpack `[meta, json]`, where `json` is the canonical JSON of the redacted event, hashes and
 * signatures included. Section 1, the *content*: UTF-8 JSON of what redaction strips, empty when it strips nothing.
 * Destroying the key of section 1 leaves an event that still links, hashes and verifies as its redacted form.
 */

import { Packr } from 'msgpackr';
import { parseJson, parseJsonExactly } from '#protocol/json-limits.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { joinPdu } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';

export const PDU_KIND = 'pdu';
export const PDU_RECORD_VERSION = 1;

/**
 * What the server thought of an event when it was recorded.
 * - `accepted`: it is on the timeline.
 * - `soft_failed`: right where it stands in the graph, but not by the room's present state: never shown, never followed.
 * - `rejected`: against the rules where it stands; kept because others may name it.
 * - `outlier`: known without its place in the graph, to authorise others or as part of a state.
 * - `backfilled`: history that was fetched later; shown at its depth, new to nobody.
 * - `out_of_band`: a membership of a local user in a room in which the server is not: an invite, or its end.
 *
 * Source: server-server API, "Checks performed on receipt of a PDU".
 */
export type Disposition = 'accepted' | 'soft_failed' | 'rejected' | 'outlier' | 'backfilled' | 'out_of_band';

/** Who sent an event under which transaction id, so that a resend after a crash finds it. */
export interface Transaction {
  readonly deviceId: string;
  readonly txnId: string;
}

/** What the record says about an event beside the event itself. */
export interface PduMeta {
  readonly eventId: string;
  /** The room's id: for the rooms whose events do not carry it, and to find the room without parsing. */
  readonly roomId: string;
  readonly roomVersion: string;
  readonly disposition: Disposition;
  /** Why it was not accepted: the rule and a sentence. */
  readonly reason?: string;
  readonly transaction?: Transaction;
  /** The event whose content this one redacts, when the writer found the redaction allowed. */
  readonly redacts?: string;
  /** The state before it is what a peer said, in the records `room.state_given` for it, and not what its prev events make. */
  readonly hasGivenState?: boolean;
  /** It takes the place of all forward extremities: the server comes into the room anew, through another that is in it. */
  readonly startsAnew?: boolean;
  /** It came to this server first, which has to send it on to the others in the room: a join, leave or knock through it. */
  readonly isRelayed?: boolean;
}

export interface PduRecord {
  readonly meta: PduMeta;
  /** The event; without what redaction strips where that section's key was destroyed. */
  readonly pdu: Pdu;
  readonly isErased: boolean;
}

type MetaTuple = [
  eventId: string,
  roomId: string | null,
  roomVersion: string,
  disposition: number,
  reason: string | null,
  deviceId: string | null,
  txnId: string | null,
  redacts: string | null,
  flags?: number,
];

/** By their place in it they are stored: new ones go to the end. */
const DISPOSITIONS: readonly Disposition[] = [
  'accepted',
  'soft_failed',
  'rejected',
  'outlier',
  'backfilled',
  'out_of_band',
];
const HAS_GIVEN_STATE = 1;
const STARTS_ANEW = 2;
const IS_RELAYED = 4;
const EMPTY = new Uint8Array(0);
const decoder = new TextDecoder();
const packr = new Packr({ useRecords: false });

/**
 * The record of an event. `skeletonJson` is its redacted canonical JSON with signatures, `stripped` what redaction takes away
 * (see splitPdu); together they must make up `pdu`.
 */
export function pduRecord(
  id: Uint8Array,
  meta: PduMeta,
  pdu: Pdu,
  skeletonJson: string,
  stripped: JsonObject,
): RecordDraft {
  const tuple: MetaTuple = [
    meta.eventId,
    pdu.room_id === meta.roomId ? null : meta.roomId,
    meta.roomVersion,
    DISPOSITIONS.indexOf(meta.disposition),
    meta.reason ?? null,
    meta.transaction?.deviceId ?? null,
    meta.transaction?.txnId ?? null,
    meta.redacts ?? null,
  ];
  const flags =
    (meta.hasGivenState ? HAS_GIVEN_STATE : 0) |
    (meta.startsAnew ? STARTS_ANEW : 0) |
    (meta.isRelayed ? IS_RELAYED : 0);
  if (flags !== 0) tuple.push(flags);
  // Numbers that are spelled write themselves as they were.
  const strippedJson = JSON.stringify(stripped);
  return {
    id,
    kind: PDU_KIND,
    version: PDU_RECORD_VERSION,
    // msgpackr reuses its buffer only when asked to; this one is ours.
    sections: [packr.pack([tuple, skeletonJson]), strippedJson === '{}' ? EMPTY : Buffer.from(strippedJson, 'utf8')],
    decoded: { meta, pdu, isErased: false } satisfies PduRecord,
  };
}

/** The record that was read last, and what it says: one projection after the other asks for the same. */
let lastRead: { readonly record: LogRecord; readonly says: PduRecord | undefined } | undefined;

/** What a `pdu` record says; undefined where the key of its skeleton was destroyed. Throws if it is of an unknown version. */
export function readPduRecord(record: LogRecord): PduRecord | undefined {
  if (record.decoded !== undefined) return record.decoded as PduRecord;
  if (lastRead?.record !== record) lastRead = { record, says: parsePduRecord(record) };
  return lastRead.says;
}

/** Whether events of a room version hash as their numbers are written, which is how they are then kept. */
export function hasLooseNumbers(roomVersion: string): boolean {
  return roomVersionRules(roomVersion)?.eventFormat.strictCanonicalJson === false;
}

function parsePduRecord(record: LogRecord): PduRecord | undefined {
  if (record.version !== PDU_RECORD_VERSION) throw new RangeError(`pdu record version ${record.version} is unknown`);
  const [skeleton, content] = record.sections;
  if (!skeleton) return undefined;
  const [tuple, skeletonJson] = packr.unpack(skeleton) as [MetaTuple, string];
  const [eventId, roomId, roomVersion, disposition, reason, deviceId, txnId, redacts, flags = 0] = tuple;
  const parse = hasLooseNumbers(roomVersion) ? parseJsonExactly : parseJson;
  const kept = parse(skeletonJson) as JsonObject;
  const stripped = content && content.length > 0 ? (parse(decoder.decode(content)) as JsonObject) : undefined;
  const pdu = stripped ? joinPdu(kept, stripped) : (kept as unknown as Pdu);
  return {
    meta: {
      eventId,
      roomId: roomId ?? pdu.room_id ?? '',
      roomVersion,
      disposition: DISPOSITIONS[disposition] ?? 'rejected',
      ...(reason !== null && { reason }),
      ...(deviceId !== null && txnId !== null && { transaction: { deviceId, txnId } }),
      ...(redacts !== null && { redacts }),
      ...((flags & HAS_GIVEN_STATE) !== 0 && { hasGivenState: true }),
      ...((flags & STARTS_ANEW) !== 0 && { startsAnew: true }),
      ...((flags & IS_RELAYED) !== 0 && { isRelayed: true }),
    },
    pdu,
    isErased: content === null,
  };
}
