/** Puts media into quarantine, where nobody sees them, and takes them out; their files stay. */
import { isProtectedMedia, type QuarantineSubject, quarantinerOf } from '#projections/media/quarantine.ts';
import { QUARANTINE_STREAM, quarantineRecord } from '#projections/media/quarantine-records.ts';
import type { Context } from '#src/context.ts';
import { notFound } from '#src/http/errors.ts';

/** What the quarantine needs. */
export type QuarantineContext = Pick<Context, 'reader' | 'commands' | 'newRecordId' | 'serverName'>;

/** Media of which one command puts the changes into the log. */
const BATCH = 500;

/**
 * Whether nobody may see a media: it is in quarantine itself, or its content is, under another id. A protected upload of this server
 * is hidden only if it was in quarantine before.
 */
export function isHidden(
  { reader, serverName }: Pick<Context, 'reader' | 'serverName'>,
  subject: QuarantineSubject,
): boolean {
  const isSafe = subject.serverName === serverName && isProtectedMedia(reader, subject.mediaId);
  return quarantinerOf(reader, isSafe ? { ...subject, sha256: undefined } : subject) !== undefined;
}

/** @throws {MatrixError} `M_NOT_FOUND` where nobody may see the media; it says no more than that */
export function refuseHidden(context: Pick<Context, 'reader' | 'serverName'>, subject: QuarantineSubject): void {
  if (isHidden(context, subject)) throw notFound('There is no media of this id.');
}

/** Puts media into quarantine, but those that are protected or there already. Gives how many. */
export async function quarantineMedia(
  context: QuarantineContext,
  subjects: readonly QuarantineSubject[],
  by: string,
): Promise<number> {
  const { reader, commands, newRecordId, serverName } = context;
  let count = 0;
  for (let start = 0; start < subjects.length; start += BATCH) {
    const batch = subjects.slice(start, start + BATCH);
    const { result } = await commands.run(QUARANTINE_STREAM, () => {
      const wanted = batch.filter(
        (one) =>
          quarantinerOf(reader, { ...one, sha256: undefined }) === undefined &&
          !(one.serverName === serverName && isProtectedMedia(reader, one.mediaId)),
      );
      const records = wanted.map((one) =>
        quarantineRecord(newRecordId(), {
          ...one,
          kind: 'media.quarantine_changed',
          sha256: one.sha256 ?? null,
          isQuarantined: true,
          by,
        }),
      );
      return { records, result: wanted.length };
    });
    count += result;
  }
  return count;
}

/** Lets a media be seen again, and with it all that have the same content. */
export async function releaseMedia(context: QuarantineContext, subject: QuarantineSubject, by: string): Promise<void> {
  const { reader, commands, newRecordId } = context;
  await commands.run(QUARANTINE_STREAM, () => {
    if (quarantinerOf(reader, subject) === undefined) return { records: [], result: undefined };
    const change = { ...subject, sha256: subject.sha256 ?? null, isQuarantined: false, by };
    return {
      records: [quarantineRecord(newRecordId(), { ...change, kind: 'media.quarantine_changed' })],
      result: undefined,
    };
  });
}

/** Protects a media of this server from quarantine, or lifts that. */
export async function protectMedia(
  { reader, commands, newRecordId }: QuarantineContext,
  mediaId: string,
  isProtected: boolean,
  by: string,
): Promise<void> {
  await commands.run(QUARANTINE_STREAM, () => ({
    records:
      isProtectedMedia(reader, mediaId) === isProtected
        ? []
        : [quarantineRecord(newRecordId(), { kind: 'media.protection_changed', mediaId, isProtected, by })],
    result: undefined,
  }));
}
