import { powerLevelsBehind } from './auth-chain.ts';
import { AuthChainCycleError } from './errors.ts';
import { compareByTime } from './power-order.ts';
import type { ResolutionContext, ResolutionEvent } from './types.ts';

/** Position of an event that no power levels of the mainline stand behind: before all others. */
const BEFORE_MAINLINE = -1;

/**
 * Events in mainline ordering: those that rest on the earliest power levels of the mainline come first.
 * Source: rooms/v2, "Definitions".
 *
 * @param powerLevels the partially resolved ones, from which the mainline goes back; `undefined` if there are none.
 * @throws {AuthChainCycleError} if power levels authorise each other in a circle.
 */
export function inMainlineOrder(
  events: readonly ResolutionEvent[],
  powerLevels: ResolutionEvent | undefined,
  context: ResolutionContext,
): ResolutionEvent[] {
  if (events.length === 0) return [];
  const positions = mainlinePositions(powerLevels, context);
  return events
    .map((event) => ({ event, position: positionOf(event, positions, context) }))
    .sort((a, b) => a.position - b.position || compareByTime(a.event, b.event))
    .map(({ event }) => event);
}

/** Event → how late in the mainline it is; 0 is the first power levels of the room. */
function mainlinePositions(
  powerLevels: ResolutionEvent | undefined,
  { event: lookup, rules }: ResolutionContext,
): Map<string, number> {
  const mainline = new Set<string>();
  for (let at = powerLevels; at !== undefined; at = powerLevelsBehind(at, lookup, rules)) {
    if (mainline.has(at.eventId)) throw new AuthChainCycleError(at.eventId);
    mainline.add(at.eventId);
  }
  const last = mainline.size - 1;
  return new Map([...mainline].map((eventId, index) => [eventId, last - index]));
}

/** Every event on the way is given its position too, so that no stretch of power levels is walked twice. */
function positionOf(event: ResolutionEvent, positions: Map<string, number>, context: ResolutionContext): number {
  const way = new Set<string>();
  let position = BEFORE_MAINLINE;
  for (
    let at: ResolutionEvent | undefined = event;
    at !== undefined;
    at = powerLevelsBehind(at, context.event, context.rules)
  ) {
    const known = positions.get(at.eventId);
    if (known !== undefined) {
      position = known;
      break;
    }
    if (way.has(at.eventId)) throw new AuthChainCycleError(at.eventId);
    way.add(at.eventId);
  }
  for (const eventId of way) positions.set(eventId, position);
  return position;
}
