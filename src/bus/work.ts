/**
 * Work that several nodes share: each piece is done by one of them at a time. Nothing of the work itself goes over the bus. What there
 * is to do is in the log, which every node reads, so a piece of work is a name and the position up to which it is done; whoever
 * gets it goes on from there. DESIGN.md §6.
 */
import type { JsonObject } from '#protocol/pdu.ts';
import { KeyedLock } from '#src/commands/keyed-lock.ts';
import type { Position } from '#streams/event-log.ts';
import type { Bus, Topic } from './bus.ts';
import { Waiter } from './wait.ts';

/** A piece of work; made by {@link sendingTo}, {@link receivingFrom} and {@link TELLING}. */
export type Work = `send:${string}` | `receive:${string}` | 'tell';

/** Everything that a server is sent. */
export function sendingTo(server: string): Work {
  return `send:${server}`;
}

/** Taking in what a server sends of one room. */
export function receivingFrom(server: string, roomId: string): Work {
  return `receive:${server.length}:${server}${roomId}`;
}

/** Telling other servers what the log has of receipts and of who came into rooms, of which nobody keeps account. */
export const TELLING: Work = 'tell';

/** Published when a piece of work is free again. */
export function workTopic(work: Work): Topic {
  return `work:${work}`;
}

/** How whoever had a piece of work left it. */
export interface Left {
  /** Up to where in the log it is done. */
  readonly upTo: Position;
  /** Whether that is all there was; else whoever has it next looks in the log for what comes after. */
  readonly isDone: boolean;
}

/** A piece of work that this node has. */
export interface Claim {
  /** How it was left; undefined if that is not remembered any more, or nobody has had it: what the log says counts. */
  readonly left: Left | undefined;
  /** Fires when the node loses the work without having given it back. It then stops working at it. */
  readonly lost: AbortSignal;
  /** Gives it back. Doing so again does nothing. */
  release(left?: Left): void;
}

/** Told what other nodes pass on to the node that has a piece of work. Must return at once and not throw. */
export type ClaimListener = (message: JsonObject) => void;

/** How long is waited for a piece of work before it is asked for again: whoever had it may have ended without a word. */
const ASK_AGAIN_MS = 1000;

/** Pieces of work that wait until they are free, in the order in which this node asked for them. */
export class Turns {
  readonly #bus: Bus;
  readonly #here = new KeyedLock();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Runs something while no node does the work. @throws {MatrixError} 503 if too many wait for it here. */
  run<T>(work: Work, run: () => Promise<T>): Promise<T> {
    return this.#here.run(work, async () => {
      const claim = await this.#claimed(work);
      try {
        return await run();
      } finally {
        claim.release();
      }
    });
  }

  async #claimed(work: Work): Promise<Claim> {
    const claim = await this.#bus.claim(work);
    if (claim !== undefined) return claim;
    using waiter = new Waiter(this.#bus, [workTopic(work)]);
    for (;;) {
      const later = await this.#bus.claim(work);
      if (later !== undefined) return later;
      await waiter.wait({ timeoutMs: ASK_AGAIN_MS });
    }
  }
}
