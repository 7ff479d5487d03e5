import type { AuthEvent, AuthVerdict } from '../auth/types.ts';
import { authEventIdsOf, prevEventIdsOf } from '../event-references.ts';
import { exactInteger } from '../loose-numbers.ts';
import type { JsonValue, Pdu } from '../pdu.ts';
import type { RoomVersionRules } from '../room-version.ts';

/** A state event as far as resolution looks at it. */
export interface ResolutionEvent extends AuthEvent {
  readonly roomId: string;
  /** What the event names to authorise it. The create event is not among them where the room id implies it (12). */
  readonly authEventIds: readonly string[];
  readonly prevEventIds: readonly string[];
  /** Milliseconds since the epoch. */
  readonly originServerTs: number | bigint;
  readonly depth: number;
  /** What a redaction redacts; looked at in room versions 1 and 2. */
  readonly redacts?: JsonValue | undefined;
  /**
   * Whether it failed the authorisation rules when it was received. Such an event neither wins nor authorises, save in
   * room version 1, whose resolution does not ask.
   */
  readonly rejected: boolean;
}

/**
 * Finds a state event by its id. `undefined` for an event that is not known, is of another room or is no state event:
 * resolution goes on as if it had not been named.
 */
export type EventLookup = (eventId: string) => ResolutionEvent | undefined;

/** A key of a state map on which states differ. */
export interface ConflictedKey {
  readonly type: string;
  readonly stateKey: string;
  /** The event that each state has there, in the order of the states; `undefined` where it has none. */
  readonly eventIds: readonly (string | undefined)[];
}

/** What all the states have in common. */
export interface SharedState {
  /** The event under a key; `undefined` if there is none or the states differ on it. */
  get(type: string, stateKey: string): string | undefined;
  /** Every event in it. Read only by an {@link AuthGraph} that has no better way. */
  eventIds(): Iterable<string>;
}

/** States to resolve, given by their difference. */
export interface StateDifference {
  /** How many states there are. */
  readonly stateCount: number;
  /** Each key on which they differ, once; in any order. */
  readonly conflicts: readonly ConflictedKey[];
  readonly shared: SharedState;
}

/**
 * Answers what resolution asks of the graph that `auth_events` make. An index answers without walking the room;
 * `plainAuthGraph` walks.
 */
export interface AuthGraph {
  /**
   * The events in the auth chains of some of the states but not of all. A state's own events count as part of its
   * chains.
   *
   * @param own for each state the ids of the events that it holds under conflicted keys.
   * @param shared what all the states have in common.
   */
  authChainDifference(own: readonly (readonly string[])[], shared: SharedState): Iterable<string>;
  /** The events on paths of auth events from one of the given events to another, ends included. */
  conflictedSubgraph(conflicted: ReadonlySet<string>): Iterable<string>;
}

/** What resolution decided on one event. */
export interface ResolutionStep {
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string;
  /** The pass that looked at it: the power events, those ordered by the mainline, or those ordered by depth. */
  readonly pass: 'power' | 'mainline' | 'depth';
  /** Whether the rules let it into the state that was resolved until then. */
  readonly verdict: AuthVerdict;
}

/** What became of a key on which the states differed. */
export interface ResolvedKey {
  readonly type: string;
  readonly stateKey: string;
  /** The event that won; `undefined` if none did. */
  readonly eventId: string | undefined;
  /** The events that the states have there, each once, by id. */
  readonly candidates: readonly string[];
  /** A sentence that says what made it win. */
  readonly reason: string;
}

/** What states come to. */
export interface Resolution {
  /** Every key that the resolved state does not share with all the states, ordered by type, then state key. */
  readonly changes: readonly ResolvedKey[];
  /** Each event that was looked at, in the order in which it was; empty unless a trace was asked for. */
  readonly steps: readonly ResolutionStep[];
}

/** What resolution works with. */
export interface ResolutionContext {
  readonly rules: RoomVersionRules;
  readonly event: EventLookup;
  readonly graph: AuthGraph;
  /** Record every step. Off by default. */
  readonly trace?: boolean;
}

/** What resolution reads of a PDU; `undefined` if it is no state event. */
export function resolutionEventOf(
  pdu: Pdu,
  eventId: string,
  roomId: string,
  rejected: boolean,
  rules: RoomVersionRules,
): ResolutionEvent | undefined {
  if (pdu.state_key === undefined) return undefined;
  return {
    eventId,
    roomId,
    type: pdu.type,
    stateKey: pdu.state_key,
    sender: pdu.sender,
    content: pdu.content,
    authEventIds: authEventIdsOf(pdu, rules),
    prevEventIds: prevEventIdsOf(pdu, rules),
    originServerTs: exactInteger(pdu.origin_server_ts),
    depth: pdu.depth,
    rejected,
    ...(pdu.redacts === undefined ? {} : { redacts: pdu.redacts }),
  };
}
