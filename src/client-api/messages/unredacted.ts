/**
 * What a redaction took away, for those who may redact: read from the log for as long as its key is there.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/2815
 */
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import { authEventAt, type Event, membershipOf, type Room, stateEventPosition } from '#projections/rooms/queries.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { powerLevelsOf } from '#protocol/power-levels.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';

type Parts = Pick<Context, 'reader' | 'log' | 'audit'>;

/**
 * A redacted event with the content that it had. That somebody was shown it is on record before they are.
 *
 * @throws {MatrixError} M_FORBIDDEN for who may not redact in the room, FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED where the
 *   content was erased.
 */
export async function unredactedEvent(
  parts: Parts,
  room: Room,
  event: Event,
  { requester, ip }: { readonly requester: Requester; readonly ip: string },
): Promise<Event> {
  if (event.redactedBy === undefined) return event;
  if (!mayRedact(parts, room, requester.userId)) {
    throw new MatrixError('M_FORBIDDEN', 'Only those who may redact in this room may read what was redacted.');
  }
  const record = await parts.log.readAt(event.position);
  const read = record && readPduRecord(record);
  if (read === undefined || read.isErased) {
    throw new MatrixError('FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED', 'The content was erased from this server.');
  }
  await parts.audit.record({
    actor: actorOf(requester),
    action: 'content.read',
    target: { kind: 'event', id: event.eventId },
    roomId: room.roomId,
    ip,
    after: { shown: 'what a redaction took away' },
  });
  return { ...event, contentJson: canonicalJson(read.pdu.content, 'loose') };
}

/** Whether a user may redact what others sent to a room now. */
export function mayRedact({ reader }: Pick<Parts, 'reader'>, room: Room, userId: string): boolean {
  const rules = roomVersionRules(room.version);
  const at = (type: string) => {
    const position = stateEventPosition(reader, room.id, type, '');
    return position === undefined ? undefined : authEventAt(reader, position);
  };
  const create = at('m.room.create');
  if (rules === undefined || create === undefined || membershipOf(reader, room.id, userId) !== 'join') return false;
  const levels = powerLevelsOf(at('m.room.power_levels')?.content, create, rules);
  return levels.powerLevelOf(userId) >= levels.redact;
}
