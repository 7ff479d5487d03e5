import type { AuthEvent } from '#protocol/auth/types.ts';
import { eventReference } from '#protocol/event-references.ts';
import type { EventReference } from '#protocol/pdu.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import type { Revision } from '#streams/event-log.ts';

/** Most keys of the state that one head keeps in memory; beyond it, what is committed is read again when asked for. */
export const MAX_CACHED_STATE_EVENTS = 4096;
/** Most prev events of a new event. Source: server-server API, "Size limits"/PDU format: at most 20. */
export const MAX_PREV_EVENTS = 20;

/** Events that are remembered after which the state is the current one; those before them are looked for in what is committed. */
export const MAX_AT_CURRENT_STATE = 512;

/** Reads a committed state event of the room, in the narrow view that authorisation needs. */
export type CommittedState = (type: string, stateKey: string) => AuthEvent | undefined;

/** Reads the reference hash of a committed event, where the room version wants events named with it. */
export type CommittedHash = (eventId: string) => string | undefined;

/** An event that the head takes in; `state` if it is a state event. */
export interface AdvancingEvent {
  readonly eventId: string;
  /** In URL-safe base64. */
  readonly referenceHash: string;
  readonly depth: number;
  readonly prevEvents: readonly string[];
  readonly state?: AuthEvent;
  /** The event whose content this one redacts, with what is left of it. */
  readonly redacted?: { readonly eventId: string; readonly content: AuthEvent['content'] };
}

/**
 * The state before an event that follows some of what is there: the current one, or that after an event which is committed.
 */
export type StateBehind = { readonly isCurrent: true } | { readonly isCurrent: false; readonly after: string };

/**
 * What the writer of a room knows of its newest point: ahead of the projections by the events that are queued for the disk.
 * It is dropped, and made anew from what is committed, when an append fails.
 */
export class RoomHead {
  readonly roomId: string;
  readonly rules: RoomVersionRules;
  readonly stream: string;
  /** Revision of the room's stream once all that is queued is written. */
  revision: Revision;
  depth: number;
  extremities: readonly string[];
  /** Appends under way; a head is only let go at zero. */
  pendingAppends = 0;
  /** Resolves when all that is queued is committed, or has failed. */
  settled: Promise<void> = Promise.resolve();
  readonly #committed: CommittedState;
  readonly #committedHash: CommittedHash;
  /** By type and state key; null for a key that the room has no event for, which most keys are that are asked for. */
  readonly #state = new Map<string, AuthEvent | null>();
  /** Events after which the state is the current one; the newest last. */
  readonly #atCurrentState = new Set<string>();
  /** Of forward extremities with states of their own: the committed event after which the state is the same. */
  readonly #anchors = new Map<string, string>();
  /** Events on their way to the disk. */
  readonly #queued = new Set<string>();
  #hasQueuedRedaction = false;
  /** Reference hashes of the events that are queued for the disk, in the room versions that name events with them. */
  readonly #queuedHashes = new Map<string, string>();

  constructor(
    room: { readonly roomId: string; readonly rules: RoomVersionRules; readonly stream: string },
    at: { readonly revision: Revision; readonly depth: number; readonly extremities: readonly string[] },
    committed: CommittedState = () => undefined,
    committedHash: CommittedHash = () => undefined,
  ) {
    this.roomId = room.roomId;
    this.rules = room.rules;
    this.stream = room.stream;
    this.revision = at.revision;
    this.depth = at.depth;
    this.extremities = at.extremities;
    this.#committed = committed;
    this.#committedHash = committedHash;
    if (at.extremities.length === 1) for (const eventId of at.extremities) this.#atCurrentState.add(eventId);
    else for (const eventId of at.extremities) this.#anchors.set(eventId, eventId);
  }

  /** Whether an event is on its way to the disk. */
  isQueued(eventId: string): boolean {
    return this.#queued.has(eventId);
  }

  /**
   * The state before an event that follows these; undefined where that is not known here. An event that follows less than all
   * forward extremities, is no state event and has its state from here leaves the current state as it is: either all ends of the
   * room have the current state, and the new one has it too, or the new one takes the place of an end with the same state.
   */
  stateBehind(prevEventIds: ReadonlySet<string>): StateBehind | undefined {
    if (this.#followsAll(prevEventIds)) return { isCurrent: true };
    if (this.#isAllCurrent(prevEventIds) && this.#isAllCurrent(this.extremities)) return { isCurrent: true };
    const [only] = prevEventIds;
    // What a redaction leaves of a state event is known when it is committed.
    if (prevEventIds.size !== 1 || only === undefined || this.#hasQueuedRedaction) return undefined;
    const after = this.extremities.includes(only) ? this.#anchors.get(only) : undefined;
    return after === undefined ? undefined : { isCurrent: false, after };
  }

  #followsAll(prevEventIds: ReadonlySet<string>): boolean {
    return prevEventIds.size === this.extremities.length && this.extremities.every((id) => prevEventIds.has(id));
  }

  #isAllCurrent(eventIds: Iterable<string>): boolean {
    for (const eventId of eventIds) if (!this.#atCurrentState.has(eventId)) return false;
    return true;
  }

  /** How a new event of this room names one that is accepted or queued. */
  referenceTo(eventId: string): EventReference {
    const hash = (): string => {
      const known = this.#queuedHashes.get(eventId) ?? this.#committedHash(eventId);
      if (known === undefined) throw new Error(`the event ${eventId} of the room ${this.roomId} has no reference hash`);
      return known;
    };
    return eventReference(eventId, hash, this.rules);
  }

  /** Takes note that everything that was queued is committed. */
  settle(): void {
    this.#queuedHashes.clear();
    this.#hasQueuedRedaction = false;
  }

  /** Takes note that an event is committed, or never will be. */
  arrived(eventId: string): void {
    this.#queued.delete(eventId);
  }

  /** The current state event for a key, queued ones included. */
  readonly state = (type: string, stateKey: string): AuthEvent | undefined => {
    const key = stateMapKey(type, stateKey);
    const known = this.#state.get(key);
    if (known !== undefined) return known ?? undefined;
    const committed = this.#committed(type, stateKey);
    if (this.#hasRoom()) this.#state.set(key, committed ?? null);
    return committed;
  };

  /** Takes in an event that was put on the queue behind all before it. */
  advance(event: AdvancingEvent): void {
    this.revision += 1;
    this.depth = Math.max(this.depth, event.depth);
    if (this.#followsTheOnly(event)) {
      this.#anchors.clear();
      if (event.state !== undefined) this.#atCurrentState.clear();
      this.#noteCurrent(event.eventId);
      this.extremities = [event.eventId];
    } else {
      const followed = new Set(event.prevEvents);
      this.#noteState(event, followed);
      this.extremities = [...this.extremities.filter((id) => !followed.has(id)), event.eventId];
    }
    this.#queued.add(event.eventId);
    if (event.redacted) this.#hasQueuedRedaction = true;
    if (this.rules.eventFormat.referencesHoldHashes) this.#queuedHashes.set(event.eventId, event.referenceHash);
    if (event.state) this.#state.set(stateMapKey(event.state.type, event.state.stateKey), event.state);
    if (event.redacted) this.#redact(event.redacted.eventId, event.redacted.content);
  }

  /** What the state after the event is. */
  #noteState({ eventId, state }: AdvancingEvent, followed: ReadonlySet<string>): void {
    const behind = this.stateBehind(followed);
    if (behind?.isCurrent === false) {
      for (const end of followed) this.#anchors.delete(end);
      this.#anchors.set(eventId, behind.after);
      return;
    }
    if (state !== undefined) this.#atCurrentState.clear();
    if (behind === undefined || this.#followsAll(followed)) this.#anchors.clear();
    // It follows all, or some of what has the current state.
    if (behind !== undefined) this.#noteCurrent(eventId);
  }

  #noteCurrent(eventId: string): void {
    this.#atCurrentState.add(eventId);
    if (this.#atCurrentState.size <= MAX_AT_CURRENT_STATE) return;
    const [oldest] = this.#atCurrentState;
    if (oldest !== undefined) this.#atCurrentState.delete(oldest);
  }

  /** Whether an event follows the one forward extremity that there is, as most do: all that is asked of several is plain then. */
  #followsTheOnly({ prevEvents }: AdvancingEvent): boolean {
    return this.extremities.length === 1 && prevEvents.length === 1 && prevEvents[0] === this.extremities[0];
  }

  #redact(eventId: string, content: AuthEvent['content']): void {
    for (const [key, event] of this.#state) {
      if (event?.eventId === eventId) this.#state.set(key, { ...event, content });
    }
  }

  /** Committed state can be read again; queued state cannot, so nothing goes while an append is under way. */
  #hasRoom(): boolean {
    if (this.#state.size < MAX_CACHED_STATE_EVENTS) return true;
    if (this.pendingAppends > 0) return false;
    this.#state.clear();
    return true;
  }
}

/** A map key for a pair of event type and state key; the length keeps pairs apart whatever characters they hold. */
function stateMapKey(type: string, stateKey: string): string {
  return `${type.length}:${type}${stateKey}`;
}
