/** Applies records to one environment: what the live engine, a rebuild and a check share. */
import type { LogRecord, Position } from '#streams/event-log.ts';
import type { Checkpoint, Environment } from './environment.ts';
import { ProjectionFailed } from './errors.ts';
import type { Projection } from './projection.ts';
import { RowWriter } from './row-access.ts';

const NOBODY: ReadonlySet<string> = new Set();

export class Applier {
  readonly environment: Environment;
  readonly #projections: readonly Projection[];
  readonly #writer: RowWriter;
  #checkpoint: Checkpoint;

  /** Throws EnvironmentDamaged if the checkpoint cannot be read. */
  constructor(environment: Environment, projections: readonly Projection[]) {
    this.environment = environment;
    this.#projections = projections;
    this.#writer = new RowWriter(environment, true);
    this.#checkpoint = environment.readCheckpoint();
  }

  /** The last committed. */
  get checkpoint(): Checkpoint {
    return this.#checkpoint;
  }

  get position(): Position {
    return this.#checkpoint.position;
  }

  /**
   * Applies records and commits them with their checkpoint, all or none; returns who was touched. Throws
   * {@link ProjectionFailed}, or LMDB's error if the rows cannot be stored.
   */
  apply(records: readonly LogRecord[]): ReadonlySet<string> {
    const last = records.at(-1);
    if (last === undefined) return NOBODY;
    const writer = this.#writer;
    try {
      this.#checkpoint = this.environment.commit(() => {
        let position = this.position;
        for (const record of records) {
          if (record.position <= position) throw new RangeError(`record ${record.position} came after ${position}`);
          position = record.position;
          this.#applyOne(record);
        }
        writer.flush();
        return { position, count: this.#checkpoint.count + records.length, recordId: last.id };
      });
    } catch (error) {
      writer.touched.clear();
      writer.forget();
      throw error;
    } finally {
      writer.owner = undefined;
    }
    if (writer.touched.size === 0) return NOBODY;
    const touched = writer.touched;
    writer.touched = new Set();
    return touched;
  }

  #applyOne(record: LogRecord): void {
    const writer = this.#writer;
    writer.begin(record.position);
    for (const projection of this.#projections) {
      writer.owner = projection;
      try {
        projection.apply(writer, record);
      } catch (error) {
        throw new ProjectionFailed(projection.name, record.position, record.kind, error);
      }
    }
  }
}
