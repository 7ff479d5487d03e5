/** Why something is not in an export in full: what the log says of who let it go, and by which rule. */
import { destroyedBy, erasureById } from '#projections/compliance/queries.ts';
import { readComplianceRecord } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import type { ReadOnlyLog } from '#streams/raw-log.ts';
import type { WithheldLine } from './layout.ts';

/** What a line of what is withheld says of the reason. */
export type Reason = Pick<WithheldLine, 'cause' | 'why' | 'decided_in_record' | 'erasure_id' | 'certificate_in_record'>;

/** Why the content of a record is destroyed; undefined where the log does not say. */
export type WhyDestroyed = (position: Position) => Promise<Reason | undefined>;

/** What is said where the log has no decision: the key was lost or taken away by other means. */
export const UNKNOWN_REASON: Reason = {
  cause: 'unknown',
  why: 'Its key is gone, and the log has no decision that it was to go.',
};

/** As the projections of a data folder and the decisions in its log say. */
export function whyDestroyedIn(reader: Reader, log: Pick<ReadOnlyLog, 'readRaw' | 'openRecord'>): WhyDestroyed {
  /** The decision that was read last: what goes together was decided together. */
  let latest: { readonly at: Position; readonly reason: Reason | undefined } | undefined;
  return async (position) => {
    const at = destroyedBy(reader, position);
    if (at === undefined) return undefined;
    if (latest?.at !== at) latest = { at, reason: await reasonAt(reader, log, at) };
    return latest.reason;
  };
}

async function reasonAt(
  reader: Reader,
  log: Pick<ReadOnlyLog, 'readRaw' | 'openRecord'>,
  at: Position,
): Promise<Reason | undefined> {
  const raw = await log.readRaw(at);
  const read = raw && readComplianceRecord(await log.openRecord(raw));
  if (read?.kind !== 'destruction.decided') return undefined;
  const { cause, why, requestId } = read.fields;
  const erasure = cause === 'erasure' && requestId !== null ? erasureById(reader, requestId) : undefined;
  return {
    cause,
    why,
    decided_in_record: at,
    ...(erasure !== undefined && { erasure_id: erasure.id }),
    ...(typeof erasure?.certificateAt === 'number' && { certificate_in_record: erasure.certificateAt }),
  };
}
