import { Packr } from 'msgpackr';
import type { ValueCodec } from '#projections/engine/values.ts';
import type { Position } from '#streams/event-log.ts';
import type { Transaction } from './pdu-record.ts';

/** An event as it is served: its fields, and its content as JSON text that needs no parsing to be sent. */
export interface EventRow {
  /** Internal id of the room: the position of its create event. */
  readonly room: Position;
  readonly eventId: string;
  readonly type: string;
  readonly sender: string;
  /** Present for state events. */
  readonly stateKey?: string;
  /** Milliseconds since the epoch, by the sender's server. */
  readonly originServerTs: number;
  readonly depth: number;
  /** JSON text of `content`; of a redacted event, of what redaction kept. */
  readonly contentJson: string;
  /** Version of the room's state before this event; see {@link stateVersions} in tables.ts. */
  readonly stateVersion: number;
  /** For a state event: the event that had its place before. */
  readonly replaces?: Position;
  /** The redaction that took its content. */
  readonly redactedBy?: Position;
  /** Who sent it under which transaction id; shown to that device only. */
  readonly transaction?: Transaction;
  /** Relation of the event, for filters and threads: `rel_type` and the event it relates to. */
  readonly relation?: { readonly type: string; readonly eventId: string };
  /** Whether the content has a `url` at its top, for filters. */
  readonly hasUrl: boolean;
}

type Stored = [
  room: number,
  eventId: string,
  type: string,
  sender: string,
  stateKey: string | null,
  originServerTs: number,
  depth: number,
  contentJson: string,
  stateVersion: number,
  replaces: number | null,
  redactedBy: number | null,
  deviceId: string | null,
  txnId: string | null,
  relationType: string | null,
  relatesTo: string | null,
  hasUrl: boolean,
];

const packr = new Packr({ useRecords: false, moreTypes: false });

/** How event rows are stored: a MessagePack list. */
export const eventRow: ValueCodec<EventRow> = {
  encode(event) {
    const stored: Stored = [
      event.room,
      event.eventId,
      event.type,
      event.sender,
      event.stateKey ?? null,
      event.originServerTs,
      event.depth,
      event.contentJson,
      event.stateVersion,
      event.replaces ?? null,
      event.redactedBy ?? null,
      event.transaction?.deviceId ?? null,
      event.transaction?.txnId ?? null,
      event.relation?.type ?? null,
      event.relation?.eventId ?? null,
      event.hasUrl,
    ];
    return packr.pack(stored);
  },
  decode(bytes) {
    const [
      room,
      eventId,
      type,
      sender,
      stateKey,
      originServerTs,
      depth,
      contentJson,
      stateVersion,
      replaces,
      redactedBy,
      deviceId,
      txnId,
      relationType,
      relatesTo,
      hasUrl,
    ] = packr.unpack(bytes) as Stored;
    return {
      room,
      eventId,
      type,
      sender,
      ...(stateKey !== null && { stateKey }),
      originServerTs,
      depth,
      contentJson,
      stateVersion,
      ...(replaces !== null && { replaces }),
      ...(redactedBy !== null && { redactedBy }),
      ...(deviceId !== null && txnId !== null && { transaction: { deviceId, txnId } }),
      ...(relationType !== null && relatesTo !== null && { relation: { type: relationType, eventId: relatesTo } }),
      hasUrl,
    };
  },
};
