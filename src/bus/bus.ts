/**
 * What carries wake-ups from where something happened to whoever waits for it: "there may be something new under this
 * topic". It carries no data and promises no delivery beyond this process's life; a reader that is woken reads the
 * projections, and one that missed a wake-up finds the gap by position. It also says which node does what of the work that
 * nodes share (`work.ts`). DESIGN.md §6.
 *
 * Every node reads the log and publishes what it finds there for itself; a bus between nodes carries what is not in the log
 * (publications at `BEFORE_FIRST`), claims, and what is passed on to their holders.
 */
import type { JsonObject } from '#protocol/pdu.ts';
import type { Position } from '#streams/event-log.ts';
import type { Claim, ClaimListener, Work } from './work.ts';

/**
 * What can be waited for; made by {@link roomTopic}, {@link userTopic}, {@link accountTopic}, {@link mediaTopic},
 * {@link serverTopic} and `workTopic`.
 */
export type Topic =
  | `room:${string}`
  | `user:${string}`
  | `account:${string}`
  | `media:${string}`
  | `server:${string}`
  | `work:${string}`;

/** The topics of one publication; those who follow the bus may see some that nobody can wait for. */
export type Topics = ReadonlySet<string> | readonly string[];

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

const SERVER_TOPIC = 'server:';

/** A server that could not be reached is there again. */
export function serverTopic(server: string): Topic {
  return `${SERVER_TOPIC}${server}`;
}

/** The server of a topic that {@link serverTopic} made; undefined for any other. */
export function serverOfTopic(topic: string): string | undefined {
  return topic.startsWith(SERVER_TOPIC) ? topic.slice(SERVER_TOPIC.length) : undefined;
}

/**
 * Called once for each publication that names at least one topic of the subscription, synchronously; it must return at
 * once and not throw. `position` is the committed frontier that the publisher had reached, or `BEFORE_FIRST` when what
 * happened is not in the log (typing, presence).
 */
export type BusListener = (position: Position) => void;

/** As {@link BusListener}, for every publication whatever it names, before anybody who waits for one of its topics. */
export type BusFollower = (topics: Topics, position: Position) => void;

export interface Bus {
  /**
   * Calls the listener for every publication under any of the topics, until the returned function is called (which may
   * be called more than once).
   *
   * @throws {BusFullError} when the subscriptions of this node are at their bound.
   */
  subscribe(topics: Iterable<Topic>, listener: BusListener): () => void;
  /** Calls the follower for every publication, until the returned function is called: for the few who have to see all. */
  follow(follower: BusFollower): () => void;
  /** Wakes the listeners of the topics. Call it after the readers can see what happened. */
  publish(topics: Topics, position: Position): void;
  /**
   * Takes a piece of work for this node. Undefined if another has it, or is to have it: ask again later, when {@link publish} names
   * its topic or after some time. The listener is told what other nodes pass on to whoever has the work.
   */
  claim(work: Work, listener?: ClaimListener): Promise<Claim | undefined>;
  /** Passes something that is worth nothing later on to the node that has a piece of work. @returns whether one has it. */
  tell(work: Work, message: JsonObject): Promise<boolean>;
}

/**
 * The node holds as many subscriptions as it can: nothing was registered. A reader answers with what it has now instead
 * of waiting.
 */
export class BusFullError extends Error {
  override readonly name = 'BusFullError';
}
