import type { AuthInput } from './auth/types.ts';
import type { JsonValue, Pdu } from './pdu.ts';
import type { RoomVersionRules } from './room-version.ts';

/**
 * The ids of the events that an event follows, whatever else its room version writes beside them. For a PDU whose form
 * has been checked; what is no reference is passed over.
 */
export function prevEventIdsOf(pdu: Pdu, rules: RoomVersionRules): readonly string[] {
  return rules.eventFormat.referencesHoldHashes ? idsIn(pdu.prev_events) : pdu.prev_events;
}

/** The ids of the events that an event names to authorise it, as {@link prevEventIdsOf}. */
export function authEventIdsOf(pdu: Pdu, rules: RoomVersionRules): readonly string[] {
  return rules.eventFormat.referencesHoldHashes ? idsIn(pdu.auth_events) : pdu.auth_events;
}

/** What the authorisation rules read of a PDU: the PDU itself where it names events by id alone. */
export function authInputOf(pdu: Pdu, rules: RoomVersionRules): AuthInput {
  return rules.eventFormat.referencesHoldHashes ? { ...pdu, prev_events: prevEventIdsOf(pdu, rules) } : pdu;
}

/** The first half of each pair of id and hashes. Source: rooms/v1, "Event format". */
function idsIn(references: readonly JsonValue[]): string[] {
  return references.flatMap((reference) => {
    const id: unknown = Array.isArray(reference) ? reference[0] : undefined;
    return typeof id === 'string' ? [id] : [];
  });
}
