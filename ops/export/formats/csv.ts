/** `events.csv`: RFC 4180, UTF-8, one event a row. */
import { timeText } from '../collect.ts';
import type { Entry } from '../event-index.ts';
import { type Cell, COLUMNS, type Column } from './table-rows.ts';

const ROWS_A_PIECE = 1_000;
/** What a spreadsheet would take for a formula: RFC 4180 has no way to say that it is none, so it gets an apostrophe. */
const FORMULA = /^[=+\-@\t\r]/;

/** The text of the file, piece by piece. */
export function* csvPieces(entries: Iterable<Entry>, sha256OfMedia: ReadonlyMap<string, string>): Generator<string> {
  let rows: string[] = [COLUMNS.map(({ name }) => name).join(',')];
  for (const entry of entries) {
    rows.push(COLUMNS.map((column) => cellText(column, column.of(entry, sha256OfMedia))).join(','));
    if (rows.length < ROWS_A_PIECE) continue;
    yield `${rows.join('\r\n')}\r\n`;
    rows = [];
  }
  if (rows.length > 0) yield `${rows.join('\r\n')}\r\n`;
}

function cellText({ type }: Column, cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell !== 'string') return type === 'time' ? timeText(Number(cell)) : String(cell);
  const safe = FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
