/** The head of every stream: its revision, and the positions that the links of its next record need. */
import { NO_STREAM, type Position, type Revision } from '../event-log.ts';

/** Positions of the records of revisions r, r & (r − 1), …, 0: r is the stream's last revision. */
export type Chain = readonly Position[];

/** One stream's head. */
export interface StreamHead {
  /** Last durable revision. */
  revision: Revision;
  /** Chain of the durable revision. */
  chain: Chain;
  /** Last revision including queued appends. */
  queued: Revision;
  /** What the commit under way will make of it. */
  writing: { readonly revision: Revision; readonly chain: Chain } | undefined;
}

/** Chain of revision r + 1, which is at `position`, from that of r. */
export function nextChain(chain: Chain, revision: Revision, position: Position): Chain {
  // r + 1 keeps the higher bits of r and clears its trailing ones: as many entries leave the chain.
  const next = [position];
  for (let index = trailingOnes(revision); index < chain.length; index++) {
    const kept = chain[index];
    if (kept !== undefined) next.push(kept);
  }
  return next;
}

/** r & (r − 1) for revisions beyond 32 bits. */
export function clearLowestBit(revision: Revision): Revision {
  let bit = 1;
  while (revision % (2 * bit) === 0) bit *= 2;
  return revision - bit;
}

function trailingOnes(revision: Revision): number {
  let ones = 0;
  // The stream that does not exist yet (-1) has no entries, so none to leave.
  for (let rest = revision; rest > 0 && rest % 2 === 1; rest = (rest - 1) / 2) ones += 1;
  return ones;
}

export class StreamHeads {
  readonly #heads = new Map<string, StreamHead>();

  get size(): number {
    return this.#heads.size;
  }

  get(stream: string): StreamHead | undefined {
    return this.#heads.get(stream);
  }

  /** The head of a stream, made if there is none. */
  of(stream: string): StreamHead {
    let head = this.#heads.get(stream);
    if (head === undefined) {
      head = { revision: NO_STREAM, chain: [], queued: NO_STREAM, writing: undefined };
      this.#heads.set(stream, head);
    }
    return head;
  }

  /** Forgets queued revisions of a stream, and the stream if nothing of it is durable. */
  rollBack(stream: string): void {
    const head = this.#heads.get(stream);
    if (head === undefined) return;
    head.writing = undefined;
    head.queued = head.revision;
    if (head.revision === NO_STREAM) this.#heads.delete(stream);
  }

  /** Takes what the index of a segment says of a stream. */
  set(stream: string, revision: Revision, chain: Chain): void {
    const head = this.of(stream);
    head.revision = revision;
    head.queued = revision;
    head.chain = chain;
  }
}
