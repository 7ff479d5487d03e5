/**
 * The records of the stream `server-roles`: who was given which role, scoped tokens, and what two people open for a while. One
 * section each, a msgpack map of the fields below. Users and reasons are personal, ids are random.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { type RecordKind, recordKinds } from '#streams/kinds.ts';

export const ROLES_STREAM = 'server-roles';

/** What limits a role, and why it was given. Times are milliseconds since the epoch, null for no end. */
export interface RoleLimits {
  /** Null for no limit to rooms. */
  readonly rooms: readonly string[] | null;
  /** Null for no limit to a case. */
  readonly caseId: string | null;
  readonly reason: string;
  readonly expiresAtMs: number | null;
}

/** The fields of each kind. `by` is an actor as the audit log names it. */
export interface RoleRecords {
  'role.granted': RoleLimits & {
    readonly grantId: string;
    readonly userId: string;
    readonly role: string;
    readonly by: string;
  };
  'role.revoked': { readonly grantId: string; readonly by: string };
  'scoped_token.created': RoleLimits & {
    readonly tokenId: string;
    /** SHA-256 of the token. */
    readonly hash: Uint8Array;
    readonly userId: string;
    readonly role: string;
    /** The grant that it draws on; null for a server administrator. */
    readonly grantId: string | null;
    readonly expiresAtMs: number;
  };
  'scoped_token.revoked': { readonly tokenId: string; readonly by: string };
  'break_glass.requested': {
    readonly grantId: string;
    readonly userId: string;
    readonly reason: string;
    readonly caseId: string;
    readonly durationMs: number;
  };
  'break_glass.approved': { readonly grantId: string; readonly by: string; readonly expiresAtMs: number };
}

export type RoleRecordKind = keyof RoleRecords & RecordKind;

/** A record of roles with its fields. */
export type RoleRecord = {
  [Kind in RoleRecordKind]: { readonly kind: Kind; readonly fields: RoleRecords[Kind] };
}[RoleRecordKind];

const KINDS: Readonly<Record<RoleRecordKind, true>> = {
  'role.granted': true,
  'role.revoked': true,
  'scoped_token.created': true,
  'scoped_token.revoked': true,
  'break_glass.requested': true,
  'break_glass.approved': true,
};
const packr = new Packr({ useRecords: false, copyBuffers: true });

/** A record to append. `id` is 16 random bytes. */
export function roleRecord<Kind extends RoleRecordKind>(
  id: Uint8Array,
  kind: Kind,
  fields: RoleRecords[Kind],
): RecordDraft {
  return { id, kind, version: recordKinds[kind].version, sections: [packr.pack(fields)] };
}

/** What a record of roles says; undefined for other kinds, and where its key was destroyed. */
export function readRoleRecord(record: LogRecord): RoleRecord | undefined {
  if (!Object.hasOwn(KINDS, record.kind)) return undefined;
  const [section] = record.sections;
  if (!section) return undefined;
  return { kind: record.kind, fields: packr.unpack(section) } as RoleRecord;
}
