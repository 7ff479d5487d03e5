import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { type AuthNode, authChains, authCitations, authLinks, authNodes } from './tables.ts';

/** A place in a chain. */
export interface ChainPlace {
  readonly chain: Position;
  readonly seq: number;
}

/** A step from the place `at` of some chain to another chain. */
export interface ChainLink extends ChainPlace {
  readonly at: number;
}

/** Links that are read at a time. */
export const LINKS_PER_READ = 64;
/** After every place there is. */
export const TOP = 2 ** 32 - 1;

/** The chains of one room, as the rows say. */
export class ChainGraph {
  readonly #reader: Reader;
  readonly #room: Position;
  readonly #nodes = new Map<Position, AuthNode | undefined>();

  constructor(reader: Reader, room: Position) {
    this.#reader = reader;
    this.#room = room;
  }

  /** `undefined` for an event that is not in the index. */
  node(event: Position): AuthNode | undefined {
    const known = this.#nodes.get(event);
    if (known !== undefined || this.#nodes.has(event)) return known;
    const node = this.#reader.get(authNodes, [event]);
    this.#nodes.set(event, node);
    return node;
  }

  /** The places of some events, those that are in the index. */
  placesOf(events: Iterable<Position>): ChainPlace[] {
    const places: ChainPlace[] = [];
    for (const event of events) {
      const node = this.node(event);
      if (node !== undefined) places.push(node);
    }
    return places;
  }

  /** Where a stretch of a chain leads: after one place, up to another; by place. */
  *linksBetween(chain: Position, after: number, upTo: number): Generator<ChainLink> {
    if (after < 1 && upTo >= 1) {
      for (const place of this.placesOf(this.node(chain)?.authEvents ?? []))
        yield { at: 1, chain: place.chain, seq: place.seq };
    }
    if (upTo <= 1) return;
    const prefix = [this.#room, chain] as const;
    const rows = this.#reader.range(authLinks, { prefix, gt: [...prefix, Math.max(after, 1)], lte: [...prefix, upTo] });
    for (const { key, value } of rows) yield { at: key[2], chain: key[3], seq: value };
  }

  /**
   * What leads to a stretch of a chain: from a place on, to before another, the newest target first; at most
   * {@link LINKS_PER_READ}. `at` is the place there; the place is where the link comes from.
   *
   * @param last the link after which to go on.
   */
  citationsBetween(chain: Position, from: number, before: number, last: ChainLink | undefined): ChainLink[] {
    const prefix = [this.#room, chain] as const;
    const lt = last === undefined ? ([...prefix, before] as const) : ([...prefix, last.at, last.chain] as const);
    const range = { prefix, gte: [...prefix, from], lt, reverse: true, limit: LINKS_PER_READ } as const;
    return Array.from(this.#reader.range(authCitations, range), ({ key, value }) => ({
      at: key[2],
      chain: key[3],
      seq: value,
    }));
  }

  /** The events of a stretch of a chain: after one place, up to another. */
  eventsBetween(chain: Position, after: number, upTo: number): Position[] {
    const prefix = [this.#room, chain] as const;
    const rows = this.#reader.range(authChains, { prefix, gt: [...prefix, after], lte: [...prefix, upTo] });
    return Array.from(rows, ({ value }) => value);
  }

  /** The newest event of a chain at or before a place for which a condition holds; its place, or 0. */
  lastSeqWhere(chain: Position, condition: (event: Position) => boolean): number {
    const rows = this.#reader.range(authChains, { prefix: [this.#room, chain], reverse: true });
    for (const { key, value } of rows) if (condition(value)) return key[2];
    return 0;
  }
}
