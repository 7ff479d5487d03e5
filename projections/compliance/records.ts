/**
 * The records of compliance. Each has one sealed section, a msgpack map, unless it is said otherwise; a header says nothing.
 *
 * | stream | kinds |
 * |---|---|
 * | `server-erasures` | `destruction.decided`, `destruction.finished`, `decision.kept`, `erasure.requested`, `erasure.deferred`, `erasure.completed` |
 * | `server-holds` | `hold.added`, `hold.released` |
 * | `server-policies` | `policy.retention_set` |
 */
import { Packr } from 'msgpackr';
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';
import { type RecordKind, recordKinds } from '#streams/kinds.ts';

export const ERASURES_STREAM = 'server-erasures';
export const HOLDS_STREAM = 'server-holds';
export const POLICIES_STREAM = 'server-policies';

/** Why something is to go. */
export type Cause =
  | 'erasure'
  | 'retention'
  | 'redaction'
  | 'media_removal'
  | 'unused_media'
  | 'room_purge'
  | 'history_purge'
  | 'key_backup'
  | 'delivered'
  | 'former_password'
  /** Destroyed after the moment to which the log was restored: recorded so that each destroyed key has its decision. */
  | 'restore';

/** What a retention policy tells apart. */
export const ITEM_CLASSES = [
  'messages',
  'state',
  'media',
  'receipts',
  'to_device',
  'access_logs',
  'evidence',
  'account',
  'key_backup',
] as const;
export type ItemClass = (typeof ITEM_CLASSES)[number];

/** What a hold covers: all conditions that it has must be met. */
export interface HoldScope {
  readonly userId?: string;
  readonly roomId?: string;
  /** Milliseconds since the epoch, inclusive. */
  readonly fromMs?: number;
  /** Milliseconds since the epoch, exclusive. */
  readonly toMs?: number;
  readonly mediaId?: string;
}

/** How long things of one class are kept. */
export interface Lifetime {
  /** Milliseconds; 0 for no minimum. */
  readonly minMs: number;
  /** Milliseconds; null for no maximum. */
  readonly maxMs: number | null;
  /** The legal basis for which the minimum is kept even against a request for erasure; null where there is none. */
  readonly legalBasis: string | null;
}

/** The retention policy of a server. */
export interface RetentionPolicy {
  readonly classes: Readonly<Record<ItemClass, Lifetime>>;
  /** Within which a room's own policy may set the maximum for its messages; null for no bound. */
  readonly roomBounds: { readonly minMs: number; readonly maxMs: number | null };
  /** How long after a redaction what it took away is destroyed; null for never. */
  readonly redactedMs: number | null;
}

/** What an erasure has destroyed. */
export interface DestroyedSoFar {
  /** Items by class. */
  readonly items: Readonly<Partial<Record<ItemClass, number>>>;
  /** Files among them. */
  readonly media: number;
  /** Positions of the records that say what. */
  readonly records: readonly Position[];
  /** Events that other servers were asked to redact. */
  readonly peersAsked: number;
}

/** The fields of each kind. */
export interface ComplianceRecords {
  /** So many sections are to be destroyed, and so many files of media. Durable before the first of them is. */
  'destruction.decided': {
    readonly id: string;
    readonly cause: Cause;
    /** The request that it serves. */
    readonly requestId: string | null;
    /** A sentence: the rule, and the policy or window that it follows. */
    readonly why: string;
    /** See section-list.ts. */
    readonly items: Uint8Array;
    /** SHA-256 of contents, lower-case hex. */
    readonly media: readonly string[];
    /** SHA-256 of the names of media that the items name, one after another: some may be named by nothing any more. */
    readonly named?: Uint8Array;
    /** Room ids that are to be unknown once it is done. */
    readonly rooms: readonly string[];
  };
  /** All that was decided up to a position is gone: keys, rows, files. */
  'destruction.finished': { readonly upTo: Position; readonly sections: number; readonly media: number };
  /** Something was asked for to go, and is kept. */
  'decision.kept': {
    readonly cause: Cause;
    readonly requestId: string | null;
    /** The rule that keeps it; see the decision's README. */
    readonly rule: string;
    readonly why: string;
    readonly holdIds: readonly string[];
    readonly items: Uint8Array;
  };
  'erasure.requested': {
    readonly id: string;
    readonly userId: string;
    readonly by: string;
    readonly reason: string | null;
    readonly caseId: string | null;
    readonly asksPeers: boolean;
  };
  /** With what was destroyed so far, all attempts together. */
  'erasure.deferred': {
    readonly id: string;
    readonly holdIds: readonly string[];
    readonly kept: number;
    readonly soFar: DestroyedSoFar;
  };
  /** `certificate` is a signed note, `document` the JSON whose digest it names. */
  'erasure.completed': { readonly id: string; readonly document: string; readonly certificate: string };
  'hold.added': {
    readonly id: string;
    readonly scope: HoldScope;
    readonly caseId: string;
    readonly reason: string;
    readonly by: string;
  };
  'hold.released': { readonly id: string; readonly reason: string; readonly by: string };
  'policy.retention_set': { readonly policy: RetentionPolicy };
}

export type ComplianceKind = keyof ComplianceRecords & RecordKind;

/** A record with its fields. */
export type ComplianceRecord = {
  [Kind in ComplianceKind]: { readonly kind: Kind; readonly fields: ComplianceRecords[Kind] };
}[ComplianceKind];

const KINDS: Readonly<Record<ComplianceKind, true>> = {
  'destruction.decided': true,
  'destruction.finished': true,
  'decision.kept': true,
  'erasure.requested': true,
  'erasure.deferred': true,
  'erasure.completed': true,
  'hold.added': true,
  'hold.released': true,
  'policy.retention_set': true,
};

const packr = new Packr({ useRecords: false, copyBuffers: true });

/** A record to append. `id` is 16 random bytes. */
export function complianceRecord<Kind extends ComplianceKind>(
  id: Uint8Array,
  kind: Kind,
  fields: ComplianceRecords[Kind],
): RecordDraft {
  return { id, kind, version: recordKinds[kind].version, sections: [packr.pack(fields)] };
}

/**
 * What a record of compliance says; undefined for other kinds, and where its key was destroyed. Throws RangeError if it is of a
 * version that this release does not know.
 */
export function readComplianceRecord(record: LogRecord): ComplianceRecord | undefined {
  if (!Object.hasOwn(KINDS, record.kind)) return undefined;
  const kind = record.kind as ComplianceKind;
  if (record.version > recordKinds[kind].version) {
    throw new RangeError(`${kind} record version ${record.version} is unknown`);
  }
  const section = record.sections[0];
  return section ? ({ kind, fields: packr.unpack(section) } as ComplianceRecord) : undefined;
}
