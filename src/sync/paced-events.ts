import type { Event } from '#projections/rooms/queries.ts';
import type { Pacer } from './pacer.ts';

/** Events that are written out at a time. */
const EVENTS_A_SLICE = 256;

/** JSON text of a list of events, written out in slices so that others get their turn. */
export async function pacedEvents(
  events: readonly Event[],
  pacer: Pacer,
  text: (event: Event) => string,
): Promise<string> {
  if (events.length <= EVENTS_A_SLICE) return `[${events.map(text).join(',')}]`;
  const slices: string[] = [];
  for (let from = 0; from < events.length; from += EVENTS_A_SLICE) {
    if (pacer.isDue) await pacer.pause();
    slices.push(
      events
        .slice(from, from + EVENTS_A_SLICE)
        .map(text)
        .join(','),
    );
  }
  return `[${slices.join(',')}]`;
}
