import type { JsonObject } from '#protocol/pdu.ts';
import { Lru } from '#src/sync/lru.ts';
import type { Claim, ClaimListener, Left, Work } from './work.ts';

/** Pieces of work of which is remembered how they were left, some 150 bytes each. Of others the log knows something older. */
const MAX_REMEMBERED = 20_000;
/** Nobody takes a piece of work away from somebody in the same process. */
const NEVER = new AbortController().signal;

/** Who in this process has which piece of work. */
export class LocalClaims {
  readonly #held = new Map<Work, ClaimListener>();
  readonly #left = new Lru<Work, Left>(MAX_REMEMBERED);
  readonly #onReleased: (work: Work) => void;

  /** @param onReleased told when a piece of work is free again */
  constructor(onReleased: (work: Work) => void) {
    this.#onReleased = onReleased;
  }

  claim(work: Work, listener: ClaimListener): Claim | undefined {
    if (this.#held.has(work)) return undefined;
    this.#held.set(work, listener);
    let isHeld = true;
    return {
      left: this.#left.get(work),
      lost: NEVER,
      release: (left) => {
        if (!isHeld) return;
        isHeld = false;
        this.#held.delete(work);
        if (left !== undefined) this.#left.set(work, left);
        this.#onReleased(work);
      },
    };
  }

  /** @returns whether somebody has the work. */
  tell(work: Work, message: JsonObject): boolean {
    const listener = this.#held.get(work);
    listener?.(message);
    return listener !== undefined;
  }
}
