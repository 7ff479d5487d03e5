/** What of an event's content is kept beside it, and what redaction leaves of it. */

import { canonicalJson } from '#protocol/canonical-json.ts';
import { numberStrictness } from '#protocol/hashing.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redactContent, redactedEventIdOf } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import type { Position } from '#streams/event-log.ts';
import type { EventRow } from './event-row.ts';

/** The room version whose redactions keep the most of what says who may do what. Source: rooms/v11, "Redactions". */
const KEEPS_MOST = '11';

/**
 * JSON text of the content that clients see: that of a redaction names its target in every room version, also where the event
 * itself has that outside of its content. Source: rooms/v11, "Moving the redacts property of m.room.redaction events".
 */
export function shownContentJson(pdu: Pdu, rules: RoomVersionRules): string {
  if (pdu.type !== 'm.room.redaction' || rules.redaction.redactsInContent) return contentJsonOf(pdu.content, rules);
  return contentJsonOf({ ...pdu.content, redacts: redactedEventIdOf(pdu, rules) }, rules);
}

/**
 * Content as it is served. In canonical form, because the order of keys differs between an event that was just made and the
 * same event put together from its sections. What has no canonical form is dropped when it comes; should a log hold it all the
 * same, it is shown as it is.
 */
function contentJsonOf(content: JsonObject, rules: RoomVersionRules): string {
  try {
    return canonicalJson(content, numberStrictness(rules));
  } catch {
    return JSON.stringify(content);
  }
}

/** What an event says it relates to. */
export function relationOf(content: JsonObject): EventRow['relation'] {
  const relates = content['m.relates_to'];
  if (!isJsonObject(relates)) return undefined;
  const { rel_type: type, event_id: eventId } = relates;
  return typeof type === 'string' && typeof eventId === 'string' ? { type, eventId } : undefined;
}

/** The content of a row, parsed, with its numbers as they were hashed: power levels may be beyond what a plain number holds. */
export function contentOf({ contentJson }: Pick<EventRow, 'contentJson'>): JsonObject {
  return parseJsonExactly(contentJson) as JsonObject;
}

/** A row as it is once its event was redacted. */
export function redactedRow<Row extends EventRow>(row: Row, redaction: Position, rules: RoomVersionRules): Row {
  const content = redactContent({ type: row.type, content: contentOf(row) }, rules);
  const { relation: _, ...kept } = row;
  return {
    ...kept,
    contentJson: contentJsonOf(content, rules),
    hasUrl: false,
    redactedBy: row.redactedBy ?? redaction,
  } as Row;
}

/**
 * A row as it is shown while its content is being destroyed: what is left of it in the version of rooms that keeps most, since what
 * says who may do what is read from rows too.
 */
export function bareRow<Row extends EventRow>(row: Row): Row {
  const rules = roomVersionRules(KEEPS_MOST);
  const { relation: _, ...kept } = row;
  if (rules === undefined) return { ...kept, contentJson: '{}', hasUrl: false } as Row;
  const content = redactContent({ type: row.type, content: contentOf(row) }, rules);
  return { ...kept, contentJson: contentJsonOf(content, rules), hasUrl: false } as Row;
}
