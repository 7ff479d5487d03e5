/**
 * What a redaction took away, for those who may redact: read from the log for as long as its key is there.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/2815
 */
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import { authEventAt, type Event, membershipOf, type Room, stateEventPosition } from '#projections/rooms/queries.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { powerLevelsOf } from '#protocol/power-levels.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Context } from '#src/context.ts';
import { MatrixError } from '#src/http/errors.ts';
import { CONTENT_READS_STREAM, contentReadRecord } from './content-read.ts';

type Parts = Pick<Context, 'reader' | 'log' | 'commands' | 'newRecordId'>;

/**
 * A redacted event with the content that it had. That somebody was shown it is on record before they are.
 *
 * @throws {MatrixError} M_FORBIDDEN for who may not redact in the room, FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED where the
 *   content was erased.
 */
export async function unredactedEvent(parts: Parts, room: Room, event: Event, userId: string): Promise<Event> {
  if (event.redactedBy === undefined) return event;
  if (!mayRedact(parts, room, userId)) {
    throw new MatrixError('M_FORBIDDEN', 'Only those who may redact in this room may read what was redacted.');
  }
  const record = await parts.log.readAt(event.position);
  const read = record && readPduRecord(record);
  if (read === undefined || read.isErased) {
    throw new MatrixError('FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED', 'The content was erased from this server.');
  }
  await parts.commands.run(CONTENT_READS_STREAM, () => ({
    records: [contentReadRecord(parts.newRecordId(), { userId, roomId: room.roomId, eventId: event.eventId })],
    result: undefined,
  }));
  return { ...event, contentJson: canonicalJson(read.pdu.content) };
}

function mayRedact({ reader }: Parts, room: Room, userId: string): boolean {
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
