/** Waiting until all members of a room are known. */
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import { isPartial } from '#projections/rooms/partial.ts';
import { findRoom, isServerIn } from '#projections/rooms/queries.ts';
import { unavailable } from '#src/http/errors.ts';

/** How long a request waits. */
export const MEMBERS_PATIENCE_MS = 30_000;
/** Requests that may wait; beyond it they are turned down at once. */
const MAX_WAITING = 10_000;

/**
 * Tells whether all members of a room are known: they are not at once where the server came into a room by way of another that tells
 * them later.
 */
export class MembersKnown {
  readonly #engine: Pick<ProjectionEngine, 'reader' | 'onAdvance'>;
  readonly #serverName: string;
  readonly #patienceMs: number;
  #waiting = 0;

  constructor(
    engine: Pick<ProjectionEngine, 'reader' | 'onAdvance'>,
    serverName: string,
    patienceMs: number = MEMBERS_PATIENCE_MS,
  ) {
    this.#engine = engine;
    this.#serverName = serverName;
    this.#patienceMs = patienceMs;
  }

  /** Whether some members of a room are not known yet, and will be: once the server has left the room nobody tells it any more. */
  areAwaited(roomId: string): boolean {
    const { reader } = this.#engine;
    const room = findRoom(reader, roomId);
    return room !== undefined && isPartial(reader, room.id) && isServerIn(reader, room.id, this.#serverName);
  }

  /** Resolves when all members of a room are known. @throws {MatrixError} 503 if that takes too long. */
  async wait(roomId: string): Promise<void> {
    if (!this.areAwaited(roomId)) return;
    const tooLong = 'This server has not been told yet who is in the room. Please try again in a moment.';
    if (this.#waiting >= MAX_WAITING) throw unavailable(tooLong);
    this.#waiting += 1;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = this.#engine.onAdvance((_frontier, touched) => {
      if (touched.has(`room:${roomId}`) && !this.areAwaited(roomId)) resolve();
    });
    const timer = setTimeout(() => reject(unavailable(tooLong)), this.#patienceMs);
    timer.unref();
    try {
      await promise;
    } finally {
      this.#waiting -= 1;
      clearTimeout(timer);
      stop();
    }
  }
}
