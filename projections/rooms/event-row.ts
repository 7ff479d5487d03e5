import { Packr } from 'msgpackr';
import type { ValueCodec } from '#projections/engine/values.ts';
import type { Position } from '#streams/event-log.ts';
import type { Transaction } from './pdu-record.ts';
import { MAIN_LINE, type StateRef } from './state/state-ref.ts';

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
  /** Version of the room's current state when this event came, before it; see {@link stateVersions} in tables.ts. */
  readonly stateVersion: number;
  /** Only of an event that did not simply follow all that was there. */
  readonly fork?: Fork;
  /** True for a state event that follows the create event alone: what a creator's first join is known by. */
  readonly followsCreate?: boolean;
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
  /** What the event claims, where `depth` and `originServerTs` here are not that to the last digit; for state resolution. */
  readonly claims?: { readonly depth: number; readonly originServerTs: string };
}

/** How an event stands in a room whose graph has, or had, several ends. */
export interface Fork {
  /** The room's state before the event, where it stands in the graph. */
  readonly before: StateRef;
  /** The same after it. */
  readonly after: StateRef;
  /** Version of the room's current state once the event was taken in. */
  readonly versionAfter: number;
  /** Position of the record that put it on the timeline, where that was not the event's own. */
  readonly place?: Position;
  /** The state before it is what a peer told of the past of the room: this server does not vouch for it. */
  readonly isTold?: boolean;
}

/** The room's state before an event, where it stands in the graph. */
export function stateBefore({ fork, stateVersion }: Pick<EventRow, 'fork' | 'stateVersion'>): StateRef {
  return fork?.before ?? { branch: MAIN_LINE, version: stateVersion };
}

/** The room's state after an event, where it stands in the graph. */
export function stateAfter(event: Pick<EventRow, 'fork' | 'stateVersion' | 'stateKey'>): StateRef {
  return event.fork?.after ?? { branch: MAIN_LINE, version: versionAfter(event) };
}

/** Version of the room's current state once an event had been taken in. */
export function versionAfter({
  fork,
  stateVersion,
  stateKey,
}: Pick<EventRow, 'fork' | 'stateVersion' | 'stateKey'>): number {
  return fork?.versionAfter ?? (stateKey === undefined ? stateVersion : stateVersion + 1);
}

/** Branch and version before, branch and version after, version of the current state, place, whether it is told. */
type StoredFork = [number, number, number, number, number, (number | null)?, boolean?];

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
  fork?: StoredFork | null,
  followsCreate?: boolean,
  claims?: [depth: number, originServerTs: string],
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
    if (event.fork || event.followsCreate || event.claims) stored.push(event.fork ? storedFork(event.fork) : null);
    if (event.followsCreate || event.claims) stored.push(event.followsCreate === true);
    if (event.claims) stored.push([event.claims.depth, event.claims.originServerTs]);
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
      fork,
      followsCreate,
      claims,
    ] = packr.unpack(bytes) as Stored;
    const isPlain = stateKey === null && redactedBy === null && relationType === null && fork === undefined;
    // Nearly every event; spreading what may be there takes as long as all the rest.
    if (isPlain && deviceId !== null && txnId !== null) {
      const transaction = { deviceId, txnId };
      return {
        room,
        eventId,
        type,
        sender,
        originServerTs,
        depth,
        contentJson,
        stateVersion,
        transaction,
        hasUrl,
      };
    }
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
      ...(fork && { fork: readFork(fork) }),
      ...(followsCreate && { followsCreate }),
      ...(claims && { claims: { depth: claims[0], originServerTs: claims[1] } }),
    };
  },
};

function storedFork({ before, after, versionAfter, place, isTold }: Fork): StoredFork {
  const stored: StoredFork = [before.branch, before.version, after.branch, after.version, versionAfter];
  if (place !== undefined || isTold) stored.push(place ?? null);
  if (isTold) stored.push(true);
  return stored;
}

function readFork(stored: StoredFork): Fork {
  const [beforeBranch, beforeVersion, afterBranch, afterVersion, versionAfter, place, isTold] = stored;
  return {
    before: { branch: beforeBranch, version: beforeVersion },
    after: { branch: afterBranch, version: afterVersion },
    versionAfter,
    ...(typeof place === 'number' && { place }),
    ...(isTold && { isTold }),
  };
}
