/** Waiting until all members of a room are known. */
import type { Reader } from '#projections/engine/reader.ts';
import { isPartial } from '#projections/rooms/partial.ts';
import { findRoom, isServerIn } from '#projections/rooms/queries.ts';
import { type Bus, BusFullError, roomTopic } from '#src/bus/bus.ts';
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
  readonly #reader: Reader;
  readonly #bus: Bus;
  readonly #serverName: string;
  readonly #patienceMs: number;
  #waiting = 0;

  constructor(reader: Reader, bus: Bus, serverName: string, patienceMs: number = MEMBERS_PATIENCE_MS) {
    this.#reader = reader;
    this.#bus = bus;
    this.#serverName = serverName;
    this.#patienceMs = patienceMs;
  }

  /** Whether some members of a room are not known yet, and will be: once the server has left the room nobody tells it any more. */
  areAwaited(roomId: string): boolean {
    const room = findRoom(this.#reader, roomId);
    return (
      room !== undefined && isPartial(this.#reader, room.id) && isServerIn(this.#reader, room.id, this.#serverName)
    );
  }

  /** Resolves when all members of a room are known. @throws {MatrixError} 503 if that takes too long. */
  async wait(roomId: string): Promise<void> {
    if (!this.areAwaited(roomId)) return;
    const tooLong = 'This server has not been told yet who is in the room. Please try again in a moment.';
    if (this.#waiting >= MAX_WAITING) throw unavailable(tooLong);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = this.#subscribe(roomId, resolve);
    if (stop === undefined) throw unavailable(tooLong);
    this.#waiting += 1;
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

  /** Undefined where as many wait already as may. */
  #subscribe(roomId: string, onKnown: () => void): (() => void) | undefined {
    try {
      return this.#bus.subscribe([roomTopic(roomId)], () => {
        if (!this.areAwaited(roomId)) onKnown();
      });
    } catch (error) {
      if (error instanceof BusFullError) return undefined;
      throw error;
    }
  }
}
