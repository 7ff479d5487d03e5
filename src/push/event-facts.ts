/** An event as the conditions of push rules look at it: each piece is parsed when it is first asked for, and once. */
import type { Event } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';

/** A property of an event: its names from the outside in, `['content', 'body']`. */
export interface PropertyPath {
  readonly names: readonly string[];
  /** The path as it is written in rules. */
  readonly text: string;
}

const EMPTY: JsonObject = {};
/** Rules whose answer is remembered for an event; more are asked again. */
export const MAX_SHARED_TESTS = 32;
const UNKNOWN = 0;
const HOLDS = 1;
const FAILS = 2;

export class EventFacts {
  readonly event: Event;
  readonly roomId: string;
  #content: JsonObject | undefined;
  #saysMentions: boolean | undefined;
  readonly #values = new Map<PropertyPath, JsonValue | undefined>();
  readonly #lowered = new Map<PropertyPath, string | undefined>();
  readonly #shared = new Uint8Array(MAX_SHARED_TESTS);

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
    this.#saysMentions ??= Object.hasOwn(this.content, 'm.mentions');
    return this.#saysMentions;
  }

  /** What a test that many users' rules share says of the event: asked once. `id` is below {@link MAX_SHARED_TESTS}. */
  ask(id: number, test: () => boolean): boolean {
    const known = this.#shared[id] ?? UNKNOWN;
    if (known !== UNKNOWN) return known === HOLDS;
    const holds = test();
    this.#shared[id] = holds ? HOLDS : FAILS;
    return holds;
  }

  /** The value of a property; undefined if there is none. What is within a list is not a property. */
  value(path: PropertyPath): JsonValue | undefined {
    if (this.#values.has(path)) return this.#values.get(path);
    const value = this.#find(path);
    this.#values.set(path, value);
    return value;
  }

  #find({ names }: PropertyPath): JsonValue | undefined {
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
    if (this.#lowered.has(path)) return this.#lowered.get(path);
    const value = this.value(path);
    const lowered = typeof value === 'string' ? value.toLowerCase() : undefined;
    this.#lowered.set(path, lowered);
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

/** Paths that are remembered, so that rules of many users name a property by the same object. */
const MAX_PATHS_REMEMBERED = 1000;
const paths = new Map<string, PropertyPath>();

/**
 * Reads a path: names with dots between them, a dot or a backslash of a name behind a backslash.
 * https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
 */
export function parsePropertyPath(text: string): PropertyPath {
  const known = paths.get(text);
  if (known !== undefined) return known;
  const path = { names: namesIn(text), text };
  if (paths.size < MAX_PATHS_REMEMBERED) paths.set(text, path);
  return path;
}

function namesIn(text: string): string[] {
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
  return names;
}
