/** A room as it was at a moment: at an event, at a time, after a record of the log. */
import type { Reader } from '#projections/engine/reader.ts';
import { stateAfter, versionAfter } from '#projections/rooms/event-row.ts';
import { hasPlace, knownEvent } from '#projections/rooms/known-events.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { type Event, eventAt, headOf, type Room, timelineBackwards } from '#projections/rooms/queries.ts';
import { MAIN_LINE, type StateRef, stateEntriesAt } from '#projections/rooms/state/index.ts';
import type { EventLog, Position } from '#streams/event-log.ts';

/** A moment in the past of a room. */
export type Moment =
  /** After this event, where it stands in the graph. */
  | { readonly kind: 'event'; readonly eventId: string }
  /** Milliseconds since the epoch, by this server's clock. */
  | { readonly kind: 'time'; readonly timeMs: number }
  /** Once this server had taken in a record of its log. */
  | { readonly kind: 'position'; readonly position: Position };

/** As far as dates go. */
const MAX_DATE_MS = 8_640_000_000_000_000;
/** A whole number is a position in the log up to here, and from here on milliseconds since the epoch: September 2001. */
export const FIRST_TIME = 1_000_000_000_000;

/** The moment that a text names: an event id, an ISO 8601 time, milliseconds since the epoch, a position; undefined for none. */
export function parseMoment(text: string): Moment | undefined {
  if (text.startsWith('$')) return { kind: 'event', eventId: text };
  if (/^[0-9]{1,16}$/.test(text)) {
    const value = Number(text);
    if (!Number.isSafeInteger(value)) return undefined;
    return value < FIRST_TIME ? { kind: 'position', position: value } : { kind: 'time', timeMs: value };
  }
  const timeMs = Date.parse(text);
  return Number.isSafeInteger(timeMs) && Math.abs(timeMs) <= MAX_DATE_MS ? { kind: 'time', timeMs } : undefined;
}

/** The state of a room at a moment; undefined where the room had none that this server knew of. */
export async function stateAt(
  reader: Reader,
  log: Pick<EventLog, 'readAt'>,
  room: Room,
  moment: Moment,
): Promise<StateRef | undefined> {
  if (moment.kind === 'event') {
    const event = knownEvent(reader, moment.eventId);
    return event === undefined || event.row.room !== room.id || !hasPlace(event) ? undefined : stateAfter(event.row);
  }
  const position = moment.kind === 'time' ? await lastRecordBy(log, reader.frontier, moment.timeMs) : moment.position;
  return stateShownBefore(reader, room, Math.min(position, reader.frontier) + 1);
}

/** Position of the last record of the log at a moment that a text names; undefined for a text that names none of this room. */
export async function positionOf(
  reader: Reader,
  log: Pick<EventLog, 'readAt'>,
  room: Room,
  text: string,
): Promise<Position | undefined> {
  const moment = parseMoment(text);
  if (moment?.kind === 'time') return lastRecordBy(log, reader.frontier, moment.timeMs);
  if (moment?.kind !== 'event') return moment?.position;
  const event = knownEvent(reader, moment.eventId);
  return event === undefined || event.row.room !== room.id ? undefined : (event.row.fork?.place ?? event.position);
}

/** Whether an event had its place on the timeline once a record of the log was taken in. */
export function wasThere({ position, fork }: Event, until: Position): boolean {
  return (fork?.place ?? position) <= until;
}

/**
 * An event as it was shown once a record of the log was taken in: what was redacted only later has its content, as far as that was not
 * destroyed since.
 */
export async function eventAsOf(log: Pick<EventLog, 'readAt'>, event: Event, until: Position): Promise<Event> {
  const { redactedBy, ...unredacted } = event;
  if (redactedBy === undefined || redactedBy <= until) return event;
  const record = await log.readAt(event.position);
  const read = record?.kind === PDU_KIND ? readPduRecord(record) : undefined;
  return read === undefined || read.isErased ? event : { ...unredacted, contentJson: JSON.stringify(read.pdu.content) };
}

/** The keys of a state: of one type, or of those that begin with what is before a star; without one of all types. */
export function* stateEntriesOf(
  reader: Reader,
  room: Room,
  state: StateRef,
  wanted: string | undefined,
): ReturnType<typeof stateEntriesAt> {
  const beginning = wanted?.endsWith('*') ? wanted.slice(0, -1) : undefined;
  const type = beginning === undefined ? wanted : undefined;
  for (const entry of stateEntriesAt(reader, room.id, state, type === undefined ? {} : { type })) {
    if (beginning === undefined || entry.type.startsWith(beginning)) yield entry;
  }
}

/** The present state of a room. */
export function presentState(reader: Reader, room: Room): StateRef {
  return { branch: MAIN_LINE, version: headOf(reader, room.id)?.stateVersion ?? 0 };
}

/** The state that the room had just before a record of the log; undefined if there was nothing of it yet. */
export function stateShownBefore(reader: Reader, room: Room, position: Position): StateRef | undefined {
  for (const { position: last } of timelineBackwards(reader, room.id, -1, position - 1)) {
    const event = eventAt(reader, last);
    if (event !== undefined) return { branch: MAIN_LINE, version: versionAfter(event) };
  }
  return undefined;
}

/** Position of the last record up to `end` that was appended by a time; -1 if none was. Twenty reads for a million records. */
export async function lastRecordBy(log: Pick<EventLog, 'readAt'>, end: Position, timeMs: number): Promise<Position> {
  let [low, high] = [-1, end];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const record = await log.readAt(middle);
    if (record !== undefined && record.recordedAtMs <= timeMs) low = middle;
    else high = middle - 1;
  }
  return low;
}
