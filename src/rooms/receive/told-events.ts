/** Events that a server tells all at once, on their way in: a state, and what authorises it. */
import type { Reader } from '#projections/engine/reader.ts';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import { authEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { checkForm } from './check-form.ts';
import { keyRequestsOf } from './check-signatures.ts';
import type { KeyRequest, Receipt, ReceivingRoom } from './types.ts';

/**
 * JSON text of events that are held as objects, which take some four times as much. Of what comes beyond it the text is held, where
 * there is one, and parsed again when its turn comes.
 */
const MAX_PARSED_BYTES = 16 * 1024 * 1024;

/** An event that waits for its turn. */
interface Held {
  /** Of those that were told; others are known or are not. */
  readonly authEventIds: readonly string[];
  readonly receipt: Receipt | undefined;
  readonly text: Buffer | undefined;
}

export interface ToldEventsOptions {
  readonly reader: Reader;
  readonly room: ReceivingRoom;
  /** The server that tells them. */
  readonly origin: string;
}

/** Events that have the right form and are not known, each once. */
export class ToldEvents {
  readonly #options: ToldEventsOptions;
  readonly #held = new Map<string, Held>();
  readonly #keyRequests = new Map<string, KeyRequest>();
  #parsedBytes = 0;

  constructor(options: ToldEventsOptions) {
    this.#options = options;
  }

  get room(): ReceivingRoom {
    return this.#options.room;
  }

  /** How many are held. */
  get size(): number {
    return this.#held.size;
  }

  /**
   * Takes in an event; gives its id, whether it is new or known. Undefined for what has no right form.
   * @param text its JSON text; copied where it is kept.
   */
  add(event: JsonObject, text?: Buffer): string | undefined {
    const { reader, room, origin } = this.#options;
    const receipt = checkForm(room, origin, event);
    if ('kind' in receipt) return undefined;
    const { eventId, pdu } = receipt;
    if (this.#held.has(eventId) || positionOfEvent(reader, eventId) !== undefined) return eventId;
    const authEventIds = [...authEventIdsOf(pdu, room.rules)];
    if (!room.rules.eventFormat.createEventInAuthEvents) authEventIds.push(createEventIdFromRoomId(room.roomId));
    this.#noteKeys(receipt);
    const isTooMuch = text !== undefined && this.#parsedBytes + text.length > MAX_PARSED_BYTES;
    if (!isTooMuch) this.#parsedBytes += text?.length ?? 0;
    this.#held.set(eventId, {
      authEventIds: authEventIds.filter((id) => id !== eventId),
      receipt: isTooMuch ? undefined : receipt,
      text: isTooMuch ? Buffer.from(text) : undefined,
    });
    return eventId;
  }

  /** All keys that it takes to check their signatures: a server with many events is asked once. */
  keyRequests(): KeyRequest[] {
    return [...this.#keyRequests.values()];
  }

  /**
   * Gives each event after those among them that authorise it, and lets go of it; what authorises itself in a circle comes
   * somewhere. Walks with a stack.
   */
  *inAuthOrder(): Generator<Receipt> {
    const done = new Set<string>();
    const open = new Set<string>();
    for (const root of [...this.#held.keys()]) {
      const stack: { readonly eventId: string; readonly pending: string[] }[] = [];
      const enter = (eventId: string, held: Held): void => {
        open.add(eventId);
        stack.push({ eventId, pending: held.authEventIds.filter((id) => this.#held.has(id)) });
      };
      const first = this.#held.get(root);
      if (first !== undefined) enter(root, first);
      for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
        const id = frame.pending.pop();
        if (id !== undefined) {
          const held = this.#held.get(id);
          if (held !== undefined && !done.has(id) && !open.has(id)) enter(id, held);
          continue;
        }
        stack.pop();
        done.add(frame.eventId);
        const receipt = this.#take(frame.eventId);
        if (receipt !== undefined) yield receipt;
      }
    }
  }

  #take(eventId: string): Receipt | undefined {
    const held = this.#held.get(eventId);
    this.#held.delete(eventId);
    if (held?.text === undefined) return held?.receipt;
    const { room, origin } = this.#options;
    const receipt = checkForm(room, origin, parseJsonExactly(held.text.toString('utf8')) as JsonObject);
    return 'kind' in receipt ? undefined : receipt;
  }

  #noteKeys(receipt: Receipt): void {
    for (const request of keyRequestsOf(receipt)) {
      const { serverName, keyIds, validAtMs } = request;
      // Neither names of servers nor ids of keys have spaces where they can be found at all.
      const name = [serverName, ...keyIds].join(' ');
      const known = this.#keyRequests.get(name);
      if (known === undefined || known.validAtMs < validAtMs) this.#keyRequests.set(name, request);
    }
  }
}
