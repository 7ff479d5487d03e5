import type { RoomState } from './room-state.ts';
import { checkThirdPartyInvite } from './third-party-invite.ts';
import { type AuthInput, quoted, type RuleOutcome, reject } from './types.ts';

/** The rules of inviting. v1–v5: 5.3, v6, v7: 4.3, v8–v11: 4.4, v12: 5.4. */
export function checkInvite(event: AuthInput, target: string, state: RoomState): RuleOutcome {
  // 1.
  const thirdPartyInvite = event.content.third_party_invite;
  if (thirdPartyInvite !== undefined) return checkThirdPartyInvite(event.sender, target, thirdPartyInvite, state);
  // 2.
  if (state.membershipOf(event.sender) !== 'join') {
    return reject('inviteSenderNotJoined', `${event.sender} is not in the room and cannot invite ${target} to it.`);
  }
  // 3.
  const membership = state.membershipOf(target);
  if (membership === 'join' || membership === 'ban') {
    return reject('inviteTargetMembership', `${target} cannot be invited: their membership is ${quoted(membership)}.`);
  }
  // 4. and 5.
  const levels = state.powerLevels();
  const power = levels.powerLevelOf(event.sender);
  return power >= levels.invite
    ? 'allow'
    : reject('invitePower', `${event.sender} has power ${power}; inviting ${target} takes ${levels.invite}.`);
}
