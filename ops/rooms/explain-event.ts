/** Why a server thinks of an event what it thinks. */

import type { Reader } from '#projections/engine/reader.ts';
import {
  asAuthEvent,
  hasPlace,
  type KnownEvent,
  knownEvent,
  knownEventAt,
  lookupAmong,
} from '#projections/rooms/known-events.ts';
import { type Disposition, type PduRecord, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { type Room, roomById } from '#projections/rooms/queries.ts';
import { type StateRef, stateEventAt } from '#projections/rooms/state/index.ts';
import { timeline } from '#projections/rooms/tables.ts';
import { type AuthVerdict, checkAuth, checkAuthEvents, type StateLookup } from '#protocol/auth/index.ts';
import { authEventIdsOf, authInputOf, prevEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { stateShownBefore } from '#src/rooms/as-of.ts';
import { type DataFolder, NotOnThisServer } from './data-folder.ts';
import { type ShownStateEvent, stateAroundKnown, stateEvents } from './stored-state.ts';

/** What is thought of an event that another names. `unknown` for one that has not come. */
export interface NamedEvent {
  readonly event_id: string;
  readonly disposition: Disposition | 'unknown';
  readonly type?: string;
  readonly state_key?: string;
}

/** What one round of the authorisation rules says. */
export interface RuleFinding {
  /**
   * What the event was held against: the rules about its auth events, their state, the state before it, and the state that the
   * room had when it came; of the last only where it mattered, which it does not for history.
   */
  readonly against: 'auth_event_selection' | 'auth_events' | 'state_before' | 'state_when_it_came';
  readonly allowed: boolean;
  readonly rule: string | null;
  readonly reason: string | null;
}

/** All that is known of an event. */
export interface Explanation {
  readonly event_id: string;
  readonly room_id: string;
  readonly room_version: string;
  readonly type: string;
  readonly state_key: string | null;
  readonly sender: string;
  /** Milliseconds since the epoch, by the sender's server. */
  readonly origin_server_ts: number;
  readonly depth: number;
  /** Of its record in the log. */
  readonly position: number;
  /** Milliseconds since the epoch, by this server. */
  readonly recorded_at: number | null;
  readonly disposition: Disposition;
  readonly reason: string | null;
  /** What was thought of it when it came, if that was something else. */
  readonly recorded_as: { readonly disposition: Disposition; readonly reason: string | null } | null;
  readonly redacted_by: string | null;
  /** Null where the event is erased. */
  readonly prev_events: readonly NamedEvent[] | null;
  /** With the create event, where the room id implies it. Null where the event is erased. */
  readonly auth_events: readonly NamedEvent[] | null;
  /** What the rules say of it today, round by round. Empty where the event is erased. */
  readonly rules: readonly RuleFinding[];
  /** Null for an event without its place in the graph. */
  readonly state_before: readonly ShownStateEvent[] | null;
  readonly state_after: readonly ShownStateEvent[] | null;
}

/** Explains an event. @throws {NotOnThisServer} */
export async function explainEvent({ reader, log }: DataFolder, eventId: string): Promise<Explanation> {
  const event = knownEvent(reader, eventId);
  const room = event === undefined ? undefined : roomById(reader, event.row.room);
  if (event === undefined || room === undefined) {
    throw new NotOnThisServer(`There is no event ${eventId} on this server.`);
  }
  const stored = await log.readAt(event.position);
  const record = stored && readPduRecord(stored);
  const { row } = event;
  const disposition = dispositionOf(reader, event);
  const reason = event.reason ?? null;
  const rules = roomVersionRules(room.version);
  return {
    event_id: row.eventId,
    room_id: room.roomId,
    room_version: room.version,
    type: row.type,
    state_key: row.stateKey ?? null,
    sender: row.sender,
    origin_server_ts: row.originServerTs,
    depth: row.depth,
    position: event.position,
    recorded_at: stored?.recordedAtMs ?? null,
    disposition,
    reason,
    recorded_as: record === undefined ? null : recordedOtherwise(record, disposition, reason),
    redacted_by: row.redactedBy === undefined ? null : (knownEventAt(reader, row.redactedBy)?.row.eventId ?? null),
    ...namedBy(reader, room, record?.pdu, rules),
    rules: record === undefined || rules === undefined ? [] : findings(reader, room, event, record.pdu, rules),
    state_before: hasPlace(event) ? [...stateEvents(reader, room, stateAroundKnown(event, 'before'))] : null,
    state_after: hasPlace(event) ? [...stateEvents(reader, room, stateAroundKnown(event, 'after'))] : null,
  };
}

/** What is thought of an event now. History that was fetched is shown, but came onto no timeline. */
export function dispositionOf(reader: Reader, { position, row, disposition }: KnownEvent): Disposition {
  if (disposition !== 'accepted' || row.fork === undefined) return disposition;
  return reader.has(timeline, [row.room, row.fork.place ?? position]) ? 'accepted' : 'backfilled';
}

function recordedOtherwise(
  { meta }: PduRecord,
  disposition: Disposition,
  reason: string | null,
): Explanation['recorded_as'] {
  const first = { disposition: meta.disposition, reason: meta.reason ?? null };
  return first.disposition === disposition && first.reason === reason ? null : first;
}

function namedBy(
  reader: Reader,
  room: Room,
  pdu: Pdu | undefined,
  rules: RoomVersionRules | undefined,
): Pick<Explanation, 'prev_events' | 'auth_events'> {
  if (pdu === undefined || rules === undefined) return { prev_events: null, auth_events: null };
  const describe = (eventId: string) => namedEvent(reader, eventId);
  return {
    prev_events: prevEventIdsOf(pdu, rules).map(describe),
    auth_events: [...impliedAuthEventIds(room, pdu, rules), ...authEventIdsOf(pdu, rules)].map(describe),
  };
}

function impliedAuthEventIds({ roomId }: Room, { type }: Pdu, { eventFormat }: RoomVersionRules): string[] {
  const isImplied = !eventFormat.createEventInAuthEvents && type !== 'm.room.create';
  return isImplied ? [createEventIdFromRoomId(roomId)] : [];
}

function namedEvent(reader: Reader, eventId: string): NamedEvent {
  const event = knownEvent(reader, eventId);
  if (event === undefined) return { event_id: eventId, disposition: 'unknown' };
  const { type, stateKey } = event.row;
  return {
    event_id: eventId,
    disposition: dispositionOf(reader, event),
    type,
    ...(stateKey !== undefined && { state_key: stateKey }),
  };
}

/** The checks of the receiver that ask the authorisation rules, done again with what is known today. */
function findings(
  reader: Reader,
  room: Room,
  event: KnownEvent,
  pdu: Pdu,
  rules: RoomVersionRules,
): readonly RuleFinding[] {
  const input = authInputOf(pdu, rules);
  if (pdu.type === 'm.room.create')
    return [
      finding(
        'auth_events',
        checkAuth(input, () => undefined, rules),
      ),
    ];
  const named = authEventIdsOf(pdu, rules).flatMap((eventId) => knownEvent(reader, eventId) ?? []);
  const createId = impliedAuthEventIds(room, pdu, rules)[0];
  const create = createId === undefined ? undefined : knownEvent(reader, createId);
  const selection = checkAuthEvents(
    pdu,
    room.roomId,
    named.map((authEvent) => ({
      ...asAuthEvent(authEvent),
      stateKey: authEvent.row.stateKey,
      roomId: roomById(reader, authEvent.row.room)?.roomId ?? '(another)',
      rejected: authEvent.disposition === 'rejected',
    })),
    create && { eventId: create.row.eventId, rejected: create.disposition === 'rejected' },
    rules,
  );
  const own = [...(create === undefined ? [] : [create]), ...named].filter(
    ({ disposition }) => disposition !== 'rejected',
  );
  const found = [
    finding('auth_event_selection', selection),
    finding('auth_events', checkAuth(input, lookupAmong(own), rules)),
  ];
  if (!hasPlace(event)) return found;
  const before = lookupIn(reader, room, stateAroundKnown(event, 'before'));
  found.push(finding('state_before', checkAuth(input, before, rules)));
  const presentThen = stateShownBefore(reader, room, event.row.fork?.place ?? event.position);
  if (presentThen === undefined || dispositionOf(reader, event) === 'backfilled') return found;
  return [...found, finding('state_when_it_came', checkAuth(input, lookupIn(reader, room, presentThen), rules))];
}

function finding(against: RuleFinding['against'], verdict: AuthVerdict): RuleFinding {
  return {
    against,
    allowed: verdict.allowed,
    rule: verdict.allowed ? null : verdict.rule,
    reason: verdict.allowed ? null : verdict.reason,
  };
}

function lookupIn(reader: Reader, room: Room, state: StateRef): StateLookup {
  return (type, stateKey) => {
    const position = stateEventAt(reader, room.id, state, type, stateKey);
    const event = position === undefined ? undefined : knownEventAt(reader, position);
    return event === undefined || event.disposition === 'rejected' ? undefined : asAuthEvent(event);
  };
}
