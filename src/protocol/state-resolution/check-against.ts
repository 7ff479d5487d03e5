import { checkAuth } from '../auth/check-auth.ts';
import type { AuthInput, AuthVerdict, StateLookup } from '../auth/types.ts';
import type { RoomVersionRules } from '../room-version.ts';
import type { ResolutionEvent } from './types.ts';

/**
 * Whether the rules let an event into a state. Its signatures were looked at when it was received; so was a create event
 * as a whole, for which no rule asks the state.
 * Source: rooms/v2, "State resolution", "Iterative auth checks".
 */
export function checkAgainst(event: ResolutionEvent, state: StateLookup, rules: RoomVersionRules): AuthVerdict {
  if (event.type === 'm.room.create') return { allowed: true };
  return checkAuth(inputOf(event), state, rules);
}

function inputOf(event: ResolutionEvent): AuthInput {
  const { type, sender, stateKey, content, prevEventIds, eventId, redacts, roomId } = event;
  return {
    type,
    sender,
    content,
    redacts,
    state_key: stateKey,
    prev_events: prevEventIds,
    event_id: eventId,
    room_id: roomId,
    signatures: 'unchecked',
  };
}
