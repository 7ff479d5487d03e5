/** What must not be shown of what was decided to be destroyed, as long as the rows are there that its keys had opened. */
import type { ToHide } from '#projections/engine/hidden-rows.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { MEDIA_STORED } from '#projections/media/records.ts';
import type { EventLog, Position } from '#streams/event-log.ts';
import { erasureById, standingHolds, unfinishedDestructions } from './queries.ts';
import { type ComplianceRecords, readComplianceRecord } from './records.ts';
import { unpackSections } from './section-list.ts';

type Decided = ComplianceRecords['destruction.decided'];
type ReadableLog = Pick<EventLog, 'readAt'>;

/** The decision that a record holds; undefined where it is another record. */
export async function decisionAt(log: ReadableLog, position: Position): Promise<Decided | undefined> {
  const record = await log.readAt(position);
  const read = record && readComplianceRecord(record);
  return read?.kind === 'destruction.decided' ? read.fields : undefined;
}

/** What a decision hides. */
export async function hiddenBy(
  { items, media, requestId, cause }: Decided,
  reader: Reader,
  log: ReadableLog,
): Promise<ToHide> {
  // Nobody is ever shown one, and looking for what is hidden costs readers time until the tables are built anew.
  if (cause === 'former_password') return { positions: [], contents: [], contentTimes: [], users: [] };
  const positions = new Set<Position>();
  for (const { position } of unpackSections(items)) positions.add(position);
  const contentTimes = new Set<number>();
  if (media.length > 0) {
    for (const position of positions) {
      const record = await log.readAt(position);
      if (record?.kind === MEDIA_STORED) contentTimes.add(record.recordedAtMs);
    }
  }
  const subject = requestId === null ? undefined : erasureById(reader, requestId)?.userId;
  const users = subject === undefined || isKept(reader, subject) ? [] : [subject];
  return { positions, contents: media, contentTimes, users };
}

/** Whether a hold keeps something of what is somebody's own: then rows under their name stay, and names in them count. */
function isKept(reader: Reader, userId: string): boolean {
  return standingHolds(reader).some(
    ({ scope }) => scope.roomId === undefined && scope.mediaId === undefined && (scope.userId ?? userId) === userId,
  );
}

/** What all decisions hide that are not finished. */
export async function hiddenByUnfinished(reader: Reader, log: ReadableLog): Promise<ToHide[]> {
  const hidden: ToHide[] = [];
  for (const position of unfinishedDestructions(reader)) {
    const decided = await decisionAt(log, position);
    if (decided !== undefined) hidden.push(await hiddenBy(decided, reader, log));
  }
  return hidden;
}
