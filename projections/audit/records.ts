/**
 * The `audit.recorded` record of the stream `server-audit`: somebody did, or tried to do, what has to be answered for. All of it
 * is in sealed sections; the header says only that there is an entry.
 *
 * Section 0 is a msgpack map of {@link AuditFacts}: who, what, on whom, why, from where. Section 1 is JSON, an object with
 * `before` and `after`, and empty where there is neither: it may quote what people wrote, so its key can be destroyed alone.
 *
 * What moderators were shown before there was an audit log is in `content.read` records of `server-content_reads`; they are
 * entries too.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const AUDIT_STREAM = 'server-audit';
export const AUDIT_RECORDED = 'audit.recorded';
const CONTENT_READ = 'content.read';

/** Who acted. */
export type Actor =
  | {
      readonly kind: 'user';
      readonly userId: string;
      readonly deviceId?: string;
      /** Names the access token or the scoped token without being it. */
      readonly tokenId?: string;
      /** The role that let them; missing where everybody may. */
      readonly role?: string;
      /** The user as whom they acted, with a token that they were given for that. */
      readonly actingAs?: string;
      /** The grant, scoped token or break-glass request that gave the role; missing for server administrators. */
      readonly grantId?: string;
    }
  /** Whoever may open the data folder: the user of the operating system, as the command line says. */
  | { readonly kind: 'operator'; readonly name: string }
  /** The server by itself; `task` is the schedule or the start that it follows. */
  | { readonly kind: 'server'; readonly task: string }
  /** Somebody who has not shown who they are. */
  | { readonly kind: 'stranger' };

/** What was acted on. */
export interface AuditTarget {
  readonly kind:
    | 'user'
    | 'device'
    | 'room'
    | 'event'
    | 'media'
    | 'report'
    | 'evidence'
    | 'grant'
    | 'token'
    | 'server'
    | 'key'
    | 'configuration'
    | 'audit'
    | 'case'
    | 'hold'
    | 'policy'
    | 'erasure'
    | 'export'
    | 'backup';
  readonly id: string;
}

/**
 * `allowed`: it was let happen, and this was on record before it did. `failed`: what an entry before says was allowed did not
 * come about. `refused`: it was not let happen.
 */
export type AuditOutcome = 'allowed' | 'failed' | 'refused';

/** The facts of an entry. */
export interface AuditFacts {
  readonly actor: Actor;
  /** A name of the catalogue of actions: `user.suspend`. */
  readonly action: string;
  readonly outcome: AuditOutcome;
  readonly target?: AuditTarget;
  /** The room that the target is in, or is. */
  readonly roomId?: string;
  readonly reason?: string;
  readonly caseId?: string;
  readonly ip?: string;
  /** For `failed`: the id of the entry that says that it was allowed. */
  readonly of?: string;
  /** Why it failed or was refused: an error code and a sentence. */
  readonly why?: string;
  /** How often, where repetitions are counted in one entry. */
  readonly count?: number;
}

/** What there was before, and what is to be after. Any JSON. */
export interface AuditDetails {
  readonly before?: unknown;
  readonly after?: unknown;
}

const packr = new Packr({ useRecords: false });
const EMPTY = new Uint8Array(0);
const decoder = new TextDecoder();

/**
 * The record of an entry. `id` is 16 random bytes; as base64url it is the id of the entry.
 * @param detailsJson an {@link AuditDetails} as JSON; empty for none.
 */
export function auditRecord(id: Uint8Array, facts: AuditFacts, detailsJson: string): RecordDraft {
  return {
    id,
    kind: AUDIT_RECORDED,
    version: recordKinds[AUDIT_RECORDED].version,
    sections: [packr.pack(facts), detailsJson === '' ? EMPTY : Buffer.from(detailsJson, 'utf8')],
  };
}

/** The entry's id, in words of a URL. */
export function auditIdOf(recordId: Uint8Array): string {
  return Buffer.from(recordId).toString('base64url');
}

/** What a record says as an entry of the audit log. */
export interface AuditRecord {
  readonly facts: AuditFacts;
  /** {@link AuditDetails} as JSON, empty for none; null where they were destroyed. */
  readonly detailsJson: string | null;
}

/** Undefined for records that are no entries, and where the key of section 0 was destroyed. */
export function readAuditRecord(record: LogRecord): AuditRecord | undefined {
  // Every record of the log comes by.
  if (record.kind !== AUDIT_RECORDED && record.kind !== CONTENT_READ) return undefined;
  const [main, details] = record.sections;
  if (!main) return undefined;
  if (record.kind === CONTENT_READ) {
    const [userId, roomId, eventId] = packr.unpack(main) as [string, string, string];
    const target = { kind: 'event', id: eventId } as const;
    return {
      facts: { actor: { kind: 'user', userId }, action: 'content.read', outcome: 'allowed', target, roomId },
      detailsJson: '',
    };
  }
  return { facts: packr.unpack(main) as AuditFacts, detailsJson: details === null ? null : decoder.decode(details) };
}
