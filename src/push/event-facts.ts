/** An event as the conditions of push rules look at it: each piece is parsed when it is first asked for, and once. */
import type { Event } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';

/** A property of an event: its names from the outside in, `['content', 'body']`. */
export interface PropertyPath {
  readonly names: readonly string[];
  /** The path as it is written in rules; the same for the same property. */
  readonly text: string;
}

const EMPTY: JsonObject = {};

export class EventFacts {
  readonly event: Event;
  readonly roomId: string;
  #content: JsonObject | undefined;
  readonly #lowered = new Map<string, string | undefined>();

  constructor(event: Event, roomId: string) {
    this.event = event;
    this.roomId = roomId;
  }

  get content(): JsonObject {
    if (this.#content === undefined) {
      const parsed = parseJson(this.event.contentJson);
      this.#content = isJsonObject(parsed) ? parsed : EMPTY;
    }
    return this.#content;
  }

  /** Whether the event says whom it mentions, if only that it mentions nobody. */
  get saysMentions(): boolean {
    return Object.hasOwn(this.content, 'm.mentions');
  }

  /** The value of a property; undefined if there is none. What is within a list is not a property. */
  value({ names }: PropertyPath): JsonValue | undefined {
    const [first = '', ...inner] = names;
    if (first !== 'content') return inner.length === 0 ? this.#field(first) : undefined;
    let value: JsonValue | undefined = this.content;
    for (const name of inner) {
      if (!isJsonObject(value)) return undefined;
      value = ownValue(value, name);
    }
    return value;
  }

  /** The value of a property in lower case; undefined if it is not a text. */
  lowered(path: PropertyPath): string | undefined {
    if (this.#lowered.has(path.text)) return this.#lowered.get(path.text);
    const value = this.value(path);
    const lowered = typeof value === 'string' ? value.toLowerCase() : undefined;
    this.#lowered.set(path.text, lowered);
    return lowered;
  }

  #field(name: string): JsonValue | undefined {
    const { event } = this;
    switch (name) {
      case 'type':
        return event.type;
      case 'sender':
        return event.sender;
      case 'state_key':
        return event.stateKey;
      case 'room_id':
        return this.roomId;
      case 'event_id':
        return event.eventId;
      case 'origin_server_ts':
        return event.originServerTs;
      default:
        return undefined;
    }
  }
}

/**
 * Reads a path: names with dots between them, a dot or a backslash of a name behind a backslash.
 * https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
 */
export function parsePropertyPath(text: string): PropertyPath {
  const names: string[] = [];
  let name = '';
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    const next = text.charAt(index + 1);
    if (character === '\\' && (next === '.' || next === '\\')) {
      name += next;
      index += 1;
    } else if (character === '.') {
      names.push(name);
      name = '';
    } else {
      name += character;
    }
  }
  names.push(name);
  return { names, text };
}
