/** What taking in events of other servers works with. */

import type { Reader } from '#projections/engine/reader.ts';
import type { NamedAuthEvent } from '#protocol/auth/auth-events.ts';
import type { StateLookup } from '#protocol/auth/types.ts';
import type { EventTexts } from '#protocol/event-texts.ts';
import type { KeyValidity } from '#protocol/key-validity.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import type { StateMap } from '#src/sync/room-state.ts';
import type { PolicySigner } from '../policy.ts';
import type { Pursuit } from './pursuit.ts';

/** The checks on receipt of a PDU, see steps.ts. */
export type StepName =
  | 'form'
  | 'signatures'
  | 'content_hash'
  | 'auth_events_known'
  | 'prev_events_known'
  | 'auth_events'
  | 'state_before'
  | 'current_state'
  | 'policy'
  | 'extremities';

/**
 * What a step says of an event when it ends the checks.
 * - `accept`: it goes onto the timeline.
 * - `soft_fail`: it is kept, and not shown.
 * - `reject`: it is kept so that others may name it, and changes nothing.
 * - `drop`: it is as if it had never come.
 * - `retry`: it cannot be judged now; its sender may send it again.
 */
export type Verdict =
  | { readonly kind: 'accept' }
  | {
      readonly kind: 'soft_fail' | 'reject' | 'drop' | 'retry';
      readonly step: StepName;
      /** Number of the authorisation rule in the specification of the room version, where one decided. */
      readonly rule?: string;
      /** A sentence for operators and for the server that sent the event. */
      readonly reason: string;
    };

/** The room that an event says it is in. */
export interface ReceivingRoom {
  readonly roomId: string;
  readonly rules: RoomVersionRules;
}

/** An event on its way through the steps. */
export interface Receipt {
  readonly room: ReceivingRoom;
  /** The server that sent it; whoever that is, the event's own signatures count. */
  readonly origin: string;
  /** As it came, its size and depth bounded. */
  readonly event: JsonObject;
  readonly eventId: string;
  /** Canonical texts of {@link pdu}, but for what a wrong content hash takes from it; undefined where it was changed since. */
  texts?: EventTexts | undefined;
  /** The event as it counts: redacted from the step `content_hash` on, if its content is not what was signed. */
  pdu: Pdu;
  /** Found at a step before the event has its place in the graph: it is then rejected there. */
  rejection?: Verdict;
  /** What the policy server of the room has against it. */
  softFailure?: Verdict;
  /** The state before it as a peer told it, where the events it follows could not be had. */
  givenState?: StateMap;
}

/** A public key of a server. */
export interface VerifyKey {
  readonly publicKey: Uint8Array;
  readonly validity: KeyValidity;
}

/** Keys of one server that are asked for. */
export interface KeyRequest {
  readonly serverName: string;
  readonly keyIds: readonly string[];
  /** Milliseconds since the epoch: the keys should be known to be good for events of that time. */
  readonly validAtMs: number;
}

/** Where the keys with which servers sign come from. What cannot be had is missing from the answer: server → key id → key. */
export interface KeySource {
  keysFor(requests: readonly KeyRequest[]): Promise<ReadonlyMap<string, ReadonlyMap<string, VerifyKey>>>;
}

/** The state before an event, as a peer tells it. */
export interface ToldState {
  readonly stateEventIds: readonly string[];
  readonly authEventIds: readonly string[];
}

/**
 * Where events come from that a received one names and this server does not have. All of it is bounded by whoever asks, and
 * none of it is trusted. A peer that does not answer gives an empty answer, and so does one that takes longer than the signal
 * lets it.
 */
export interface MissingEvents {
  /** Events between the newest ones that are known and some later ones, oldest first, at most `limit`. */
  between(
    room: ReceivingRoom,
    origin: string,
    range: { readonly earliest: readonly string[]; readonly latest: readonly string[]; readonly limit: number },
    signal?: AbortSignal,
  ): Promise<readonly JsonObject[]>;
  /** Ids of the state before an event, and of the events that authorise it; undefined if nobody tells. */
  stateBefore(
    room: ReceivingRoom,
    origin: string,
    eventId: string,
    signal?: AbortSignal,
  ): Promise<ToldState | undefined>;
  /** The events of the state before an event, and those that authorise them, all at once: for when most are not known. */
  stateEventsBefore(
    room: ReceivingRoom,
    origin: string,
    eventId: string,
    signal?: AbortSignal,
  ): Promise<readonly JsonObject[]>;
  /** Single events by id. */
  events(
    room: ReceivingRoom,
    origin: string,
    eventIds: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly JsonObject[]>;
}

/** What the steps of the first stages need. */
export interface StepContext {
  readonly reader: Reader;
  readonly keys: KeySource;
  /** Undefined where no policy server is asked. */
  readonly policy?: PolicySigner | undefined;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** What the steps need that may ask peers. */
export interface AncestryContext extends StepContext {
  readonly missing: MissingEvents;
  readonly pursuit: Pursuit;
  /** Records events that authorise others, or are part of a told state. */
  receiveOutliers(room: ReceivingRoom, origin: string, events: readonly JsonObject[]): Promise<void>;
  /** Takes in an event between what is known and one that was sent. */
  takeInGap(room: ReceivingRoom, origin: string, event: JsonObject): Promise<void>;
  /** Takes in an event of the past, if it is the one that was asked for, with the state before it as a peer told it. */
  takeInTold(room: ReceivingRoom, origin: string, event: JsonObject, eventId: string, state: StateMap): Promise<void>;
}

/** A room at the moment in which an event is judged, and nothing comes in between. */
export interface RoomMoment {
  /** What the event names to authorise it, as far as it is known. */
  readonly authEvents: readonly NamedAuthEvent[];
  /** The create event, as it was judged. */
  readonly createEvent: NamedAuthEvent | undefined;
  readonly stateBefore: StateLookup;
  readonly currentState: StateLookup;
  /** How many forward extremities there would be with the event among them. */
  readonly extremitiesWith: number;
}
