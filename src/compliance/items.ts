/**
 * From a record of the log to what of it may go: whose it is, of which class, and which sections. record-kinds.ts lists every kind of
 * record, those that nothing is selected of with the reason.
 */
import { AUDIT_STREAM, readAuditRecord } from '#projections/audit/records.ts';
import type { ItemClass } from '#projections/compliance/records.ts';
import { DIRECTORY_STREAM } from '#projections/directory/records.ts';
import { INBOX_ACKNOWLEDGED, INBOX_DELIVERED, readDelivered } from '#projections/encryption/inbox-records.ts';
import { OUTBOX_QUEUED } from '#projections/encryption/outbox-records.ts';
import { MEDIA_STORED, readMedia, readMediaRemoved, readReservation } from '#projections/media/records.ts';
import { RECEIPT_SENT, readReceipt } from '#projections/receipts/records.ts';
import { EVIDENCE_CAPTURED, readEvidenceHead } from '#projections/reports/evidence-records.ts';
import { REPORT_CHANGED, REPORT_MADE, readReport } from '#projections/reports/records.ts';
import { ROOM_FORGOTTEN_KIND } from '#projections/rooms/forgotten-record.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { mediaKey, mediaNamesIn } from '#src/media/media-names.ts';
import type { LogRecord } from '#streams/event-log.ts';
import type { Item } from './decision/decide.ts';

/** What an item is, with what only its execution needs. */
export interface ClassifiedItem extends Item {
  /** SHA-256 of the file that it is about. */
  readonly sha256?: string;
  /** Of an event: its id. */
  readonly eventId?: string;
  /** The media that it names, by their keys, each once. */
  readonly names?: readonly string[];
}

/** Whose a stream is. */
export type OwnerOf = (stream: string) => string | undefined;

/** State that says who may do what in a room, or how it is to be read. */
const NEEDED_STATE: ReadonlySet<string> = new Set([
  'm.room.create',
  'm.room.power_levels',
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.server_acl',
  'm.room.encryption',
  'm.room.third_party_invite',
  'm.room.tombstone',
  'm.room.retention',
]);
const CONTENT_SECTION = 1;
/** Of an entry of the audit log: what there was before and after. */
const DETAILS_SECTION = 1;
/** Actions whose entries say what is in an account. */
const CHANGES_OF_ACCOUNTS: ReadonlySet<string> = new Set([
  'user.register',
  'user.create',
  'user.modify',
  'user.read',
  'user.deactivate',
  'user.reactivate',
]);
const NEEDED_FOR_ROOM = 'The room needs it: it says who may do what in it, or how it is read.';
const NEEDED_FOR_NAME = 'So that nobody else gets the name of the account.';
const NEEDED_FOR_ALIAS =
  'The alias leads to its room for everybody, and is taken away by who made it or who may in the room.';
const ACCOUNTABILITY = 'It is a record of what the server and its staff did, kept to account for it.';

/** Kinds of account records of which something stays, and why. */
const NEEDED_OF_ACCOUNT: Readonly<Record<string, string>> = {
  'user.registered': NEEDED_FOR_NAME,
  'user.deactivated': NEEDED_FOR_NAME,
  'user.departed': NEEDED_FOR_NAME,
};

/** Streams whose records account for what was done, by the beginnings of their names. */
const ACCOUNTABLE = [
  'server-audit',
  'server-roles',
  'server-policies',
  'server-holds',
  'server-erasures',
  'server-backups',
  'server-quarantine',
  'server-witness',
];
/** Streams of the server that hold what is about people. */
const ABOUT_PEOPLE = ['server-outbox-', 'server-remote-devices-', 'server-remote-receipts-'];
const ACCESS_LOG = 'server-content_reads';

/** What of a record may go; empty for a record that holds nothing of anybody. */
export function itemsOf(record: LogRecord, ownerOf: OwnerOf, about?: string): ClassifiedItem[] {
  if (record.kind === PDU_KIND) return eventItems(record);
  const { stream } = record;
  if (stream.startsWith('media-')) return mediaItems(record);
  if (stream.startsWith('inbox-')) return inboxItems(record, ownerOf(`user-${stream.slice('inbox-'.length)}`));
  if (stream.startsWith('user-')) return userItems(record, ownerOf(stream));
  if (stream === ACCESS_LOG) return mentioning(record, 'access_logs', about);
  if (record.kind === REPORT_MADE) return reportItems(record);
  if (record.kind === REPORT_CHANGED) return neededItems(record, 'evidence', about, ACCOUNTABILITY);
  if (record.kind === EVIDENCE_CAPTURED) return capturedItems(record);
  if (stream === DIRECTORY_STREAM) {
    const why = record.kind === 'alias.added' ? NEEDED_FOR_ALIAS : ACCOUNTABILITY;
    return about === undefined ? [] : neededItems(record, 'account', about, why);
  }
  if (stream === AUDIT_STREAM) return auditItems(record, about);
  if (ACCOUNTABLE.some((prefix) => stream.startsWith(prefix))) {
    return neededItems(record, 'account', about, ACCOUNTABILITY);
  }
  if (ABOUT_PEOPLE.some((prefix) => stream.startsWith(prefix))) {
    return mentioning(record, record.kind === OUTBOX_QUEUED ? 'to_device' : 'account', about);
  }
  return [];
}

function base(record: LogRecord, itemClass: ItemClass, sections: readonly number[]): Omit<ClassifiedItem, 'userIds'> {
  const { position, recordedAtMs } = record;
  const isGone = sections.every((section) => record.sections[section] === null);
  const names = mediaNamedBy(record, sections);
  return { position, sections, class: itemClass, recordedAtMs, ...(isGone && { isGone }), ...(names && { names }) };
}

/** The media that sections of a record name, by their keys; undefined for none. */
export function mediaNamedBy(record: LogRecord, sections: readonly number[]): readonly string[] | undefined {
  let keys: Set<string> | undefined;
  for (const section of sections) {
    for (const name of mediaNamesIn(record.sections[section] ?? '')) {
      keys ??= new Set();
      keys.add(mediaKey(name));
    }
  }
  return keys && [...keys];
}

function allSections({ sections }: LogRecord): number[] {
  return sections.map((_, section) => section);
}

function eventItems(record: LogRecord): ClassifiedItem[] {
  const read = readPduRecord(record);
  const content = record.sections[CONTENT_SECTION];
  // Nothing was stripped: there is nothing that could go.
  if (read === undefined || (content !== null && (content === undefined || content.length === 0))) return [];
  const { pdu, meta } = read;
  const { sender, state_key: stateKey, type } = pdu;
  const isMember = type === 'm.room.member' && stateKey !== undefined;
  const itemClass = stateKey === undefined ? 'messages' : 'state';
  return [
    {
      ...base(record, itemClass, [CONTENT_SECTION]),
      userIds: isMember && stateKey !== sender ? [sender, stateKey] : [sender],
      roomId: meta.roomId,
      eventId: meta.eventId,
      ...(stateKey !== undefined && NEEDED_STATE.has(type) && { neededFor: NEEDED_FOR_ROOM }),
    },
  ];
}

function mediaItems(record: LogRecord): ClassifiedItem[] {
  if (record.kind === MEDIA_STORED) {
    const media = readMedia(record);
    if (media === undefined) return [];
    const { mediaId, uploader, sha256 } = media;
    return [{ ...base(record, 'media', [0]), userIds: [uploader], mediaId, sha256 }];
  }
  const reserved = record.kind === 'media.reserved' ? readReservation(record) : undefined;
  const mediaId = reserved?.mediaId ?? (record.kind === 'media.removed' ? readMediaRemoved(record) : undefined);
  if (mediaId === undefined) return [];
  return [{ ...base(record, 'media', [0]), userIds: reserved ? [reserved.uploader] : [], mediaId }];
}

function inboxItems(record: LogRecord, owner: string | undefined): ClassifiedItem[] {
  if (record.kind !== INBOX_DELIVERED && record.kind !== INBOX_ACKNOWLEDGED) return [];
  const sender = record.kind === INBOX_DELIVERED ? readDelivered(record)?.sender : undefined;
  const userIds = [owner, sender].filter((one) => one !== undefined);
  return [{ ...base(record, 'to_device', allSections(record)), userIds: [...new Set(userIds)] }];
}

function userItems(record: LogRecord, owner: string | undefined): ClassifiedItem[] {
  const userIds = owner === undefined ? [] : [owner];
  const needed = NEEDED_OF_ACCOUNT[record.kind];
  if (needed !== undefined) {
    const rest = allSections(record).slice(1);
    const kept: ClassifiedItem = { ...base(record, 'account', [0]), userIds, neededFor: needed };
    return rest.length === 0 ? [kept] : [kept, { ...base(record, 'account', rest), userIds }];
  }
  const all = allSections(record);
  if (record.kind === RECEIPT_SENT) {
    const roomId = readReceipt(record)?.roomId;
    return [{ ...base(record, 'receipts', all), userIds, ...(roomId !== undefined && { roomId }) }];
  }
  if (record.kind === ROOM_FORGOTTEN_KIND) return [{ ...base(record, 'account', all), userIds }];
  if (!record.kind.startsWith('key_backup.')) return [{ ...base(record, 'account', all), userIds }];
  // The keys apart from that there was a backup of this number, which is not given again.
  const number: ClassifiedItem = { ...base(record, 'account', [0]), userIds };
  return all.length === 1 ? [number] : [number, { ...base(record, 'key_backup', all.slice(1)), userIds }];
}

function reportItems(record: LogRecord): ClassifiedItem[] {
  const report = readReport(record);
  if (report === undefined) return [];
  const { reporter, target } = report;
  const roomId = target.kind === 'user' ? undefined : target.roomId;
  const room = roomId === undefined ? {} : { roomId };
  const subject = target.kind === 'event' ? target.sender : target.kind === 'user' ? target.userId : undefined;
  const both = subject === undefined ? [reporter] : [reporter, subject];
  // In the reporter's words it is the reporter's; that there was a report is evidence about both.
  return [
    { ...base(record, 'evidence', [0]), userIds: both, neededFor: ACCOUNTABILITY, ...room },
    { ...base(record, 'evidence', [1]), userIds: [reporter], ...room },
  ];
}

/** What was captured is of those whose words it has; that something was captured accounts for it. */
function capturedItems(record: LogRecord): ClassifiedItem[] {
  const head = readEvidenceHead(record);
  if (head === undefined) return [];
  const { userId, others = [], roomId, eventId } = head;
  const userIds = userId === undefined ? [...others] : [userId, ...others];
  const place = { ...(roomId !== undefined && { roomId }), ...(eventId !== undefined && { eventId }) };
  return [
    { ...base(record, 'evidence', [0]), userIds, neededFor: ACCOUNTABILITY, ...place },
    { ...base(record, 'evidence', [1]), userIds, ...place },
  ];
}

/**
 * Who did what stays. What somebody's account was before and after a change is theirs, names that they had among it: it goes with
 * them, and leaves that it was changed, by whom, when and why.
 */
function auditItems(record: LogRecord, about: string | undefined): ClassifiedItem[] {
  return mentioning(record, 'access_logs', about).flatMap((item): ClassifiedItem[] => {
    const whole = { ...item, neededFor: ACCOUNTABILITY };
    const facts = about === undefined ? undefined : readAuditRecord(record)?.facts;
    const isOfAccount =
      facts?.target?.kind === 'user' && facts.target.id === about && CHANGES_OF_ACCOUNTS.has(facts.action);
    if (!isOfAccount || record.sections.length <= DETAILS_SECTION) return [whole];
    const { userIds } = item;
    return [
      { ...whole, sections: [0] },
      { ...base(record, 'access_logs', [DETAILS_SECTION]), userIds },
    ];
  });
}

/** The same of a record that stays. */
function neededItems(
  record: LogRecord,
  itemClass: ItemClass,
  about: string | undefined,
  neededFor: string,
): ClassifiedItem[] {
  return mentioning(record, itemClass, about).map((item) => ({ ...item, neededFor }));
}

/** The record as one item, if it names a user. Without a user it is an item of nobody. */
function mentioning(record: LogRecord, itemClass: ItemClass, about: string | undefined): ClassifiedItem[] {
  const item = base(record, itemClass, allSections(record));
  if (item.isGone === true || record.sections.length === 0) return [];
  if (about === undefined) return [{ ...item, userIds: [] }];
  const isNamed = record.sections.some((section) => section !== null && Buffer.from(section).includes(about));
  return isNamed ? [{ ...item, userIds: [about] }] : [];
}
