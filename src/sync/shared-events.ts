/** What was read and put into text for one user, for the others who are told of the same at the same moment. */
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt } from '#projections/rooms/queries.ts';
import type { Position } from '#streams/event-log.ts';
import { clientEvent, type EventView, isOwnTransaction } from './client-event.ts';

/** Most events that are kept; none has more than 64 KiB. */
const MAX_EVENTS = 500;
/** How long a text may be used whose `age` was right when it was made. */
const MAX_AGE_MS = 1000;

/**
 * Events and their texts, kept as long as the log does not move: so that one event which wakes a hundred members is read and
 * written out once, and never shown as it was before a redaction.
 */
export class SharedEvents {
  readonly #events = new Map<Position, Event>();
  readonly #texts = new Map<Position, string>();
  #frontier: Position | undefined;
  #madeMs = 0;

  /** The event at a position. */
  event(reader: Reader, position: Position): Event | undefined {
    this.#keepUp(reader);
    const known = this.#events.get(position);
    if (known !== undefined) return known;
    const event = eventAt(reader, position);
    if (event !== undefined && this.#events.size < MAX_EVENTS) this.#events.set(position, event);
    return event;
  }

  /** JSON text of an event for a client, as {@link clientEvent} gives it. */
  text(view: EventView, event: Event): string {
    if (!isAlikeForMembers(view, event)) return clientEvent(view, event);
    this.#keepUp(view.reader);
    if (Math.abs(view.nowMs - this.#madeMs) > MAX_AGE_MS) {
      this.#texts.clear();
      this.#madeMs = view.nowMs;
    }
    const known = this.#texts.get(event.position);
    if (known !== undefined) return known;
    const text = clientEvent(view, event);
    if (this.#texts.size < MAX_EVENTS) this.#texts.set(event.position, text);
    return text;
  }

  #keepUp({ frontier }: Reader): void {
    if (frontier === this.#frontier) return;
    this.#frontier = frontier;
    this.#events.clear();
    this.#texts.clear();
  }
}

/** Whether everybody who was a member when the event came sees the same of it. */
function isAlikeForMembers(view: EventView, event: Event): boolean {
  const { selectFields, roomId, viewer, visibility, bundles } = view;
  return (
    selectFields === undefined &&
    roomId === undefined &&
    // Whether the event that was replaced may be seen is each member's own matter.
    event.replaces === undefined &&
    !isOwnTransaction(event, viewer) &&
    // So is what they were when it was redacted.
    event.redactedBy === undefined &&
    visibility.membershipAt(event) === 'join' &&
    // What relates to it is counted for each without those whom they ignore.
    bundles?.mayHave(event) !== true
  );
}
