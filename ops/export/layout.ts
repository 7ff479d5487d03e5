/** What is where in the folder of an export, and what the lines of its files are. */
import { basename } from 'node:path';
import { z } from 'zod';
import { hasLooseNumbers } from '#projections/rooms/pdu-record.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import { SpelledNumber } from '#protocol/loose-numbers.ts';

/** The names in the folder. All but `unfinished` are part of a finished export. */
export const EXPORT_FILES = {
  /** What was asked for, what there is, the digest of every other file. */
  manifest: 'manifest.json',
  /** The manifest's digest, signed with the log's key: a C2SP signed note. */
  signature: 'manifest.sig',
  /** The signed head of the log that the proofs lead to. */
  checkpoint: 'checkpoint',
  /** Chunks of {@link EventLine}, one event a line. */
  events: 'events',
  /** Chunks of {@link RecordLine}, one record of the log a line. */
  records: 'records',
  /** Every change of membership in the rooms up to the checkpoint, whoever was asked for: chunks of {@link MemberLine}. */
  members: 'members',
  /** Lines of {@link MediaLine}. */
  mediaList: 'media.jsonl',
  /** The contents of media under their SHA-256. */
  media: 'media',
  /** Chunks of {@link WithheldLine}: what was asked for and is not there in full. */
  withheld: 'withheld',
  csv: 'events.csv',
  parquet: 'events.parquet',
  html: 'html',
  rsmf: 'rsmf',
  /** Hash tiles of the log's tree, at their C2SP paths. */
  tiles: 'tile',
  unfinished: 'unfinished.json',
} as const;

const bytes = z.string();

/** A number of an event, in old rooms spelled as it was hashed. */
const eventNumber = z.custom<number>((value) => typeof value === 'number' || value instanceof SpelledNumber);

/** One exported event. */
export const eventLine = z.strictObject({
  /** Place in the log. */
  position: z.int().min(0),
  /** When this server recorded it, by its clock. */
  recorded_at: z.string(),
  room_id: z.string(),
  event_id: z.string(),
  room_version: z.string(),
  /** What this server thought of it when it came: `accepted`, `soft_failed`, `rejected`, …. */
  disposition: z.string(),
  /** Why, where it was not accepted. */
  reason: z.string().optional(),
  because: z.enum(['asked_for', 'edits', 'redacts']),
  /** The sender's display name in the room when it was sent; null where there was none or it is not known. */
  sender_name: z.string().nullable(),
  /** Whether what redaction strips of it was destroyed before the export. */
  is_destroyed: z.boolean(),
  /** The event as it was signed. */
  pdu: z.looseObject({
    type: z.string(),
    sender: z.string(),
    room_id: z.string().optional(),
    state_key: z.string().optional(),
    origin_server_ts: eventNumber,
    depth: eventNumber,
    content: z.record(z.string(), z.unknown()),
  }),
});
export type EventLine = z.infer<typeof eventLine>;

/** The line of an event as it was hashed: in old rooms with numbers as they were written, which plain parsing changes. */
export function parseEventLine(text: string): unknown {
  const line = JSON.parse(text) as { readonly room_version?: unknown };
  return hasLooseNumbers(String(line.room_version)) ? parseJsonExactly(text) : line;
}

/** A record of the log: of every record of the rooms in question, so that none can be missing unnoticed. */
export const recordLine = z.strictObject({
  position: z.int().min(0),
  /** The public header, base64. */
  header: bytes,
  /** By section: SHA-256 of the sealed bytes; for what is exported, these bytes and the key that opens them. */
  sections: z.array(z.strictObject({ digest: bytes, sealed: bytes.optional(), key: bytes.optional() })),
  /** Why it is not exported; absent for what is. */
  left_out: z.enum(['not_an_event', 'other_person', 'other_time', 'unreadable']).optional(),
});
export type RecordLine = z.infer<typeof recordLine>;

/** A change of somebody's membership. */
export interface MemberLine {
  readonly room_id: string;
  readonly user_id: string;
  readonly membership: string;
  readonly display_name: string | null;
  readonly by: string;
  readonly event_id: string;
  /** By the sender's server. */
  readonly sent_at: string;
  readonly position: number;
}

/** A media that exported events name. */
export interface MediaLine {
  readonly mxc: string;
  /** Undefined where its content is not there. */
  readonly sha256?: string;
  readonly size?: number;
  /** File in the export, from its top. */
  readonly path?: string;
  readonly content_type?: string;
  readonly file_name?: string;
  /** Why the content is not there. */
  readonly missing?: 'not_on_this_server' | 'removed';
  /** The events that name it. */
  readonly event_ids: readonly string[];
}

/** What was asked for and is not there in full. */
export const withheldLine = z.strictObject({
  position: z.int().min(0),
  room_id: z.string(),
  /** Null where not even that is left. */
  event_id: z.string().nullable(),
  what: z.enum(['content', 'all']),
  /** What let it go: `erasure`, `retention`, `redaction`, …; `unknown` where the log does not say. */
  cause: z.string(),
  /** The rule and the policy that were followed: a sentence. */
  why: z.string(),
  /** Position of the record that decided it: `stele proof` proves it. */
  decided_in_record: z.int().min(0).optional(),
  /** Of an erasure: the request, which its certificate names. */
  erasure_id: z.string().optional(),
  /** Of an erasure that is completed: position of the record with the certificate. */
  certificate_in_record: z.int().min(0).optional(),
});
export type WithheldLine = z.infer<typeof withheldLine>;

/** Name of the chunk with a number, from 1. */
export function chunkName(number: number): string {
  return `${String(number).padStart(6, '0')}.jsonl`;
}

/** The number in the name of a chunk, or in its path. */
export function chunkNumber(path: string): number {
  return Number.parseInt(basename(path), 10);
}

/** A room in a manifest. */
export const roomSummary = z.strictObject({
  room_id: z.string(),
  name: z.string().nullable(),
  version: z.string(),
  stream: z.string(),
  is_encrypted: z.boolean(),
  /** Records of the room in the log up to the checkpoint: revisions 0 to this number less one. */
  records: z.int().min(0),
  exported: z.int().min(0),
  left_out: z.record(z.string(), z.int().min(0)),
  /** Of the exported: end-to-end encrypted, so nobody but the members' devices can read them. */
  encrypted_events: z.int().min(0),
  destroyed: z.int().min(0),
  /** What is not there in full, by what let it go. */
  withheld: z.record(z.string(), z.int().min(0)),
});
export type RoomSummary = z.infer<typeof roomSummary>;

export const manifestSchema = z.strictObject({
  format: z.literal('stele-export/1'),
  stele: z.string(),
  server_name: z.string(),
  case_id: z.string(),
  query: z.strictObject({
    users: z.array(z.string()),
    rooms: z.array(z.string()),
    fromMs: z.number().optional(),
    toMs: z.number().optional(),
  }),
  log: z.strictObject({
    origin: z.string(),
    /** Records of the log at the checkpoint. */
    size: z.int().min(0),
    key: z.string(),
  }),
  counts: z.strictObject({
    rooms: z.int().min(0),
    records: z.int().min(0),
    exported: z.int().min(0),
    left_out: z.int().min(0),
    encrypted_events: z.int().min(0),
    destroyed: z.int().min(0),
    media: z.int().min(0),
    media_missing: z.int().min(0),
  }),
  rooms: z.array(roomSummary),
  /** Room ids of the rooms with events that cannot be read here. */
  encrypted_rooms: z.array(z.string()),
  files: z.array(z.strictObject({ path: z.string(), bytes: z.int().min(0), sha256: z.string() })),
});
/** What an export says about itself. */
export type Manifest = z.infer<typeof manifestSchema>;

/** The text that is signed for a manifest: never that of a checkpoint, whose first line is the log's origin alone. */
export function signedText(origin: string, manifestSha256: string): string {
  return `stele export of ${origin}\nsha256 ${manifestSha256}\n`;
}
