import { checkAuthEvents as checkNamedAuthEvents } from '#protocol/auth/auth-events.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import type { StateLookup } from '#protocol/auth/types.ts';
import { authInputOf } from '#protocol/event-references.ts';
import type { Receipt, RoomMoment, Verdict } from './types.ts';

/**
 * Step 6: the events that it names to authorise it are the right ones, and let it in.
 * Source: server-server API, "Checks performed on receipt of a PDU", 4; the room version's "Authorisation rules".
 */
export function checkAuthEvents({ pdu, room }: Receipt, moment: RoomMoment): Verdict | undefined {
  const { createEvent } = moment;
  const named = moment.authEvents.filter(({ type }) => type !== 'm.room.create' || namesCreate(room));
  const selection = checkNamedAuthEvents(pdu, room.roomId, named, createEvent, room.rules);
  if (!selection.allowed) return { kind: 'reject', step: 'auth_events', ...reasonOf(selection) };
  const inChain = createEvent === undefined ? named : [createEvent, ...named];
  const lookup: StateLookup = (type, stateKey) => {
    const found = inChain.find((event) => event.type === type && event.stateKey === stateKey);
    return found && { ...found, stateKey };
  };
  const verdict = checkAuth(authInputOf(pdu, room.rules), lookup, room.rules);
  return verdict.allowed ? undefined : { kind: 'reject', step: 'auth_events', ...reasonOf(verdict) };
}

function namesCreate({ rules }: Receipt['room']): boolean {
  return rules.eventFormat.createEventInAuthEvents;
}

/** The rule and the reason of an authorisation verdict. */
export function reasonOf({ rule, reason }: { readonly rule: string; readonly reason: string }): {
  readonly rule: string;
  readonly reason: string;
} {
  return { rule, reason };
}
