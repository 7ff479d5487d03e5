/** Removes uploads of this server for an administrator: each is captured as evidence, and those that a hold keeps stay. */
import type { Context } from '#src/context.ts';
import { MatrixError } from '#src/http/errors.ts';

/** What came of it; the names are those of Synapse's answers, but `kept_media`. */
export interface MediaRemovalResult {
  readonly deleted_media: string[];
  readonly total: number;
  /** What had to stay, and why; only where something had. */
  readonly kept_media?: Readonly<Record<string, string>>;
}

/** Removes uploads by their media ids; those that are gone meanwhile are passed over. */
export async function removeMedia(
  { media, evidence }: Pick<Context, 'media' | 'evidence'>,
  mediaIds: readonly string[],
  by: string,
): Promise<MediaRemovalResult> {
  const removed: string[] = [];
  const kept = new Map<string, string>();
  for (const mediaId of mediaIds) {
    try {
      await evidence.captureMedia(mediaId, by);
      await media.remove(mediaId);
      removed.push(mediaId);
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      if (error.errcode !== 'M_NOT_FOUND') kept.set(mediaId, error.message);
    }
  }
  return {
    deleted_media: removed,
    total: removed.length,
    ...(kept.size > 0 && { kept_media: Object.fromEntries(kept) }),
  };
}
