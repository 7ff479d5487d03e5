/** What is asked of compliance's tables. */
import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import {
  destroyedItems,
  type ErasureRow,
  erasures,
  erasuresOfUser,
  type HoldRow,
  holds,
  keptItems,
  type PolicyRow,
  pendingDestructions,
  policies,
} from './projection.ts';
import type { Cause } from './records.ts';

export interface Hold extends HoldRow {
  readonly id: string;
}

export interface Erasure extends ErasureRow {
  readonly id: string;
}

export interface PolicyInForce extends PolicyRow {
  /** Of the record that set it. */
  readonly position: Position;
}

/** Every hold there ever was. */
export function allHolds(reader: Reader): Hold[] {
  return Array.from(reader.range(holds), ({ key: [id], value }) => ({ id, ...value }));
}

/** The holds that stand. */
export function standingHolds(reader: Reader): Hold[] {
  return allHolds(reader).filter(({ released }) => released === null);
}

export function holdById(reader: Reader, id: string): Hold | undefined {
  const row = reader.get(holds, [id]);
  return row && { id, ...row };
}

/** Requests for erasure that are not completed. */
export function openErasures(reader: Reader): Erasure[] {
  return Array.from(reader.range(erasures), ({ key: [id], value }) => ({ id, ...value })).filter(
    ({ state }) => state !== 'completed',
  );
}

/** Requests for erasure by their ids, which are random: those after one, and where the next page begins; undefined at the end. */
export function erasurePage(
  reader: Reader,
  after: string | undefined,
  limit: number,
): { readonly erasures: readonly Erasure[]; readonly next: string | undefined } {
  const rows = reader.range(erasures, { ...(after !== undefined && { gt: [after] as const }), limit });
  const page = Array.from(rows, ({ key: [id], value }) => ({ id, ...value }));
  return { erasures: page, next: page.length === limit ? page.at(-1)?.id : undefined };
}

export function erasureById(reader: Reader, id: string): Erasure | undefined {
  const row = reader.get(erasures, [id]);
  return row && { id, ...row };
}

/** The requests about a user, in no particular order. */
export function erasuresOf(reader: Reader, userId: string): Erasure[] {
  const ids = Array.from(reader.keys(erasuresOfUser, { prefix: [userId] }), ([, id]) => id);
  return ids.map((id) => erasureById(reader, id)).filter((one) => one !== undefined);
}

/** The policy that was in force at a time; undefined before the first. */
export function policyAt(reader: Reader, atMs: number): PolicyInForce | undefined {
  for (const { key, value } of reader.range(policies, { reverse: true })) {
    if (value.fromMs <= atMs) return { position: key[0], ...value };
  }
  return undefined;
}

/** The policy that was set last. */
export function latestPolicy(reader: Reader): PolicyInForce | undefined {
  for (const { key, value } of reader.range(policies, { reverse: true, limit: 1 })) {
    return { position: key[0], ...value };
  }
  return undefined;
}

/** Positions of what was decided to be destroyed and is not finished. */
export function unfinishedDestructions(reader: Reader): Position[] {
  return Array.from(reader.keys(pendingDestructions), ([position]) => position);
}

/** By what a section is known to be kept against a cause; see `keptBy`. */
export function knownToBeKept(
  reader: Reader,
  { position, section, cause }: { readonly position: Position; readonly section: number; readonly cause: Cause },
): string | undefined {
  return reader.get(keptItems, [position, section, cause]);
}

/** Position of the record that decided that something of a record goes; undefined where none did. */
export function destroyedBy(reader: Reader, position: Position): Position | undefined {
  for (const { value } of reader.range(destroyedItems, { prefix: [position], limit: 1 })) return value;
  return undefined;
}
