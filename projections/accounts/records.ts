/**
 * What the records of accounts say: those of a user's stream (`user-<random>`), and of the stream of registration tokens.
 * Everything is in sealed sections; the header of a record names only the stream and the kind.
 *
 * Section 0 is a msgpack map of the fields below. A password's hash has a section of its own (1), so that it can be erased
 * alone when another replaces it.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { type RecordKind, recordKinds } from '#streams/kinds.ts';

/** A server administrator who acts as a user: who, why, and under which case. */
export interface Lender {
  readonly userId: string;
  readonly reason?: string;
  readonly caseId?: string;
}

/** The stream that holds the registration tokens. */
export const REGISTRATION_TOKENS_STREAM = 'server-registration_tokens';
/** The section of a record that holds a password's hash. */
export const PASSWORD_SECTION = 1;

/** The fields of each kind. Hashes are the SHA-256 of a token; times are milliseconds since the epoch. */
export interface AccountRecords {
  /** First record of a user's stream: whose it is. */
  'user.registered': {
    readonly userId: string;
    readonly isAdmin: boolean;
    /** True for the account of a guest. */
    readonly isGuest?: boolean;
    /** The registration token that was used up for it. */
    readonly registrationToken: string | null;
    /** argon2id string; null when the account has no password, or its hash has been erased. */
    readonly passwordHash: string | null;
  };
  /** A guest registered: the account is one like any other from now on. */
  'user.guest_registered': {
    /** The registration token that was used up for it. */
    readonly registrationToken: string | null;
    readonly passwordHash: string | null;
  };
  'user.password_changed': { readonly passwordHash: string | null };
  'user.admin_changed': { readonly isAdmin: boolean };
  /** A suspended user can read and leave, but not send. */
  'user.suspension_changed': { readonly isSuspended: boolean };
  /** A locked user can only log out. */
  'user.lock_changed': { readonly isLocked: boolean };
  /** What a shadow-banned user sends goes nowhere, and they are not told. */
  'user.shadow_ban_changed': { readonly isShadowBanned: boolean };
  /** Until when the user may replace their cross-signing keys without confirming it, in milliseconds since the epoch. */
  'user.key_replacement_allowed': { readonly untilMs: number };
  /** How much the user may send; null for as much as everybody. `perSecond` 0 stands for no limit on anything. */
  'user.rate_limit_changed': { readonly allowance: { readonly perSecond: number; readonly burst: number } | null };
  /** `isErased`: the user asked for as much as possible to be erased. */
  'user.deactivated': { readonly isErased: boolean };
  'user.departed': Readonly<Record<never, never>>;
  'device.added': { readonly deviceId: string; readonly displayName: string | null };
  'device.renamed': { readonly deviceId: string; readonly displayName: string | null };
  /** With a device goes its session; its keys and to-device messages are to go too. */
  'device.removed': { readonly deviceIds: readonly string[] };
  /** A device was logged in: whatever tokens it had before are void. */
  'session.started': {
    readonly deviceId: string;
    readonly accessHash: Uint8Array;
    /** Null for a token that does not expire. */
    readonly accessExpiresAtMs: number | null;
    /** Null for a client that does not refresh. */
    readonly refreshHash: Uint8Array | null;
    /** Set where it is a server administrator who acts as the user. */
    readonly isLent?: true;
    /** Who that is, and why. */
    readonly lentTo?: Lender;
  };
  /** New tokens were given out for a refresh token. */
  'session.refreshed': {
    readonly deviceId: string;
    /** The refresh token that was presented. */
    readonly presentedHash: Uint8Array;
    readonly accessHash: Uint8Array;
    readonly accessExpiresAtMs: number | null;
    readonly refreshHash: Uint8Array;
  };
  /** One of the newest tokens was used, so the ones before are void. */
  'session.confirmed': { readonly deviceId: string; readonly accessHash: Uint8Array };
  'registration_token.created': {
    readonly token: string;
    /** How many accounts may be made with it; null for any number. */
    readonly usesAllowed: number | null;
    readonly expiresAtMs: number | null;
  };
  /** As `registration_token.created`; what was used of it stays used. */
  'registration_token.changed': {
    readonly token: string;
    readonly usesAllowed: number | null;
    readonly expiresAtMs: number | null;
  };
  'registration_token.removed': { readonly token: string };
}

export type AccountRecordKind = keyof AccountRecords & RecordKind;

/** A record of accounts with its fields. */
export type AccountRecord = {
  [Kind in AccountRecordKind]: { readonly kind: Kind; readonly fields: AccountRecords[Kind] };
}[AccountRecordKind];

const WITH_PASSWORD: ReadonlySet<string> = new Set<AccountRecordKind>([
  'user.registered',
  'user.guest_registered',
  'user.password_changed',
]);
const packr = new Packr({ useRecords: false, copyBuffers: true });
const EMPTY = new Uint8Array(0);

/** A record to append. `id` is 16 random bytes. */
export function accountRecord<Kind extends AccountRecordKind>(
  id: Uint8Array,
  kind: Kind,
  fields: AccountRecords[Kind],
): RecordDraft {
  return {
    id,
    kind,
    version: recordKinds[kind].version,
    sections: WITH_PASSWORD.has(kind) ? sectionsWithPassword(fields) : [packr.pack(fields)],
    decoded: fields,
  };
}

/**
 * What a record of accounts says; undefined for other kinds, and where the key of section 0 was destroyed. Throws
 * RangeError if it is of a version that this release does not know.
 */
export function readAccountRecord(record: LogRecord): AccountRecord | undefined {
  if (!isAccountKind(record.kind)) return undefined;
  const known = recordKinds[record.kind].version;
  if (record.version > known) throw new RangeError(`${record.kind} record version ${record.version} is unknown`);
  if (record.decoded !== undefined) return { kind: record.kind, fields: record.decoded } as AccountRecord;
  const [main, password] = record.sections;
  if (!main) return undefined;
  const fields = packr.unpack(main) as object;
  if (!WITH_PASSWORD.has(record.kind)) return { kind: record.kind, fields } as AccountRecord;
  const passwordHash = password && password.length > 0 ? Buffer.from(password).toString('latin1') : null;
  return { kind: record.kind, fields: { ...fields, passwordHash } } as unknown as AccountRecord;
}

function sectionsWithPassword(fields: object): Uint8Array[] {
  const { passwordHash, ...others } = fields as { readonly passwordHash: string | null };
  return [packr.pack(others), passwordHash === null ? EMPTY : Buffer.from(passwordHash, 'latin1')];
}

const ACCOUNT_KINDS: Readonly<Record<AccountRecordKind, true>> = {
  'user.registered': true,
  'user.guest_registered': true,
  'user.password_changed': true,
  'user.admin_changed': true,
  'user.suspension_changed': true,
  'user.lock_changed': true,
  'user.shadow_ban_changed': true,
  'user.key_replacement_allowed': true,
  'user.rate_limit_changed': true,
  'user.deactivated': true,
  'user.departed': true,
  'device.added': true,
  'device.renamed': true,
  'device.removed': true,
  'session.started': true,
  'session.refreshed': true,
  'session.confirmed': true,
  'registration_token.created': true,
  'registration_token.changed': true,
  'registration_token.removed': true,
};

function isAccountKind(kind: string): kind is AccountRecordKind {
  return Object.hasOwn(ACCOUNT_KINDS, kind);
}
