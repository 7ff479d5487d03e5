/**
 * What is bundled with events that others relate to: `m.relations` in `unsigned`.
 * https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events
 */
import type { Reader } from '#projections/engine/reader.ts';
import { REFERENCE, THREAD } from '#projections/relations/projection.ts';
import {
  bundledBitsOf,
  childrenOf,
  replacementsOf,
  sentInThread,
  threadOf,
  threadSendersOf,
} from '#projections/relations/queries.ts';
import { Bundled } from '#projections/relations/tables.ts';
import { type Event, eventAt } from '#projections/rooms/queries.ts';
import { clientEvent, type EventBundles, type EventView } from './client-event.ts';

/** References of one event that are listed, the newest ones; the rest is there for who asks for relations. */
export const MAX_REFERENCES = 1000;
/** Events of a thread that are looked at for the last one that the user may see, and to count those. */
const MAX_THREAD_EVENTS_SCANNED = 1000;
/** Replacements that are looked at for the latest one that the user may see. */
const MAX_REPLACEMENTS_SCANNED = 100;

/** Bundles for one user, who does not see what those sent whom they ignore. */
export class BundledRelations implements EventBundles {
  readonly #reader: Reader;
  readonly #ignored: ReadonlySet<string>;

  constructor(reader: Reader, ignored: ReadonlySet<string>) {
    this.#reader = reader;
    this.#ignored = ignored;
  }

  mayHave(event: Event): boolean {
    return event.stateKey === undefined && bundledBitsOf(this.#reader, event.position) !== 0;
  }

  textFor(view: EventView, event: Event): string | undefined {
    // State events get none. Source: "Aggregations of child events".
    if (event.stateKey !== undefined) return undefined;
    const bits = bundledBitsOf(this.#reader, event.position);
    if (bits === 0) return undefined;
    const parts: string[] = [];
    const add = (bit: number, name: string, text: () => string | undefined): void => {
      const part = (bits & bit) === 0 ? undefined : text();
      if (part !== undefined) parts.push(`"${name}":${part}`);
    };
    add(Bundled.reference, 'm.reference', () => this.#references(view, event));
    add(Bundled.replacement, 'm.replace', () => this.#replacement(view, event));
    add(Bundled.thread, 'm.thread', () => this.#thread(view, event));
    return parts.length === 0 ? undefined : `{${parts.join(',')}}`;
  }

  hasThread(view: EventView, event: Event): boolean {
    const thread = threadOf(this.#reader, event.room, event.eventId);
    return thread !== undefined && this.#threadEvents(view, event, thread.count).latest !== undefined;
  }

  #references(view: EventView, event: Event): string | undefined {
    const ids: string[] = [];
    let scanned = 0;
    for (const child of childrenOf(this.#reader, event.room, event.eventId, { relType: REFERENCE, direction: 'b' })) {
      if (++scanned > MAX_REFERENCES) break;
      const reference = this.#visible(view, child);
      if (reference !== undefined) ids.push(`{"event_id":${JSON.stringify(reference.eventId)}}`);
    }
    return ids.length === 0 ? undefined : `{"chunk":[${ids.reverse().join(',')}]}`;
  }

  #replacement(view: EventView, event: Event): string | undefined {
    let scanned = 0;
    for (const position of replacementsOf(this.#reader, event)) {
      if (++scanned > MAX_REPLACEMENTS_SCANNED) break;
      const replacement = eventAt(this.#reader, position);
      if (replacement === undefined || !view.visibility.canSee(replacement)) continue;
      return clientEvent({ ...view, bundles: undefined, selectFields: undefined }, replacement);
    }
    return undefined;
  }

  #thread(view: EventView, root: Event): string | undefined {
    // No thread begins at an event that relates to another one. Source: "Threading".
    const thread = root.relation === undefined ? threadOf(this.#reader, root.room, root.eventId) : undefined;
    if (thread === undefined) return undefined;
    const { latest, count } = this.#threadEvents(view, root, thread.count);
    if (latest === undefined) return undefined;
    const { userId } = view.viewer;
    const hasParticipated = root.sender === userId || sentInThread(this.#reader, root.room, root.eventId, userId) > 0;
    const latestText = clientEvent({ ...view, selectFields: undefined }, latest);
    return `{"count":${count},"current_user_participated":${hasParticipated},"latest_event":${latestText}}`;
  }

  /** The last event of a thread that the user may see, and how many they may. */
  #threadEvents(view: EventView, root: Event, total: number): { latest: Event | undefined; count: number } {
    const { room, eventId } = root;
    let latest: Event | undefined;
    let hidden = false;
    let count = 0;
    let scanned = 0;
    for (const child of childrenOf(this.#reader, room, eventId, { relType: THREAD, direction: 'b' })) {
      if (++scanned > MAX_THREAD_EVENTS_SCANNED) break;
      if (this.#ignored.has(child.sender)) continue;
      const event = this.#visible(view, child);
      if (event === undefined) {
        hidden = true;
        continue;
      }
      count += 1;
      latest ??= event;
      // To whoever sees the end of it, all of it counts: there is no need to look at each.
      if (!hidden) return { latest, count: total - this.#sentByIgnored(room, eventId) };
    }
    return { latest, count };
  }

  #sentByIgnored(room: number, root: string): number {
    if (this.#ignored.size === 0) return 0;
    let sent = 0;
    for (const { userId, count } of threadSendersOf(this.#reader, room, root)) {
      if (this.#ignored.has(userId)) sent += count;
    }
    return sent;
  }

  #visible(view: EventView, child: { readonly position: number; readonly sender: string }): Event | undefined {
    if (this.#ignored.has(child.sender)) return undefined;
    const event = eventAt(this.#reader, child.position);
    return event !== undefined && view.visibility.canSee(event) ? event : undefined;
  }
}
