import { powerLevelsBehind } from './auth-chain.ts';
import { AuthChainCycleError } from './errors.ts';
import { compareByTime } from './power-order.ts';
import type { ResolutionContext, ResolutionEvent } from './types.ts';

/** Position of an event that no power levels of the mainline stand behind: before all others. */
const BEFORE_MAINLINE = Number.NEGATIVE_INFINITY;

/**
 * Events in mainline ordering: those that rest on the earliest power levels of the mainline come first.
 * Source: rooms/v2, "Definitions".
 *
 * @param powerLevels the partially resolved ones, from which the mainline goes back; `undefined` if there are none.
 * @throws {AuthChainCycleError} if power levels authorise each other in a circle; not if the order does not depend on them.
 */
export function inMainlineOrder(
  events: readonly ResolutionEvent[],
  powerLevels: ResolutionEvent | undefined,
  context: ResolutionContext,
): ResolutionEvent[] {
  const behind = events.map((event) => ({ event, levels: powerLevelsBehind(event, context.event, context.rules) }));
  const [first] = behind;
  // Most forks rest on the same power levels all over, and then the mainline need not be known.
  const isLevel = behind.every(({ levels }) => levels?.eventId === first?.levels?.eventId);
  const mainline = new Mainline(powerLevels, context);
  return behind
    .map(({ event, levels }) => ({ event, position: isLevel ? 0 : mainline.positionOf(levels) }))
    .sort((a, b) => (a.position === b.position ? compareByTime(a.event, b.event) : a.position < b.position ? -1 : 1))
    .map(({ event }) => event);
}

/**
 * The mainline, known as far back as it was asked for. From any power levels the way back is the same for all who come by,
 * so a way that meets the mainline goes along it from there: both are gone back in step until they meet. What it takes grows
 * with the distance to there, not with the age of the room.
 */
class Mainline {
  readonly #context: ResolutionContext;
  /** Event → its position: 0 for the latest, less for each before it. */
  readonly #known = new Map<string, number>();
  /** The event of the mainline that is to become known next. */
  #next: ResolutionEvent | undefined;
  /** Power levels on ways gone before → the position that they led to. */
  readonly #beside = new Map<string, number>();

  constructor(latest: ResolutionEvent | undefined, context: ResolutionContext) {
    this.#next = latest;
    this.#context = context;
  }

  /** Position of the latest power levels of the mainline that given ones are, or have behind them. */
  positionOf(levels: ResolutionEvent | undefined): number {
    const way = new Set<string>();
    const position = this.#meet(levels, way);
    for (const eventId of way) {
      // Where the way went on along the mainline before they met, what is on it has a position of its own.
      if (this.#known.has(eventId)) break;
      this.#beside.set(eventId, position);
    }
    return position;
  }

  #meet(levels: ResolutionEvent | undefined, way: Set<string>): number {
    let at = levels;
    for (;;) {
      if (at !== undefined) {
        const position = this.#known.get(at.eventId) ?? this.#beside.get(at.eventId);
        if (position !== undefined) return position;
        if (way.has(at.eventId)) throw new AuthChainCycleError(at.eventId);
        way.add(at.eventId);
        at = this.#before(at);
      } else if (this.#next === undefined) return BEFORE_MAINLINE;
      const met = this.#extend();
      if (met !== undefined && way.has(met)) return this.#known.get(met) as number;
    }
  }

  /** Goes back along the mainline by one, to the event that is returned. */
  #extend(): string | undefined {
    const event = this.#next;
    if (event === undefined) return undefined;
    if (this.#known.has(event.eventId)) throw new AuthChainCycleError(event.eventId);
    this.#known.set(event.eventId, -this.#known.size);
    this.#next = this.#before(event);
    return event.eventId;
  }

  #before(levels: ResolutionEvent): ResolutionEvent | undefined {
    return powerLevelsBehind(levels, this.#context.event, this.#context.rules);
  }
}
