/** Which member events a device has been sent, so that lazy loading does not send them again and again. */
import type { Position } from '#streams/event-log.ts';
import { Lru } from './lru.ts';

/** Rooms of devices that are remembered; a forgotten one is sent some members again, which the specification allows. */
const MAX_ROOMS_REMEMBERED = 5000;
/** Members that are remembered for one room of one device. */
const MAX_MEMBERS_REMEMBERED = 100;

interface SentMember {
  readonly event: Position;
  /** The `next_batch` of the answer that it was in: a client that comes back with it, or a later one, has had the answer. */
  readonly inAnswer: Position;
}

/** The memory of one device in one room. */
export type SentMembers = Lru<string, SentMember>;

/** A bounded memory of the member events that devices have been sent. */
export class LazyMembers {
  readonly #sent = new Lru<string, SentMembers>(MAX_ROOMS_REMEMBERED);

  /** What a device was sent in a room. A device that starts anew has forgotten what it was sent. */
  of(deviceName: string, roomId: string, startsAnew: boolean): SentMembers {
    const key = `${deviceName}\0${roomId}`;
    const known = startsAnew ? undefined : this.#sent.get(key);
    if (known !== undefined) return known;
    const fresh: SentMembers = new Lru(MAX_MEMBERS_REMEMBERED);
    this.#sent.set(key, fresh);
    return fresh;
  }
}

/** Whether a client that has seen everything up to `since` has this member event. */
export function hasMember(sent: SentMembers, userId: string, event: Position, since: Position): boolean {
  const known = sent.get(userId);
  return known !== undefined && known.event === event && known.inAnswer <= since;
}
