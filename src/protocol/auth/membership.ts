import { isUserId, serverNameOf } from '../identifiers.ts';
import type { JsonValue } from '../pdu.ts';
import { checkFederatedWith } from './federated.ts';
import { checkInvite } from './invite.ts';
import { checkJoin, isFirstJoinOfCreator } from './join.ts';
import type { RoomState } from './room-state.ts';
import { type AuthInput, quoted, type Rejection, type RuleOutcome, reject } from './types.ts';

/** The rules of `m.room.member` events. v1–v5: 5, v6–v11: 4, v12: 5. Numbers below are those from v8 on. */
export function checkMembership(event: AuthInput, state: RoomState): Rejection | undefined {
  const target = event.state_key;
  const membership = event.content.membership;
  // 1. Both have to be there.
  if (target === undefined)
    return reject('memberIncomplete', 'A membership event needs a state_key with the user it is about.');
  if (membership === undefined)
    return reject('memberIncomplete', 'A membership event needs a membership in its content.');
  const outcome = checkVoucherSigned(event, membership, state) ?? checkChange(event, target, membership, state);
  return outcome === 'allow' ? undefined : outcome;
}

/**
 * 2. Who vouches for a restricted join has to have its server sign the event. The letter asks it of every membership; the
 * network asks it of joins, and takes a leave that still carries the key from the join before it.
 */
function checkVoucherSigned(event: AuthInput, membership: JsonValue, state: RoomState): RuleOutcome {
  const voucher = event.content.join_authorised_via_users_server;
  if (!state.rules.authorization.restrictedJoins || membership !== 'join' || voucher === undefined) return undefined;
  if (event.signatures === 'unchecked') return undefined;
  if (typeof voucher !== 'string' || !isUserId(voucher)) {
    return reject('voucherSignature', `The user who is to vouch for the join, ${quoted(voucher)}, is not a user id.`);
  }
  const server = serverNameOf(voucher);
  if (event.signatures === undefined || (server !== undefined && Object.hasOwn(event.signatures, server)))
    return undefined;
  return reject('voucherSignature', `The server ${server} of ${voucher}, who vouches for the join, has not signed it.`);
}

function checkChange(
  event: AuthInput,
  target: string,
  membership: AuthInput['content'][string],
  state: RoomState,
): RuleOutcome {
  if (membership === 'join' && isFirstJoinOfCreator(event, target, state)) return 'allow';
  // By the letter any text may be a target; to the network it has to have a server.
  if (serverNameOf(target) === undefined)
    return reject('memberIncomplete', `The state_key of a membership event is a user, which ${quoted(target)} is not.`);
  const foreign = checkFederatedWith(target, state);
  if (foreign !== undefined) return foreign;
  switch (membership) {
    case 'join':
      return checkJoin(event, target, state);
    case 'invite':
      return checkInvite(event, target, state);
    case 'leave':
      return event.sender === target ? checkOwnLeave(target, state) : checkKick(event.sender, target, state);
    case 'ban':
      return checkBan(event.sender, target, state);
    case 'knock':
      if (state.rules.authorization.knocking) return checkKnock(event.sender, target, state);
  }
  // 8. Nothing else is known.
  return reject('membershipUnknown', `The membership ${quoted(membership)} is not known in this room version.`);
}

/** 5.1. Leaving, declining an invite, withdrawing a knock. */
function checkOwnLeave(user: string, state: RoomState): RuleOutcome {
  const membership = state.membershipOf(user);
  const { knocking } = state.rules.authorization;
  return membership === 'invite' || membership === 'join' || (knocking && membership === 'knock')
    ? 'allow'
    : reject('leaveNotMember', `${user} cannot leave: their membership is ${quoted(membership)}.`);
}

/** 5.2–5.5. Kicking, unbanning, withdrawing an invite. */
function checkKick(sender: string, target: string, state: RoomState): RuleOutcome {
  if (state.membershipOf(sender) !== 'join') {
    return reject('kickSenderNotJoined', `${sender} is not in the room and cannot remove ${target} from it.`);
  }
  const levels = state.powerLevels();
  const power = levels.powerLevelOf(sender);
  if (state.membershipOf(target) === 'ban' && power < levels.ban) {
    return reject('unbanPower', `${sender} has power ${power}; lifting the ban of ${target} takes ${levels.ban}.`);
  }
  if (power < levels.kick) {
    return reject('kickPower', `${sender} has power ${power}; removing ${target} takes ${levels.kick}.`);
  }
  return levels.powerLevelOf(target) < power
    ? 'allow'
    : reject('kickPower', `${sender} cannot remove ${target}, who has as much power or more.`);
}

/** 6. */
function checkBan(sender: string, target: string, state: RoomState): RuleOutcome {
  if (state.membershipOf(sender) !== 'join') {
    return reject('banSenderNotJoined', `${sender} is not in the room and cannot ban ${target} from it.`);
  }
  const levels = state.powerLevels();
  const power = levels.powerLevelOf(sender);
  if (power < levels.ban)
    return reject('banPower', `${sender} has power ${power}; banning ${target} takes ${levels.ban}.`);
  return levels.powerLevelOf(target) < power
    ? 'allow'
    : reject('banPower', `${sender} cannot ban ${target}, who has as much power or more.`);
}

/** 7. */
function checkKnock(sender: string, target: string, state: RoomState): RuleOutcome {
  const joinRule = state.joinRule();
  const { knockRestrictedJoins } = state.rules.authorization;
  if (joinRule !== 'knock' && !(knockRestrictedJoins && joinRule === 'knock_restricted')) {
    return reject('knockJoinRule', `The join rule of the room is ${quoted(joinRule)}, which takes no knocks.`);
  }
  if (sender !== target) return reject('knockOfOtherUser', `${sender} cannot knock for ${target}.`);
  const membership = state.membershipOf(sender);
  return membership === 'ban' || membership === 'invite' || membership === 'join'
    ? reject('knockMembership', `${sender} cannot knock: their membership is ${quoted(membership)}.`)
    : 'allow';
}
