/**
 * What carries wake-ups from where something happened to whoever waits for it: "there may be something new under this
 * topic". It carries no data and promises no delivery beyond this process's life; a reader that is woken reads the
 * projections, and one that missed a wake-up finds the gap by position. DESIGN.md §6.
 */
import type { Position } from '#streams/event-log.ts';

/** What can be waited for; made by {@link roomTopic}, {@link userTopic}, {@link accountTopic} and {@link mediaTopic}. */
export type Topic = `room:${string}` | `user:${string}` | `account:${string}` | `media:${string}`;

/** Something happened in a room: an event, a receipt, a change of who is typing. */
export function roomTopic(roomId: string): Topic {
  return `room:${roomId}`;
}

/** Something happened to a user: a membership, account data, a to-device message, a change of a device list. */
export function userTopic(userId: string): Topic {
  return `user:${userId}`;
}

/** Something happened to an account's devices or tokens: who waits under one of them may have to go. */
export function accountTopic(userId: string): Topic {
  return `account:${userId}`;
}

/** An upload of which the id was known before has come. */
export function mediaTopic(mediaId: string): Topic {
  return `media:${mediaId}`;
}

/**
 * Called once for each publication that names at least one topic of the subscription, synchronously; it must return at
 * once and not throw. `position` is the committed frontier that the publisher had reached, or `BEFORE_FIRST` when what
 * happened is not in the log (typing, presence).
 */
export type BusListener = (position: Position) => void;

export interface Bus {
  /**
   * Calls the listener for every publication under any of the topics, until the returned function is called (which may
   * be called more than once).
   *
   * @throws {BusFullError} when the subscriptions of this node are at their bound.
   */
  subscribe(topics: Iterable<Topic>, listener: BusListener): () => void;
  /** Wakes the listeners of the topics. Call it after the readers can see what happened. */
  publish(topics: Iterable<string>, position: Position): void;
}

/**
 * The node holds as many subscriptions as it can: nothing was registered. A reader answers with what it has now instead
 * of waiting.
 */
export class BusFullError extends Error {
  override readonly name = 'BusFullError';
}
