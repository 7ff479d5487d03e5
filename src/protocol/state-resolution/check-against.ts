import { checkAuth } from '../auth/check-auth.ts';
import type { AuthInput, AuthVerdict, StateLookup } from '../auth/types.ts';
import type { RoomVersionRules } from '../room-version.ts';
import type { ResolutionEvent } from './types.ts';

/** Whether the rules let an event into a state. Its signatures were looked at when it was received. */
export function checkAgainst(event: ResolutionEvent, state: StateLookup, rules: RoomVersionRules): AuthVerdict {
  return checkAuth(inputOf(event, rules), state, rules);
}

function inputOf(event: ResolutionEvent, rules: RoomVersionRules): AuthInput {
  const { type, sender, stateKey, content, prevEventIds, eventId, redacts, roomId } = event;
  const namesRoom = type !== 'm.room.create' || rules.eventFormat.createEventHasRoomId;
  return {
    type,
    sender,
    content,
    redacts,
    state_key: stateKey,
    prev_events: prevEventIds,
    event_id: eventId,
    ...(namesRoom ? { room_id: roomId } : {}),
  };
}
