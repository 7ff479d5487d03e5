import type { JsonObject, JsonValue } from '../pdu.ts';
import type { AuthRule } from './rule-numbers.ts';

/** A state event as far as authorisation looks at it; small enough to be kept in memory for every active room. */
export interface AuthEvent {
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string;
  readonly sender: string;
  readonly content: JsonObject;
}

/** The event to be authorised. A PDU is one, and so is a draft that is not signed yet. */
export interface AuthInput {
  readonly type: string;
  readonly room_id?: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: JsonObject;
  /** Ids. What room versions 1 and 2 write beside them is taken off by `authInputOf`. */
  readonly prev_events: readonly string[];
  /** The id that an event of room versions 1 and 2 carries; read only there. */
  readonly event_id?: JsonValue | undefined;
  /** What a redaction redacts; read only in room versions 1 and 2. */
  readonly redacts?: JsonValue | undefined;
  /**
   * Absent from drafts. Checked elsewhere; here only that the servers that must have signed are among them. `unchecked`
   * leaves that out too: where events were looked at before, or signatures are not what is asked.
   */
  readonly signatures?:
    | { readonly [serverName: string]: { readonly [keyId: string]: string } }
    | 'unchecked'
    | undefined;
}

/** Type and state key of a state event. */
export interface StateEventType {
  readonly type: string;
  readonly stateKey: string;
}

/** Finds a state event in the state that an event is checked against. */
export type StateLookup = (type: string, stateKey: string) => AuthEvent | undefined;

/** Whether an event may be in its room, and if not by which rule. */
export type AuthVerdict =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      /** The rule's number in the room version's "Authorisation rules", such as `5.3.3`. */
      readonly rule: string;
      /** A sentence that tells an operator or a user what stands in the way. */
      readonly reason: string;
    };

/** How a rule says no. */
export interface Rejection {
  readonly rule: AuthRule;
  readonly reason: string;
}

/** What a rule answers: it rejects, or it allows at once, or it leaves the decision to the rules after it. */
export type RuleOutcome = Rejection | 'allow' | undefined;

/** Says no by a rule. */
export function reject(rule: AuthRule, reason: string): Rejection {
  return { rule, reason };
}

/** Longest value from an event that a reason repeats, in characters. */
const MAX_QUOTED_LENGTH = 100;

/** A value from an event's content, for a reason: in quotes, cut where it is long. */
export function quoted(value: JsonValue | undefined): string {
  if (typeof value !== 'string') return value === undefined ? '(none)' : '(not a string)';
  return value.length <= MAX_QUOTED_LENGTH ? `"${value}"` : `"${value.slice(0, MAX_QUOTED_LENGTH)}…"`;
}
