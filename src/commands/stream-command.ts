/**
 * The loop that every change of a stream goes through: wait your turn, look, decide, append, say where it is.
 */
import { Conflict, type EventLog, type Position, type RecordDraft, type Revision } from '#streams/event-log.ts';
import { KeyedLock } from './keyed-lock.ts';

/** How often a command is decided anew because another node appended to the stream meanwhile. */
export const MAX_ATTEMPTS = 5;

/** What a command decided: records to append (none for nothing to do), and what its caller gets. */
export interface Decision<Result> {
  readonly records: readonly RecordDraft[];
  readonly result: Result;
}

export interface CommandOutcome<Result> {
  readonly result: Result;
  /** Position of the last record appended; undefined when there was nothing to append. The projections have applied it. */
  readonly position: Position | undefined;
}

export interface StreamCommandsOptions {
  readonly log: EventLog;
  /**
   * Resolves when the projections of this process have applied everything that is in the log now. Called before a command
   * is decided again after a conflict.
   */
  readonly caughtUp: () => Promise<void>;
}

/** Runs commands, one at a time for each stream. */
export class StreamCommands {
  readonly #log: EventLog;
  readonly #caughtUp: () => Promise<void>;
  readonly #lock = new KeyedLock();

  constructor({ log, caughtUp }: StreamCommandsOptions) {
    this.#log = log;
    this.#caughtUp = caughtUp;
  }

  /**
   * Runs one command on one stream:
   * 1. wait until earlier commands of this stream are done;
   * 2. ask the stream's revision;
   * 3. `decide`, on committed projections, which have seen all that earlier commands of this process appended;
   * 4. append what was decided at that revision; on a conflict catch up and go back to 2;
   * 5. resolve once the projections have applied it, so that whoever reads next sees it.
   *
   * `decide` may throw whatever its caller should see; then nothing is appended. It may be called several times.
   * Throws what `append` of the log throws; `Conflict` only after {@link MAX_ATTEMPTS}.
   */
  run<Result>(
    stream: string,
    decide: (revision: Revision) => Decision<Result> | Promise<Decision<Result>>,
  ): Promise<CommandOutcome<Result>> {
    return this.#lock.run(stream, async () => {
      for (let attempt = 1; ; attempt += 1) {
        const revision = await this.#log.revisionOf(stream);
        const { records, result } = await decide(revision);
        if (records.length === 0) return { result, position: undefined };
        try {
          const appended = await this.#log.append(stream, revision, records);
          return { result, position: appended.lastPosition };
        } catch (error) {
          if (!(error instanceof Conflict) || attempt === MAX_ATTEMPTS) throw error;
          await this.#caughtUp();
        }
      }
    });
  }
}
