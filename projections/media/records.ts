/**
 * The records of a media stream (`media-<random>`), each with one section, in msgpack. The bytes are in the media store.
 *
 * | kind | section 0 |
 * |---|---|
 * | `media.reserved` | `[mediaId, uploader, expiresAtMs]`: first, where the id was given out before the upload |
 * | `media.stored` | `[mediaId, uploader, sha256, sizeBytes, contentType or null, fileName or null]` |
 * | `media.removed` | `[mediaId]` |
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const MEDIA_STORED = 'media.stored';
export const MEDIA_RESERVED = 'media.reserved';
export const MEDIA_REMOVED = 'media.removed';

/** Stands for the uploader of what the server stored by itself, for previews. No user id is like this. */
export const BY_SERVER = 'server';

/** Something that a local user uploaded. */
export interface Media {
  /** The last part of `mxc://<server>/<media id>`. */
  readonly mediaId: string;
  readonly uploader: string;
  /** SHA-256 of the content, lower-case hex: where it is in the media store. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** As the client said; undefined when it said nothing. */
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
}

/** An id that was given out for an upload to come. */
export interface MediaReservation {
  readonly mediaId: string;
  readonly uploader: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

type Stored = [
  mediaId: string,
  uploader: string,
  sha256: Uint8Array,
  sizeBytes: number,
  contentType: string | null,
  fileName: string | null,
];

type Reserved = [mediaId: string, uploader: string, expiresAtMs: number];

const packr = new Packr({ useRecords: false, copyBuffers: true });

/** The record of an upload. */
export function mediaRecord(id: Uint8Array, media: Media): RecordDraft {
  const stored: Stored = [
    media.mediaId,
    media.uploader,
    Buffer.from(media.sha256, 'hex'),
    media.sizeBytes,
    media.contentType ?? null,
    media.fileName ?? null,
  ];
  return {
    id,
    kind: MEDIA_STORED,
    version: recordKinds[MEDIA_STORED].version,
    sections: [packr.pack(stored)],
    decoded: media,
  };
}

/** What a `media.stored` record says; undefined where its key was destroyed. */
export function readMedia(record: LogRecord): Media | undefined {
  if (record.decoded !== undefined) return record.decoded as Media;
  const section = record.sections[0];
  if (!section) return undefined;
  const [mediaId, uploader, sha256, sizeBytes, contentType, fileName] = packr.unpack(section) as Stored;
  return {
    mediaId,
    uploader,
    sha256: Buffer.from(sha256).toString('hex'),
    sizeBytes,
    contentType: contentType ?? undefined,
    fileName: fileName ?? undefined,
  };
}

/** The record of an id that is given out. */
export function reservationRecord(id: Uint8Array, reservation: MediaReservation): RecordDraft {
  const { mediaId, uploader, expiresAtMs } = reservation;
  const reserved: Reserved = [mediaId, uploader, expiresAtMs];
  return {
    id,
    kind: MEDIA_RESERVED,
    version: recordKinds[MEDIA_RESERVED].version,
    sections: [packr.pack(reserved)],
    decoded: reservation,
  };
}

/** What a `media.reserved` record says; undefined where its key was destroyed. */
export function readReservation(record: LogRecord): MediaReservation | undefined {
  if (record.decoded !== undefined) return record.decoded as MediaReservation;
  const section = record.sections[0];
  if (!section) return undefined;
  const [mediaId, uploader, expiresAtMs] = packr.unpack(section) as Reserved;
  return { mediaId, uploader, expiresAtMs };
}

/** The record of a removal. */
export function mediaRemovedRecord(id: Uint8Array, mediaId: string): RecordDraft {
  const version = recordKinds[MEDIA_REMOVED].version;
  return { id, kind: MEDIA_REMOVED, version, sections: [packr.pack([mediaId])] };
}

/** The media id of a `media.removed` record; undefined where its key was destroyed. */
export function readMediaRemoved(record: LogRecord): string | undefined {
  const section = record.sections[0];
  return section ? (packr.unpack(section) as [string])[0] : undefined;
}
