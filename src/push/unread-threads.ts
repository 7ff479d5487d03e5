import type { Position } from '#streams/event-log.ts';

/** Places of the unread events of a thread, in the order of the timeline. */
export interface UnreadThread {
  readonly places: Position[];
  readonly highlights: Position[];
}

/** Whether two counts of a room are of the same events. */
export function isSameUnread(
  some: ReadonlyMap<string, UnreadThread>,
  others: ReadonlyMap<string, UnreadThread>,
): boolean {
  if (some.size !== others.size) return false;
  for (const [thread, { places, highlights }] of some) {
    const other = others.get(thread);
    if (other === undefined || !isSameList(places, other.places) || !isSameList(highlights, other.highlights)) {
      return false;
    }
  }
  return true;
}

function isSameList(some: readonly Position[], others: readonly Position[]): boolean {
  return some.length === others.length && some.every((place, index) => place === others[index]);
}
