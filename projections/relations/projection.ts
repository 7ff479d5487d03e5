/**
 * Which events relate to which, and what is bundled with those that others relate to.
 * https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events
 */
import { hash } from 'node:crypto';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { type Event, eventAt, eventById, positionOfEvent } from '#projections/rooms/queries.ts';
import { shownEvent } from '#projections/rooms/shown-event.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import {
  ANNOTATION_HASH_BYTES,
  annotations,
  awaited,
  Bundled,
  children,
  type RelatingRow,
  relating,
  relationTables,
  replacements,
  targets,
  threadOrder,
  threadSenders,
  threads,
} from './tables.ts';

export const THREAD = 'm.thread';
export const REPLACEMENT = 'm.replace';
export const REFERENCE = 'm.reference';
export const ANNOTATION = 'm.annotation';

/** Longest kind of relation, in bytes: an event with a longer one counts as related to nothing. */
export const MAX_REL_TYPE_BYTES = 255;
/** Longest id of an event. Source: appendices, "Common Identifier Format". */
const MAX_EVENT_ID_BYTES = 255;
/** Greatest number of a key. */
const MAX_U48 = 2 ** 48 - 1;

export const relationsProjection: Projection = {
  name: 'relations',
  version: 1,
  tables: relationTables,
  apply(tx, record) {
    const shown = shownEvent(tx, record);
    if (shown === undefined) return;
    const { event } = shown;
    if (event.relation !== undefined) relate(tx, event);
    else if (event.type === 'm.room.redaction') unrelate(tx, event);
    welcome(tx, event);
  },
};

/** The bit of {@link targets} for a kind of relation; 0 for those that are not bundled. */
function bundledBit(relType: string): number {
  switch (relType) {
    case THREAD:
      return Bundled.thread;
    case REPLACEMENT:
      return Bundled.replacement;
    case REFERENCE:
      return Bundled.reference;
    default:
      return 0;
  }
}

/** Moves what was noted for an event before it came. */
function welcome(tx: Writer, event: Event): void {
  // Nobody can have named an event of ours before we made it.
  if (event.transaction !== undefined) return;
  const bits = tx.get(awaited, [event.eventId, event.room]);
  if (bits === undefined) return;
  tx.remove(awaited, [event.eventId, event.room]);
  tx.put(targets, [event.position], bits);
}

function relate(tx: Writer, event: Event): void {
  const { room, position, depth, type, sender, eventId } = event;
  const row = relatingRowOf(event);
  if (row === undefined) return;
  const { parent, relType } = row;
  tx.put(relating, [position], row);
  tx.put(children, [room, parent, relType, depth, position], [type, sender]);
  if (row.replacesAtMs !== undefined) {
    tx.put(replacements, [room, parent, sender, type, row.replacesAtMs, eventId], position);
  }
  if (row.annotation !== undefined) tx.put(annotations, [room, parent, sender, row.annotation], position);
  if (relType === THREAD) joinThread(tx, row, position);
  const bit = relType === REPLACEMENT && row.replacesAtMs === undefined ? 0 : bundledBit(relType);
  if (bit !== 0) changeBits(tx, row, (bits) => bits | bit);
}

function relatingRowOf(event: Event): RelatingRow | undefined {
  const { room, depth, type, sender, relation } = event;
  if (relation === undefined) return undefined;
  const { type: relType, eventId: parent } = relation;
  if (!parent.startsWith('$') || !isShortText(parent, MAX_EVENT_ID_BYTES)) return undefined;
  if (relType === '' || !isShortText(relType, MAX_REL_TYPE_BYTES)) return undefined;
  const row = { room, parent, relType, depth, type, sender };
  if (relType === REPLACEMENT && isReplacement(event)) {
    return { ...row, replacesAtMs: Math.min(Math.max(event.originServerTs, 0), MAX_U48) };
  }
  const key = relType === ANNOTATION ? annotationKeyOf(parseJson(event.contentJson) as JsonObject) : undefined;
  return key === undefined ? row : { ...row, annotation: annotationHash(type, key) };
}

function isShortText(text: string, maxBytes: number): boolean {
  return text.length <= maxBytes && text.isWellFormed() && Buffer.byteLength(text) <= maxBytes;
}

/**
 * Whether an event can replace another one, as far as it tells itself: it is no state event and says what the new content is,
 * or hides that from the server. https://spec.matrix.org/v1.19/client-server-api/#validity-of-replacement-events
 */
function isReplacement({ stateKey, type, contentJson }: Event): boolean {
  if (stateKey !== undefined) return false;
  if (type === 'm.room.encrypted') return true;
  const content = parseJson(contentJson) as JsonObject;
  return Object.hasOwn(content, 'm.new_content') && isJsonObject(content['m.new_content']);
}

/** The `key` of an annotation. */
export function annotationKeyOf(content: JsonObject): string | undefined {
  const relatesTo = content['m.relates_to'];
  const key = isJsonObject(relatesTo) ? relatesTo.key : undefined;
  return typeof key === 'string' ? key : undefined;
}

/** Stands for the type and key of an annotation in {@link annotations}. */
export function annotationHash(type: string, key: string): Uint8Array {
  const digest = hash('sha256', `${type.length}:${type}${key}`, 'buffer');
  return Uint8Array.from(digest.subarray(0, ANNOTATION_HASH_BYTES));
}

function changeBits(tx: Writer, { room, parent }: RelatingRow, change: (bits: number) => number): void {
  const position = positionOfEvent(tx, parent);
  const target = position === undefined ? undefined : eventAt(tx, position);
  // An event of another room is no target of this one's.
  if (target !== undefined && target.room !== room) return;
  if (target !== undefined) {
    const bits = change(tx.get(targets, [target.position]) ?? 0);
    if (bits === 0) tx.remove(targets, [target.position]);
    else tx.put(targets, [target.position], bits);
    return;
  }
  const bits = change(tx.get(awaited, [parent, room]) ?? 0);
  if (bits === 0) tx.remove(awaited, [parent, room]);
  else tx.put(awaited, [parent, room], bits);
}

function joinThread(tx: Writer, { room, parent, depth, sender }: RelatingRow, position: number): void {
  const before = tx.get(threads, [room, parent]);
  const isLast = before === undefined || depth > before.depth || (depth === before.depth && position > before.position);
  const last = isLast ? { depth, position } : { depth: before.depth, position: before.position };
  tx.put(threads, [room, parent], { count: (before?.count ?? 0) + 1, ...last });
  tx.put(threadSenders, [room, parent, sender], (tx.get(threadSenders, [room, parent, sender]) ?? 0) + 1);
  if (!isLast) return;
  if (before !== undefined) tx.remove(threadOrder, [room, before.depth, before.position]);
  tx.put(threadOrder, [room, depth, position], parent);
}

/** A redacted event does not relate to anything any more. */
function unrelate(tx: Writer, redaction: Event): void {
  const { redacts } = parseJson(redaction.contentJson) as JsonObject;
  const event = typeof redacts === 'string' ? eventById(tx, redacts) : undefined;
  // The rooms projection has decided whether the redaction takes effect.
  if (event?.redactedBy === undefined) return;
  const { position, eventId } = event;
  const row = tx.get(relating, [position]);
  if (row === undefined) return;
  const { room, parent, relType, depth, type, sender } = row;
  tx.remove(relating, [position]);
  tx.remove(children, [room, parent, relType, depth, position]);
  if (row.replacesAtMs !== undefined) {
    tx.remove(replacements, [room, parent, sender, type, row.replacesAtMs, eventId]);
  }
  if (row.annotation !== undefined && tx.get(annotations, [room, parent, sender, row.annotation]) === position) {
    tx.remove(annotations, [room, parent, sender, row.annotation]);
  }
  if (relType === THREAD) leaveThread(tx, row, position);
  const bit = bundledBit(relType);
  if (bit !== 0 && !hasChild(tx, row)) changeBits(tx, row, (bits) => bits & ~bit);
}

function leaveThread(tx: Writer, { room, parent, sender }: RelatingRow, position: number): void {
  const before = tx.get(threads, [room, parent]);
  if (before === undefined) return;
  const sent = (tx.get(threadSenders, [room, parent, sender]) ?? 1) - 1;
  if (sent > 0) tx.put(threadSenders, [room, parent, sender], sent);
  else tx.remove(threadSenders, [room, parent, sender]);
  const last = tx.seekLast(children, [room, parent, THREAD])?.key;
  if (last === undefined) {
    tx.remove(threads, [room, parent]);
    tx.remove(threadOrder, [room, before.depth, before.position]);
    return;
  }
  const [, , , lastDepth, lastPosition] = last;
  tx.put(threads, [room, parent], { count: before.count - 1, depth: lastDepth, position: lastPosition });
  if (before.position !== position) return;
  tx.remove(threadOrder, [room, before.depth, before.position]);
  tx.put(threadOrder, [room, lastDepth, lastPosition], parent);
}

function hasChild(tx: Reader, { room, parent, relType }: RelatingRow): boolean {
  for (const _ of tx.keys(children, { prefix: [room, parent, relType], limit: 1 })) return true;
  return false;
}
