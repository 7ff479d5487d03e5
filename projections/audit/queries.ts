/** What the audit log can be asked. All of it reads the committed frontier of the reader, synchronously. */

import type { Reader } from '#projections/engine/reader.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { Position } from '#streams/event-log.ts';
import { type AuditFacet, type AuditRow, actorName, auditEntries, auditFacets, positionsOfTime } from './projection.ts';
import type { AuditDetails, AuditFacts } from './records.ts';

/** Which entries. All conditions hold together. */
export interface AuditQuery {
  /** As {@link actorName} says. */
  readonly actor?: string | undefined;
  /** A name of the catalogue, or the first part of one with a star: `user.*`. */
  readonly action?: string | undefined;
  /** The id of the target. */
  readonly target?: string | undefined;
  readonly room?: string | undefined;
  readonly caseId?: string | undefined;
  /** Milliseconds since the epoch, both inclusive. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** An entry with its place in the log, which proofs are asked for by. */
export interface FoundEntry extends AuditFacts, AuditDetails {
  readonly position: Position;
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** Set where `before` and `after` were destroyed. */
  readonly areDetailsDestroyed?: true;
}

export interface AuditPage {
  readonly entries: readonly FoundEntry[];
  /** Where the next page begins; undefined at the end. */
  readonly next: Position | undefined;
}

export interface AuditPageOptions {
  /** Only entries beyond this position, in the direction of reading. */
  readonly after?: Position | undefined;
  readonly limit: number;
  /** The newest first. */
  readonly isReversed?: boolean;
}

/**
 * Most entries looked at for one page, so that nobody else waits long for it; a page may hold fewer than asked for, and still have a
 * next one.
 */
const MAX_SCANNED = 4_000;
/** The largest position that fits into a key. */
const MAX_POSITION = 2 ** 48 - 1;

/** A page of the entries that a query is after. */
export function auditPage(reader: Reader, query: AuditQuery, options: AuditPageOptions): AuditPage {
  const { limit } = options;
  const entries: FoundEntry[] = [];
  let scanned = 0;
  let last: Position | undefined;
  for (const position of candidates(reader, query, options)) {
    if (entries.length === limit || scanned === MAX_SCANNED) return { entries, next: last };
    scanned += 1;
    last = position;
    const row = reader.get(auditEntries, [position]);
    if (row !== undefined && fits(row, query)) entries.push(foundEntry(position, row));
  }
  return { entries, next: undefined };
}

/** The last entry of an action; undefined if there is none. */
export function lastAuditEntry(reader: Reader, action: string): FoundEntry | undefined {
  const found = reader.seekLast(auditFacets, ['action', action]);
  const row = found && reader.get(auditEntries, [found.key[2]]);
  return found && row && foundEntry(found.key[2], row);
}

/** The entries after a position, in order, for whoever passes them on. */
export function auditEntriesAfter(reader: Reader, after: Position, limit: number): FoundEntry[] {
  const rows = reader.range(auditEntries, { ...(after >= 0 && { gt: [after] as const }), limit });
  return Array.from(rows, ({ key, value }) => foundEntry(key[0], value));
}

function* candidates(
  reader: Reader,
  query: AuditQuery,
  { after, isReversed = false }: AuditPageOptions,
): Generator<Position> {
  const { fromMs, toMs } = query;
  const isTimed = fromMs !== undefined || toMs !== undefined;
  const time = isTimed ? positionsOfTime(reader, fromMs, toMs) : ([0, MAX_POSITION] as const);
  if (time === undefined) return;
  const first = after === undefined || isReversed ? time[0] : Math.max(time[0], after + 1);
  const last = after === undefined || !isReversed ? time[1] : Math.min(time[1], after - 1);
  if (first > last) return;
  const indexed = bestIndex(query);
  if (indexed === undefined) {
    const range = { gte: [first] as const, lte: [last] as const, reverse: isReversed };
    for (const [position] of reader.keys(auditEntries, range)) yield position;
    return;
  }
  const [facet, value] = indexed;
  const range = { gte: [facet, value, first] as const, lte: [facet, value, last] as const, reverse: isReversed };
  for (const [, , position] of reader.keys(auditFacets, range)) yield position;
}

/** The condition that leaves the fewest entries, as a rule. */
function bestIndex({ caseId, target, actor, room, action }: AuditQuery): readonly [AuditFacet, string] | undefined {
  if (caseId !== undefined) return ['case', caseId];
  if (target !== undefined) return ['target', target];
  if (actor !== undefined) return ['actor', actor];
  if (room !== undefined) return ['room', room];
  return action === undefined || action.endsWith('*') ? undefined : ['action', action];
}

function fits({ facts, atMs }: AuditRow, query: AuditQuery): boolean {
  const { actor, action, target, room, caseId, fromMs, toMs } = query;
  return (
    (fromMs === undefined || atMs >= fromMs) &&
    (toMs === undefined || atMs <= toMs) &&
    (actor === undefined || actorName(facts.actor) === actor) &&
    (target === undefined || facts.target?.id === target) &&
    (room === undefined || facts.roomId === room) &&
    (caseId === undefined || facts.caseId === caseId) &&
    (action === undefined || isAction(facts.action, action))
  );
}

function isAction(action: string, wanted: string): boolean {
  return wanted.endsWith('*') ? action.startsWith(wanted.slice(0, -1)) : action === wanted;
}

function foundEntry(position: Position, { id, atMs, facts, detailsJson }: AuditRow): FoundEntry {
  const details = detailsJson ? (parseJson(detailsJson) as AuditDetails) : {};
  return { position, id, atMs, ...facts, ...details, ...(detailsJson === null && { areDetailsDestroyed: true }) };
}
