/**
 * The `media.stored` record, the first of a media stream: one section, msgpack
 * `[mediaId, uploader, sha256, sizeBytes, contentType | null, fileName | null]`. The bytes are in the media store.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const MEDIA_STORED = 'media.stored';

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

type Stored = [
  mediaId: string,
  uploader: string,
  sha256: Uint8Array,
  sizeBytes: number,
  contentType: string | null,
  fileName: string | null,
];

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
