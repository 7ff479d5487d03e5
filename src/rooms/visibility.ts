/**
 * Who may see which event, by the history visibility and the user's membership when it was sent.
 * https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */

import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt, type StateSpan, stateHistoryBackwards, stateSpan } from '#projections/rooms/queries.ts';
import { type StateRef, stateEventAt } from '#projections/rooms/state/index.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Position } from '#streams/event-log.ts';

/** What `m.room.history_visibility` may say; anything else counts as `shared`. */
export type HistoryVisibilityValue = 'world_readable' | 'shared' | 'invited' | 'joined';

const MEMBER = 'm.room.member';
const HISTORY_VISIBILITY = 'm.room.history_visibility';

/** What is asked of an event to tell who may see it. */
export type VisibleEvent = Pick<Event, 'type' | 'stateKey' | 'stateVersion' | 'fork' | 'contentJson'>;

/**
 * What one user may see of one room. Made for one request: it remembers the spans of state versions in which the visibility
 * and the membership did not change, so that a page of events costs a few look-ups and not two an event.
 */
export class RoomVisibility {
  readonly #reader: Reader;
  readonly #room: Position;
  readonly #userId: string;
  readonly #memberships: SpannedState<string | undefined>;
  readonly #visibilities: SpannedState<HistoryVisibilityValue>;
  #lastJoinVersion: number | undefined;

  constructor(reader: Reader, room: Position, userId: string) {
    this.#reader = reader;
    this.#room = room;
    this.#userId = userId;
    this.#memberships = new SpannedState(reader, room, MEMBER, userId, membershipIn);
    this.#visibilities = new SpannedState(reader, room, HISTORY_VISIBILITY, '', visibilityIn);
  }

  /** Whether the user may see the event. */
  canSee(event: VisibleEvent): boolean {
    // For the two kinds of event that change what is seen, the state after them counts as well as the state before.
    const isDecisive = (event.type === HISTORY_VISIBILITY && event.stateKey === '') || this.isOwnMembership(event);
    if (event.fork !== undefined) {
      const { before, after } = event.fork;
      const { stateVersion } = event;
      return this.#canSeeOnFork(before, stateVersion) || (isDecisive && this.#canSeeOnFork(after, stateVersion));
    }
    return this.#canSeeAt(event.stateVersion) || (isDecisive && this.#canSeeAt(event.stateVersion + 1));
  }

  /** The user's membership at an event, what the event itself changes included; `leave` before they had any. */
  membershipAt(event: VisibleEvent): string {
    const own = this.isOwnMembership(event) ? membershipIn(event.contentJson) : undefined;
    if (own !== undefined) return own;
    const { fork, stateVersion } = event;
    return (fork ? this.#membershipOnFork(fork.before) : this.membershipAtVersion(stateVersion)) ?? 'leave';
  }

  /** The user's membership in a version of the room's state. */
  membershipAtVersion(version: number): string | undefined {
    return this.#memberships.at(version);
  }

  /** The history visibility in a version of the room's state. */
  visibilityAtVersion(version: number): HistoryVisibilityValue {
    return this.#visibilities.at(version);
  }

  /** Whether the event says what the user's own membership is. */
  isOwnMembership(event: VisibleEvent): boolean {
    return event.type === MEMBER && event.stateKey === this.#userId;
  }

  #canSeeAt(version: number): boolean {
    return this.#canSeeWith(this.#memberships.at(version), this.#visibilities.at(version), version);
  }

  #canSeeOnFork(state: StateRef, version: number): boolean {
    const position = stateEventAt(this.#reader, this.#room, state, HISTORY_VISIBILITY, '');
    const event = position === undefined ? undefined : eventAt(this.#reader, position);
    return this.#canSeeWith(this.#membershipOnFork(state), visibilityIn(event?.contentJson ?? '{}'), version);
  }

  #membershipOnFork(state: StateRef): string | undefined {
    const position = stateEventAt(this.#reader, this.#room, state, MEMBER, this.#userId);
    const event = position === undefined ? undefined : eventAt(this.#reader, position);
    return event && membershipIn(event.contentJson);
  }

  #canSeeWith(membership: string | undefined, visibility: HistoryVisibilityValue, version: number): boolean {
    if (membership === 'join') return true;
    switch (visibility) {
      case 'world_readable':
        return true;
      case 'shared':
        return this.#joinedAfter(version);
      case 'invited':
        return membership === 'invite';
      case 'joined':
        return false;
    }
  }

  #joinedAfter(version: number): boolean {
    this.#lastJoinVersion ??= this.#findLastJoin();
    return this.#lastJoinVersion > version;
  }

  #findLastJoin(): number {
    for (const { version, position } of stateHistoryBackwards(this.#reader, this.#room, MEMBER, this.#userId)) {
      const event = eventAt(this.#reader, position);
      if (event && membershipIn(event.contentJson) === 'join') return version;
    }
    return -1;
  }
}

/** Where a user's last time in a room ended. */
export interface Departure {
  /** The event that ended it: a leave, kick or ban. */
  readonly position: Position;
  /** Version of the room's state after that event: the room as the user left it. */
  readonly version: number;
}

/** Where a user's last time in a room ended; undefined for somebody who is in it, or never was. */
export function departureOf(reader: Reader, room: Position, userId: string): Departure | undefined {
  let departure: Departure | undefined;
  for (const { version, position } of stateHistoryBackwards(reader, room, MEMBER, userId)) {
    const event = eventAt(reader, position);
    if (event && membershipIn(event.contentJson) === 'join') return departure;
    departure = { position, version };
  }
  return undefined;
}

/** The membership that a member event's content gives. */
export function membershipIn(contentJson: string): string | undefined {
  const { membership } = parseJson(contentJson) as JsonObject;
  return typeof membership === 'string' ? membership : undefined;
}

function visibilityIn(contentJson: string): HistoryVisibilityValue {
  const { history_visibility: value } = parseJson(contentJson) as JsonObject;
  return value === 'world_readable' || value === 'invited' || value === 'joined' ? value : 'shared';
}

/** What one key of a room's state says, by version, remembering the span that was asked for last. */
class SpannedState<T> {
  readonly #reader: Reader;
  readonly #room: Position;
  readonly #type: string;
  readonly #stateKey: string;
  readonly #read: (contentJson: string) => T;
  #span: StateSpan | undefined;
  #value: T | undefined;

  constructor(reader: Reader, room: Position, type: string, stateKey: string, read: (contentJson: string) => T) {
    this.#reader = reader;
    this.#room = room;
    this.#type = type;
    this.#stateKey = stateKey;
    this.#read = read;
  }

  at(version: number): T {
    const known = this.#span;
    if (known === undefined || version < known.from || version >= known.until) {
      const span = stateSpan(this.#reader, this.#room, this.#type, this.#stateKey, version);
      const event = span.position === undefined ? undefined : eventAt(this.#reader, span.position);
      this.#span = span;
      this.#value = this.#read(event?.contentJson ?? '{}');
    }
    return this.#value as T;
  }
}
