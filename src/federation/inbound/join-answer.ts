/** What a server is told of a room that its user has come into. */

import type { Reader } from '#projections/engine/reader.ts';
import { contentOf } from '#projections/rooms/event-content.ts';
import { stateBefore } from '#projections/rooms/event-row.ts';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import { membersOf, type Room, serverMemberCount, serversIn } from '#projections/rooms/queries.ts';
import { type StateRef, stateEventAt } from '#projections/rooms/state/index.ts';
import { authEventTypes } from '#protocol/auth/auth-events.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Context } from '#src/context.ts';
import type { RawAnswer } from '#src/http/answer.ts';
import type { Position } from '#streams/event-log.ts';
import type { AcceptedMembership } from './handshakes.ts';
import { type AnswerMember, pduListAnswer } from './pdu-list.ts';
import { authChainToTell, inOrder, stateToTell } from './told-state.ts';

/** Members that name a room which has no name. Source: client-server API, `m.heroes`. */
const MAX_HEROES = 5;

/** What the answer needs. */
export type JoinAnswerContext = Pick<Context, 'log' | 'reader' | 'serverName'>;

/**
 * The answer to `send_join`: the state before the join, and all that authorises it; written while it is read, since it may be
 * very long.
 *
 * @param omitsMembers whether the other server gets the members later, see `omit_members`.
 * @param isOlderForm as version 1 of the endpoint has it: a list of status and answer.
 */
export async function joinAnswer(
  context: JoinAnswerContext,
  { room, known, pdu }: AcceptedMembership,
  omitsMembers: boolean,
  isOlderForm: boolean,
): Promise<RawAnswer> {
  const { reader, serverName } = context;
  const state = stateBefore(known.row);
  const events = await stateToTell(reader, room.id, state, { withMembers: !omitsMembers });
  if (omitsMembers) {
    const { sender } = known.row;
    const named = [...judgesOf(context, room, state, pdu), ...heroesOf(context, room.id, state, sender)];
    events.push(...new Set(named));
  }
  const chain = await authChainToTell(reader, room.id, [known.position, ...events]);
  if (omitsMembers) for (const event of events) chain.delete(event);
  const members: AnswerMember[] = [
    ['origin', JSON.stringify(serverName)],
    ['members_omitted', String(omitsMembers)],
    ['servers_in_room', JSON.stringify(serversBefore(reader, room.id, state, known.row.sender))],
    ['event', JSON.stringify(pdu)],
    ['auth_chain', inOrder(chain)],
    ['state', inOrder(events)],
  ];
  return pduListAnswer(context, members, isOlderForm ? ['[200,', ']'] : undefined);
}

/**
 * The servers that are asked for what the answer leaves out. That of the user is one of them if somebody else of it was there:
 * whoever comes into a room knows nothing of it that could be asked for.
 */
function serversBefore(reader: Reader, room: Position, state: StateRef, joining: string): string[] {
  const origin = serverNameOf(joining) ?? '';
  const member = stateEventAt(reader, room, state, 'm.room.member', joining);
  const before = member === undefined ? undefined : knownEventAt(reader, member);
  const wasIn = before !== undefined && contentOf(before.row).membership === 'join';
  const servers = [...serversIn(reader, room)];
  return wasIn || serverMemberCount(reader, room, origin) > 1 ? servers : servers.filter((name) => name !== origin);
}

/** The member events on which the join was decided, without which the other server cannot: an invite, who let the user in. */
function judgesOf({ reader }: JoinAnswerContext, room: Room, state: StateRef, pdu: JsonObject): Position[] {
  const rules = roomVersionRules(room.version);
  if (rules === undefined) return [];
  return authEventTypes(pdu as unknown as Pdu, rules).flatMap(({ type, stateKey }) =>
    type === 'm.room.member' ? (stateEventAt(reader, room.id, state, type, stateKey) ?? []) : [],
  );
}

/** The member events of those by whom a room without a name is called. */
function heroesOf({ reader }: JoinAnswerContext, room: Position, state: StateRef, joining: string): Position[] {
  const isNamed = ['m.room.name', 'm.room.canonical_alias'].some(
    (type) => stateEventAt(reader, room, state, type, '') !== undefined,
  );
  const heroes: Position[] = [];
  if (isNamed) return heroes;
  for (const { userId, membership, event } of membersOf(reader, room)) {
    if (userId === joining || (membership !== 'join' && membership !== 'invite')) continue;
    if (heroes.push(event) >= MAX_HEROES) break;
  }
  return heroes;
}
