/** Legal holds: what must not go, for a case. Their subjects are told nothing. */
import { allHolds, type Hold, holdById, standingHolds } from '#projections/compliance/queries.ts';
import { complianceRecord, HOLDS_STREAM, type HoldScope } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { forbidden, MatrixError, notFound } from '#src/http/errors.ts';
import { personOf } from '#src/roles/person.ts';

/** Most holds that stand at one time: all of them are asked for each decision. */
export const MAX_STANDING_HOLDS = 10_000;

export interface HoldsOptions {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  /** Whether who released a hold must be another than who set it. */
  readonly fourEyes: boolean;
}

export interface NewHold {
  readonly scope: HoldScope;
  readonly caseId: string;
  readonly reason: string;
  /** Who sets it. */
  readonly by: string;
}

export class Holds {
  readonly #options: HoldsOptions;
  #standing: readonly Hold[] | undefined;
  #standingAt = 0;
  readonly #onReleased = new Set<() => void>();

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** Those that stand now; to be asked for each decision, so that one which was set meanwhile counts. */
  standing(): readonly Hold[] {
    const { frontier } = this.#options.reader;
    if (this.#standing === undefined || frontier !== this.#standingAt) {
      this.#standing = standingHolds(this.#options.reader);
      this.#standingAt = frontier;
    }
    return this.#standing;
  }

  /** All there ever were. */
  all(): readonly Hold[] {
    return allHolds(this.#options.reader);
  }

  /**
   * Sets a hold, which stands once this resolves. Gives its id.
   * @throws {MatrixError} M_INVALID_PARAM where it says nothing of what it covers, or there are too many.
   */
  async add({ scope, caseId, reason, by }: NewHold): Promise<string> {
    const { reader, commands, newRecordId } = this.#options;
    const { userId, roomId, mediaId, fromMs, toMs } = scope;
    if (
      userId === undefined &&
      roomId === undefined &&
      mediaId === undefined &&
      fromMs === undefined &&
      toMs === undefined
    ) {
      throw new MatrixError('M_INVALID_PARAM', 'A hold names a user, a room, a media or a time.');
    }
    if (fromMs !== undefined && toMs !== undefined && fromMs >= toMs) {
      throw new MatrixError('M_INVALID_PARAM', 'The time of a hold ends after it begins.');
    }
    const id = Buffer.from(newRecordId()).toString('base64url');
    await commands.run(HOLDS_STREAM, () => {
      if (standingHolds(reader).length >= MAX_STANDING_HOLDS) {
        throw new MatrixError('M_INVALID_PARAM', `There are ${MAX_STANDING_HOLDS} holds already.`);
      }
      const record = complianceRecord(newRecordId(), 'hold.added', { id, scope, caseId, reason, by });
      return { records: [record], result: undefined };
    });
    return id;
  }

  /**
   * Releases a hold; what waited for it goes on.
   * @throws {MatrixError} M_NOT_FOUND where there is none that stands, M_FORBIDDEN where somebody else has to do it.
   */
  async release(id: string, { by, reason }: { readonly by: string; readonly reason: string }): Promise<void> {
    const { reader, commands, newRecordId, fourEyes } = this.#options;
    await commands.run(HOLDS_STREAM, () => {
      const hold = holdById(reader, id);
      if (hold === undefined || hold.released !== null) throw notFound('There is no such hold, or it was released.');
      if (fourEyes && personOf(hold.by) === personOf(by))
        throw forbidden('Somebody else than who set a hold has to release it.');
      return { records: [complianceRecord(newRecordId(), 'hold.released', { id, by, reason })], result: undefined };
    });
    for (const listener of this.#onReleased) listener();
  }

  /**
   * Runs work that destroys while no hold is set or released. What was decided before is to be held against `standing` again: a hold
   * that was set meanwhile counts. Holds that are asked for during the work are set after it, and find gone what went. Not to be
   * called within the work.
   */
  async whileTheyStand<T>(work: (standing: readonly Hold[]) => Promise<T>): Promise<T> {
    const { result } = await this.#options.commands.run(HOLDS_STREAM, async () => ({
      records: [],
      result: await work(this.standing()),
    }));
    return result;
  }

  /** Calls `listener` whenever a hold was released. */
  onReleased(listener: () => void): void {
    this.#onReleased.add(listener);
  }
}
