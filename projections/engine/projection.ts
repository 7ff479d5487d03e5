/** What a projection is, and the errors that say a set of them cannot work. */
import type { EventLog, LogRecord } from '#streams/event-log.ts';
import type { Writer } from './reader.ts';
import type { AnyTable } from './table.ts';

/** Raised when the engine itself stores things differently. */
const ENGINE_FORMAT = 1;

/** What projections need of a log. */
export type ProjectedLog = Pick<EventLog, 'head' | 'readAt' | 'subscribeAll'>;

/** One read model: its tables and how records change them. */
export interface Projection {
  /** Unique in its environment. */
  readonly name: string;
  /** Raise it whenever `apply`, a key or a value changes what is stored: the environment is then rebuilt from the log. */
  readonly version: number;
  readonly tables: readonly AnyTable[];
  /**
   * Changes the rows for one record. Called for every record of the log, in order, once. Synchronous and deterministic: no
   * clock, no randomness, no memory of its own between calls that is not derived from rows (a process may start anywhere in
   * the log), no iteration over anything whose order is not fixed. It must not throw for anything a record may hold: a
   * throw stops the engine, and with it the server's writes.
   */
  apply(tx: Writer, record: LogRecord): void;
}

/** Two projections or tables of one environment have one name. */
export class DuplicateName extends Error {
  override readonly name = 'DuplicateName';
}

/** The names of projections and tables are unique, or {@link DuplicateName} is thrown. */
export function checkNames(projections: readonly Projection[]): void {
  const projectionNames = new Set<string>();
  const tableNames = new Map<string, string>();
  for (const projection of projections) {
    if (projectionNames.has(projection.name)) throw new DuplicateName(`two projections are named ${projection.name}`);
    projectionNames.add(projection.name);
    for (const table of projection.tables) {
      const owner = tableNames.get(table.name);
      if (owner !== undefined) {
        throw new DuplicateName(`table ${table.name} is declared by ${owner} and by ${projection.name}`);
      }
      tableNames.set(table.name, projection.name);
    }
  }
}

/** What an environment was built by, as text: equal exactly if the rows would be. */
export function fingerprintOf(projections: readonly Projection[]): string {
  const parts = projections.map(({ name, version, tables }) => [name, version, tables.map((table) => table.name)]);
  return JSON.stringify([ENGINE_FORMAT, parts]);
}
