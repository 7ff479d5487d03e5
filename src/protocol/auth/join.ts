import { creatorOf } from '../power-levels.ts';
import type { RoomState } from './room-state.ts';
import { type AuthInput, quoted, type RuleOutcome, reject } from './types.ts';

/** The rules of joining. v1–v5: 5.2, v6, v7: 4.2, v8–v11: 4.3, v12: 5.3. Numbers below are those from v8 on. */
export function checkJoin(event: AuthInput, target: string, state: RoomState): RuleOutcome {
  // 1. is asked before, as it also goes before whether the room is closed to other servers.
  // 2.
  if (event.sender !== target) return reject('joinOfOtherUser', `${event.sender} cannot join for ${target}.`);
  const membership = state.membershipOf(target);
  // 3.
  if (membership === 'ban') return reject('joinBanned', `${target} cannot join: they are banned from the room.`);
  return checkJoinRule(event, target, membership, state);
}

/** 1. Whether the creator joins the room that was just made. */
export function isFirstJoinOfCreator(event: AuthInput, target: string, state: RoomState): boolean {
  const [first, ...others] = event.prev_events;
  return first === state.create.eventId && others.length === 0 && target === creatorOf(state.create, state.rules);
}

function checkJoinRule(event: AuthInput, target: string, membership: string, state: RoomState): RuleOutcome {
  const { knocking, restrictedJoins, knockRestrictedJoins } = state.rules.authorization;
  const joinRule = state.joinRule();
  const isExpected = membership === 'invite' || membership === 'join';
  // 4.
  if (joinRule === 'invite' || (knocking && joinRule === 'knock')) {
    if (isExpected) return 'allow';
    return reject('joinRule', `${target} cannot join: the join rule is "${joinRule}" and they are not invited.`);
  }
  // 5.
  if ((restrictedJoins && joinRule === 'restricted') || (knockRestrictedJoins && joinRule === 'knock_restricted')) {
    return isExpected ? 'allow' : checkVoucher(event, target, state);
  }
  // 6.
  if (joinRule === 'public') return 'allow';
  // 7.
  return reject('joinRule', `${target} cannot join: the join rule ${quoted(joinRule)} lets nobody in.`);
}

/** 5.2. Somebody in the room who may invite has to vouch for who was not invited. */
function checkVoucher(event: AuthInput, target: string, state: RoomState): RuleOutcome {
  const voucher = event.content.join_authorised_via_users_server;
  if (typeof voucher !== 'string') {
    return reject(
      'joinVoucherPower',
      `${target} cannot join: the room is restricted and nobody in it vouches for them.`,
    );
  }
  if (state.membershipOf(voucher) !== 'join') {
    return reject('joinVoucherPower', `${target} cannot join: ${voucher}, who vouches for them, is not in the room.`);
  }
  const levels = state.powerLevels();
  const power = levels.powerLevelOf(voucher);
  return power >= levels.invite
    ? 'allow'
    : reject(
        'joinVoucherPower',
        `${target} cannot join: ${voucher}, who vouches for them, has power ${power}; inviting takes ${levels.invite}.`,
      );
}
