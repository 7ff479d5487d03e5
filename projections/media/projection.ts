/** What has been uploaded here. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple } from '#projections/engine/table.ts';
import { MEDIA_STORED, type Media, readMedia } from './records.ts';

/** How an upload is stored: the fields of {@link Media} but the id, in order. */
type MediaRow = readonly [
  uploader: string,
  sha256: string,
  sizeBytes: number,
  contentType: string | null,
  fileName: string | null,
  uploadedAtMs: number,
];

const media = defineTable({
  name: 'media.media',
  key: tuple<[mediaId: string]>(str),
  value: msgpack<MediaRow>(),
  why: 'A download names the media id and needs all the rest.',
});

export const mediaProjection: Projection = {
  name: 'media',
  version: 1,
  tables: [media],
  apply(tx, record) {
    if (record.kind !== MEDIA_STORED) return;
    const read = readMedia(record);
    if (read === undefined) return;
    const { mediaId, uploader, sha256, sizeBytes, contentType = null, fileName = null } = read;
    tx.put(media, [mediaId], [uploader, sha256, sizeBytes, contentType, fileName, record.recordedAtMs]);
  },
};

/** An upload by its media id. */
export function mediaById(reader: Reader, mediaId: string): (Media & { readonly uploadedAtMs: number }) | undefined {
  const row = reader.get(media, [mediaId]);
  if (row === undefined) return undefined;
  const [uploader, sha256, sizeBytes, contentType, fileName, uploadedAtMs] = row;
  return {
    mediaId,
    uploader,
    sha256,
    sizeBytes,
    contentType: contentType ?? undefined,
    fileName: fileName ?? undefined,
    uploadedAtMs,
  };
}
