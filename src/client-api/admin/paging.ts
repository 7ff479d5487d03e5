/** Pages of lists as Synapse's administration API has them: an offset, a limit, a direction. */
import { z } from 'zod';
import type { Reader } from '#projections/engine/reader.ts';
import type { RangeOptions, Table } from '#projections/engine/table.ts';
import { queryChoice, queryInteger } from '#src/http/query.ts';
import type { Pacer } from '#src/sync/pacer.ts';

/** Most entries of one page. */
export const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;
/** Rows that are read before others get their turn, as far as it is due. */
const ROWS_A_STEP = 500;

/** The query parameters of a page; `from` is an offset. */
export const pageQuery = {
  from: queryInteger().default(0),
  limit: queryInteger({ min: 0, cap: MAX_PAGE }).default(DEFAULT_PAGE),
  dir: queryChoice(['f', 'b']).default('f'),
};

/** The schema for a list that has nothing more. */
export const onlyPageQuery = z.object(pageQuery);

/** What {@link pageOf} needs of a query. */
export interface PageRequest {
  readonly from: number;
  readonly limit: number;
}

/** One page of a whole list, and the offset of the next; undefined on the last. */
export function pageOf<T>(
  list: readonly T[],
  { from, limit }: PageRequest,
): { readonly page: readonly T[]; readonly next?: number } {
  const page = list.slice(from, from + limit);
  const end = from + page.length;
  return end < list.length && page.length > 0 ? { page, next: end } : { page };
}

/** What lists are ordered by. */
export type SortValue = string | number | boolean | null;

/** Orders by a text, number or flag; absent values come first, false before true. */
export function ordered<T>(list: T[], by: (item: T) => SortValue, dir: 'f' | 'b'): T[] {
  const sign = dir === 'f' ? 1 : -1;
  return list.sort((a, b) => sign * compare(by(a), by(b)));
}

function compare(a: SortValue, b: SortValue): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  return a < b ? -1 : 1;
}

/**
 * What `take` makes of the rows of a table, without those of which it makes nothing; read in turns, so that a long table does not
 * hold the others up. What is added or removed meanwhile may or may not be seen.
 */
export async function gathered<K extends readonly unknown[], V, T>(
  reader: Reader,
  table: Table<K, V>,
  pacer: Pacer,
  take: (key: K, value: V) => T | undefined,
): Promise<T[]> {
  const found: T[] = [];
  let last: K | undefined;
  for (;;) {
    let rows = 0;
    const options = (last === undefined ? { limit: ROWS_A_STEP } : { limit: ROWS_A_STEP, gt: last }) as RangeOptions<K>;
    for (const { key, value } of reader.range(table, options)) {
      rows += 1;
      last = key;
      const taken = take(key, value);
      if (taken !== undefined) found.push(taken);
    }
    if (rows < ROWS_A_STEP) return found;
    if (pacer.isDue) await pacer.pause();
  }
}
