/** What has been uploaded here, what is to be, and who has how much. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { bytes, defineTable, empty, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { LogRecord } from '#streams/event-log.ts';
import {
  BY_SERVER,
  MEDIA_REMOVED,
  MEDIA_RESERVED,
  MEDIA_STORED,
  type Media,
  type MediaReservation,
  readMedia,
  readMediaRemoved,
  readReservation,
} from './records.ts';

/** How an upload is stored: the fields of {@link Media} but the id, in order, when it came, and its stream. */
export type MediaRow = readonly [
  uploader: string,
  sha256: string,
  sizeBytes: number,
  contentType: string | null,
  fileName: string | null,
  uploadedAtMs: number,
  stream: string,
];

/** An id whose upload has not come yet. */
type PendingRow = readonly [uploader: string, expiresAtMs: number, stream: string];

/** What somebody has uploaded, removed files not counted. */
export interface MediaUsage {
  readonly files: number;
  readonly sizeBytes: number;
}

const SHA256_BYTES = 32;

/** The uploads, for those who look through all of them. */
export const media = defineTable({
  name: 'media.media',
  key: tuple<[mediaId: string]>(str),
  value: msgpack<MediaRow>(),
  why: 'A download names the media id and needs all the rest.',
  hide: (_, row, { contents, contentTimes }) => (contents.has(row[1]) && contentTimes.has(row[5]) ? undefined : row),
});

const pending = defineTable({
  name: 'media.pending',
  key: tuple<[mediaId: string]>(str),
  value: msgpack<PendingRow>(),
  why: 'An upload names the id that was given out for it; so does a download that waits for it.',
});

const pendingOfUser = defineTable({
  name: 'media.pending-of-user',
  key: tuple<[uploader: string, expiresAtMs: number, mediaId: string]>(str, u48, str),
  value: empty,
  why: 'How many ids of a user are still good is the range after now; what is before it can go.',
});

const byContent = defineTable({
  name: 'media.by-content',
  key: tuple<[sha256: Uint8Array, mediaId: string]>(bytes(SHA256_BYTES), str),
  value: empty,
  why: 'Whether anything still refers to a file in the media store is one look-up.',
});

const usage = defineTable({
  name: 'media.usage',
  key: tuple<[uploader: string]>(str),
  value: msgpack<MediaUsage>(),
  why: 'A quota is checked at each upload, without adding up what was uploaded before.',
});

const ofUploader = defineTable({
  name: 'media.of-uploader',
  key: tuple<[uploader: string, mediaId: string]>(str, str),
  value: empty,
  why: 'What somebody has uploaded is one range: it is listed, and removed, as a whole.',
});

const madeByServer = defineTable({
  name: 'media.made-by-server',
  key: tuple<[storedAtMs: number, mediaId: string]>(u48, str),
  value: empty,
  why: 'What the server stored by itself goes again after a while: the oldest are the first rows.',
});

export const mediaProjection: Projection = {
  name: 'media',
  version: 4,
  tables: [media, pending, pendingOfUser, byContent, usage, ofUploader, madeByServer],
  apply(tx, record) {
    switch (record.kind) {
      case MEDIA_RESERVED:
        reserve(tx, record);
        return;
      case MEDIA_STORED:
        store(tx, record);
        return;
      case MEDIA_REMOVED:
        remove(tx, record);
        return;
    }
  },
};

function reserve(tx: Writer, record: LogRecord): void {
  const read = readReservation(record);
  if (read === undefined) return;
  const { mediaId, uploader, expiresAtMs } = read;
  // What has expired by the time of this record is forgotten, so that the table does not grow with what never came.
  const expired = Array.from(tx.keys(pendingOfUser, { prefix: [uploader], lte: [uploader, record.recordedAtMs] }));
  for (const key of expired) {
    tx.remove(pendingOfUser, key);
    tx.remove(pending, [key[2]]);
  }
  tx.put(pending, [mediaId], [uploader, expiresAtMs, record.stream]);
  tx.put(pendingOfUser, [uploader, expiresAtMs, mediaId], true);
}

function store(tx: Writer, record: LogRecord): void {
  const read = readMedia(record);
  if (read === undefined) return;
  const { mediaId, uploader, sha256, sizeBytes, contentType = null, fileName = null } = read;
  const row: MediaRow = [uploader, sha256, sizeBytes, contentType, fileName, record.recordedAtMs, record.stream];
  const reserved = tx.get(pending, [mediaId]);
  if (reserved !== undefined) {
    tx.remove(pending, [mediaId]);
    tx.remove(pendingOfUser, [reserved[0], reserved[1], mediaId]);
  }
  tx.put(media, [mediaId], row);
  tx.put(byContent, [Buffer.from(sha256, 'hex'), mediaId], true);
  tx.put(ofUploader, [uploader, mediaId], true);
  if (uploader === BY_SERVER) tx.put(madeByServer, [record.recordedAtMs, mediaId], true);
  const { files, sizeBytes: total } = tx.get(usage, [uploader]) ?? NOTHING;
  tx.put(usage, [uploader], { files: files + 1, sizeBytes: total + sizeBytes });
  tx.touch(`media:${mediaId}`);
}

function remove(tx: Writer, record: LogRecord): void {
  const mediaId = readMediaRemoved(record);
  const row = mediaId === undefined ? undefined : tx.get(media, [mediaId]);
  if (mediaId === undefined || row === undefined) return;
  const [uploader, sha256, sizeBytes, , , storedAtMs] = row;
  tx.remove(media, [mediaId]);
  tx.remove(ofUploader, [uploader, mediaId]);
  tx.remove(madeByServer, [storedAtMs, mediaId]);
  tx.remove(byContent, [Buffer.from(sha256, 'hex'), mediaId]);
  const { files, sizeBytes: total } = tx.get(usage, [uploader]) ?? NOTHING;
  tx.put(usage, [uploader], { files: Math.max(0, files - 1), sizeBytes: Math.max(0, total - sizeBytes) });
}

const NOTHING: MediaUsage = { files: 0, sizeBytes: 0 };

/** An upload with what is known of it beside. */
export interface StoredMedia extends Media {
  /** Milliseconds since the epoch. */
  readonly uploadedAtMs: number;
  /** Its stream in the log. */
  readonly stream: string;
}

/** An upload by its media id. */
export function mediaById(reader: Reader, mediaId: string): StoredMedia | undefined {
  const row = reader.get(media, [mediaId]);
  return row && storedMedia(mediaId, row);
}

/** Everything that somebody has uploaded, by media id. */
export function* mediaOf(reader: Reader, uploader: string): Generator<StoredMedia> {
  for (const [, mediaId] of reader.keys(ofUploader, { prefix: [uploader] })) {
    const found = mediaById(reader, mediaId);
    if (found !== undefined) yield found;
  }
}

/** What a row of {@link media} says. */
export function storedMedia(mediaId: string, row: MediaRow): StoredMedia {
  const [uploader, sha256, sizeBytes, contentType, fileName, uploadedAtMs, stream] = row;
  return {
    mediaId,
    uploader,
    sha256,
    sizeBytes,
    contentType: contentType ?? undefined,
    fileName: fileName ?? undefined,
    uploadedAtMs,
    stream,
  };
}

/** An id that was given out, whether or not it has expired, if its upload has not come. */
export function reservedMedia(
  reader: Reader,
  mediaId: string,
): (MediaReservation & { readonly stream: string }) | undefined {
  const row = reader.get(pending, [mediaId]);
  if (row === undefined) return undefined;
  const [uploader, expiresAtMs, stream] = row;
  return { mediaId, uploader, expiresAtMs, stream };
}

/** How many ids of a user have been given out whose uploads have not come and that have not expired, counted up to a bound. */
export function reservedCount(reader: Reader, uploader: string, nowMs: number, limit: number): number {
  let count = 0;
  for (const _ of reader.keys(pendingOfUser, { prefix: [uploader], gt: [uploader, nowMs], limit })) count += 1;
  return count;
}

/** How much a user has uploaded. */
export function mediaUsage(reader: Reader, uploader: string): MediaUsage {
  return reader.get(usage, [uploader]) ?? NOTHING;
}

/** Whether any upload has this content. */
export function isContentUsed(reader: Reader, sha256: string): boolean {
  for (const _ of reader.keys(byContent, { prefix: [Buffer.from(sha256, 'hex')], limit: 1 })) return true;
  return false;
}

/** The digests, in lower-case hex, of all contents that some upload has, each once. */
export function* contentDigests(reader: Reader): Generator<string> {
  let last: string | undefined;
  for (const [sha256] of reader.keys(byContent, {})) {
    const digest = Buffer.from(sha256).toString('hex');
    if (digest !== last) yield digest;
    last = digest;
  }
}

/** Ids of what the server stored by itself before a moment (milliseconds since the epoch), the oldest first. */
export function* serverMediaBefore(reader: Reader, beforeMs: number): Generator<string> {
  for (const [, mediaId] of reader.keys(madeByServer, { lt: [beforeMs] })) yield mediaId;
}
