/** What of the server's matters belongs to one case. */
import { standingHolds } from '#projections/compliance/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { covers } from '#src/compliance/decision/decide.ts';
import type { Standing } from '#src/roles/standing.ts';

/** The case that a list keeps to: the one that is asked for, else the one that the role is limited to; undefined for all. */
export function caseToShow({ isCaseFixed, caseId }: Standing, asked: string | undefined): string | undefined {
  return asked ?? (isCaseFixed ? caseId : undefined);
}

/** Something that a hold may cover. */
export interface Covered {
  readonly userIds: readonly string[];
  readonly roomId: string | undefined;
  /** Milliseconds since the epoch, by this server's clock. */
  readonly recordedAtMs: number;
}

/** Tells whether something is covered by a hold that stands for a case. */
export function heldFor(reader: Reader, caseId: string): (what: Covered) => boolean {
  const ofCase = standingHolds(reader).filter((hold) => hold.caseId === caseId);
  return ({ userIds, roomId, recordedAtMs }) => {
    const item = { position: 0, sections: [], class: 'evidence', userIds, recordedAtMs } as const;
    const placed = roomId === undefined ? item : { ...item, roomId };
    return ofCase.some(({ scope }) => covers(scope, placed));
  };
}
