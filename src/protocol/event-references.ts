import type { AuthInput } from './auth/types.ts';
import type { EventReference, JsonValue, Pdu } from './pdu.ts';
import type { RoomVersionRules } from './room-version.ts';

/**
 * The ids of the events that an event follows, whatever else its room version writes beside them. For a PDU whose form
 * has been checked; what is no reference is passed over.
 * Source: rooms/v1 and rooms/v3, "Event format".
 */
export function prevEventIdsOf(pdu: Pdu, rules: RoomVersionRules): readonly string[] {
  return idsIn(pdu.prev_events, rules);
}

/** The ids of the events that an event names to authorise it, as {@link prevEventIdsOf}. */
export function authEventIdsOf(pdu: Pdu, rules: RoomVersionRules): readonly string[] {
  return idsIn(pdu.auth_events, rules);
}

/**
 * What the authorisation rules read of a PDU: the PDU itself where it names events by id alone.
 * Source: rooms/v1 and rooms/v3, "Event format".
 */
export function authInputOf(pdu: Pdu, rules: RoomVersionRules): AuthInput {
  return rules.eventFormat.referencesHoldHashes
    ? { ...pdu, prev_events: prevEventIdsOf(pdu, rules) }
    : (pdu as Pdu & AuthInput);
}

/**
 * How an event of a room version names another in its `prev_events` and `auth_events`.
 * Source: rooms/v1 and rooms/v3, "Event format".
 *
 * @param referenceHash of the event that is named, in URL-safe base64; asked for only where it is written.
 */
export function eventReference(eventId: string, referenceHash: () => string, rules: RoomVersionRules): EventReference {
  if (!rules.eventFormat.referencesHoldHashes) return eventId;
  return [eventId, { sha256: referenceHash().replaceAll('-', '+').replaceAll('_', '/') }];
}

/** The first half of each pair of id and hashes, where references are pairs. Source: rooms/v1, "Event format". */
function idsIn(references: readonly JsonValue[], rules: RoomVersionRules): readonly string[] {
  if (!rules.eventFormat.referencesHoldHashes) return references as readonly string[];
  return references.flatMap((reference) => {
    const id: unknown = Array.isArray(reference) ? reference[0] : undefined;
    return typeof id === 'string' ? [id] : [];
  });
}
