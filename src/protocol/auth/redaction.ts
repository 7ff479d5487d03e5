import { serverNameOf } from '../identifiers.ts';
import type { JsonValue } from '../pdu.ts';
import type { RoomState } from './room-state.ts';
import { type AuthInput, type Rejection, reject } from './types.ts';

/**
 * The rules of `m.room.redaction` where they are part of authorisation. v1, v2: 11. By the letter one that names no event
 * takes the redact level; the network lets it in, as it redacts nothing.
 */
export function checkRedaction(event: AuthInput, state: RoomState): Rejection | undefined {
  // 1.
  const levels = state.powerLevels();
  const power = levels.powerLevelOf(event.sender);
  if (power >= levels.redact || typeof event.redacts !== 'string') return undefined;
  // 2. and 3.
  const server = serverIn(event.event_id);
  return server !== undefined && server === serverIn(event.redacts)
    ? undefined
    : reject(
        'redactionOtherServer',
        `${event.sender} has power ${power}; redacting an event of another server takes ${levels.redact}.`,
      );
}

function serverIn(eventId: JsonValue | undefined): string | undefined {
  return typeof eventId === 'string' ? serverNameOf(eventId) : undefined;
}
