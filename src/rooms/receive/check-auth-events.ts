import { asAuthEvent, type KnownEvent, lookupAmong } from '#projections/rooms/known-events.ts';
import { checkAuthEvents as checkNamedAuthEvents, type NamedAuthEvent } from '#protocol/auth/auth-events.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import { authInputOf } from '#protocol/event-references.ts';
import type { Receipt, RoomMoment, Verdict } from './types.ts';

/**
 * Step 6: the events that it names to authorise it are the right ones, and let it in.
 * Source: server-server API, "Checks performed on receipt of a PDU", 4; the room version's "Authorisation rules".
 */
export function checkAuthEvents({ pdu, room }: Receipt, moment: RoomMoment): Verdict | undefined {
  const { createEvent } = moment;
  const named = moment.authEvents.filter(({ row }) => row.type !== 'm.room.create' || namesCreate(room));
  const create = createEvent && { eventId: createEvent.row.eventId, rejected: createEvent.disposition === 'rejected' };
  const selection = checkNamedAuthEvents(
    pdu,
    room.roomId,
    named.map((event) => asNamedAuthEvent(event, moment)),
    create,
    room.rules,
  );
  if (!selection.allowed) return { kind: 'reject', step: 'auth_events', ...reasonOf(selection) };
  const inChain = createEvent === undefined ? named : [createEvent, ...named];
  const verdict = checkAuth(authInputOf(pdu, room.rules), lookupAmong(inChain), room.rules);
  return verdict.allowed ? undefined : { kind: 'reject', step: 'auth_events', ...reasonOf(verdict) };
}

function namesCreate({ rules }: Receipt['room']): boolean {
  return rules.eventFormat.createEventInAuthEvents;
}

function asNamedAuthEvent(event: KnownEvent, { room }: RoomMoment): NamedAuthEvent {
  return {
    ...asAuthEvent(event),
    stateKey: event.row.stateKey,
    roomId: event.row.room === room.id ? room.roomId : '(another)',
    rejected: event.disposition === 'rejected',
  };
}

/** The rule and the reason of an authorisation verdict. */
export function reasonOf({ rule, reason }: { readonly rule: string; readonly reason: string }): {
  readonly rule: string;
  readonly reason: string;
} {
  return { rule, reason };
}
