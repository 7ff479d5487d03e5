/** Whether a redaction that came from elsewhere takes effect. */

import type { Reader } from '#projections/engine/reader.ts';
import { powerLevelsOf } from '#protocol/power-levels.ts';
import { redactionTakesEffect } from '#protocol/redaction.ts';
import { contentOf } from './event-content.ts';
import { type EventRow, stateBefore } from './event-row.ts';
import { knownEventAt, type ResolvingRoom } from './known-events.ts';
import { stateEventAt } from './state/index.ts';

/**
 * Whether a redaction takes effect on an event, by the power levels before the redaction. The create event and the server
 * ACL stand as they are. Source: rooms/v3, "Handling redactions".
 */
export function redactionIsDue(reader: Reader, room: ResolvingRoom, redaction: EventRow, target: EventRow): boolean {
  if (target.room !== room.id || target.type === 'm.room.create') return false;
  const state = stateBefore(redaction);
  const event = (type: string): EventRow | undefined => {
    const position = stateEventAt(reader, room.id, state, type, '');
    return position === undefined ? undefined : knownEventAt(reader, position)?.row;
  };
  const create = event('m.room.create');
  if (create === undefined) return false;
  const powerLevels = event('m.room.power_levels');
  const levels = powerLevelsOf(
    powerLevels && contentOf(powerLevels),
    { sender: create.sender, content: contentOf(create) },
    room.rules,
  );
  return redactionTakesEffect(redaction.sender, target.sender, levels);
}
