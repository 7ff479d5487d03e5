/**
 * What one connection has been told. Of a room nothing is written down as long as every answer tells all that is new of it; so
 * the memory changes when rooms come into the client's windows or miss something outside of them, not with each message.
 */
import type { Position } from '#streams/event-log.ts';
import type { Settled } from './look.ts';

/** Everything that is new was told with every answer since: what the client knows is as new as its `pos`. */
export const UP_TO_DATE = -2;
/** Stands for a timeline of which the client has the very beginning. */
export const WHOLE_TIMELINE = 0xffff_ffff;

/** What a client was told of a room. */
export interface SentRoom {
  /** Up to where; {@link UP_TO_DATE} for up to the `pos`. */
  readonly upTo: Position;
  /** At least so many of the latest events of that moment were told. */
  readonly known: number;
  /** `RequiredState.key` of what was asked for. */
  readonly required: string;
  readonly isDirect: boolean;
  /** The user's membership by which the room was told. */
  readonly membership: string;
}

/** What the memory of a connection has otherwise after an answer than before: undefined for a room that is not told of any more. */
export type SentChanges = ReadonlyMap<Position, SentRoom | undefined>;

/** A connection as it is kept. */
export interface ConnectionState {
  readonly id: string;
  generation: number;
  /** The generation before: that of a client which has not got the last answer. */
  parent: number | undefined;
  readonly rooms: Map<Position, SentRoom>;
  /** How to come back to the generation before. */
  undo: SentChanges;
}

/** One connection of a device. */
export class Connection {
  readonly state: ConnectionState;
  /** What the answer that made a generation has settled; saves work, and can be lost at any time. */
  settled: { readonly generation: number; readonly what: Settled } | undefined;
  /** Greatest generation that was ever given out: an answer that was given up does not lend its number to another one. */
  #lastGeneration: number;
  #answers = 0;
  /** Ends the request that is being answered when another one comes. */
  #running: AbortController | undefined;

  constructor(state: ConnectionState) {
    this.state = state;
    this.#lastGeneration = state.generation;
  }

  /** Begins to answer a request, and ends the one before: a client has one at a time. */
  begin(): AbortSignal {
    this.#running?.abort();
    this.#running = new AbortController();
    return this.#running.signal;
  }

  /** Number of an answer to a client that has got the one with another number. */
  nextAnswer(after: number): number {
    this.#answers = Math.max(this.#answers, after) + 1;
    return this.#answers;
  }

  /** Takes the memory to what the client knows; false if it is not known any more what that was. */
  goTo(generation: number): boolean {
    const { state } = this;
    if (generation === state.generation) return true;
    if (state.parent === undefined || generation !== state.parent) return false;
    for (const [room, sent] of state.undo) {
      if (sent === undefined) state.rooms.delete(room);
      else state.rooms.set(room, sent);
    }
    state.generation = generation;
    state.parent = undefined;
    state.undo = new Map();
    return true;
  }

  /** Takes in what an answer told; the client is to come back with the generation that the memory then has. */
  commit(changes: SentChanges): void {
    if (changes.size === 0) return;
    const { state } = this;
    const undo = new Map<Position, SentRoom | undefined>();
    for (const [room, sent] of changes) {
      undo.set(room, state.rooms.get(room));
      if (sent === undefined) state.rooms.delete(room);
      else state.rooms.set(room, sent);
    }
    this.#lastGeneration += 1;
    state.parent = state.generation;
    state.generation = this.#lastGeneration;
    state.undo = undo;
  }
}

/** Whether two say the same. */
export function isSameSent(a: SentRoom | undefined, b: SentRoom): boolean {
  return (
    a !== undefined &&
    a.upTo === b.upTo &&
    a.known === b.known &&
    a.required === b.required &&
    a.isDirect === b.isDirect &&
    a.membership === b.membership
  );
}
