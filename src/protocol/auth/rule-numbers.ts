/** A rule that can reject an event, by what it is about. The membership rules come in the specification's order. */
export type AuthRule =
  | 'createHasPrevEvents'
  | 'createRoomId'
  | 'createRoomVersion'
  | 'createCreator'
  | 'createAdditionalCreators'
  | 'createEventMissing'
  | 'authEventsUnknown'
  | 'authEventsDuplicate'
  | 'authEventsNotSelected'
  | 'authEventsRejected'
  | 'authEventsOfOtherRoom'
  | 'notFederated'
  | 'aliasesStateKey'
  | 'aliasesOtherServer'
  | 'memberIncomplete'
  | 'voucherSignature'
  | 'joinOfOtherUser'
  | 'joinBanned'
  | 'joinVoucherPower'
  | 'joinRule'
  | 'thirdPartyTargetBanned'
  | 'thirdPartyNotSigned'
  | 'thirdPartySignedIncomplete'
  | 'thirdPartyOtherUser'
  | 'thirdPartyUnknownToken'
  | 'thirdPartyOtherSender'
  | 'thirdPartySignature'
  | 'inviteSenderNotJoined'
  | 'inviteTargetMembership'
  | 'invitePower'
  | 'leaveNotMember'
  | 'kickSenderNotJoined'
  | 'unbanPower'
  | 'kickPower'
  | 'banSenderNotJoined'
  | 'banPower'
  | 'knockJoinRule'
  | 'knockOfOtherUser'
  | 'knockMembership'
  | 'membershipUnknown'
  | 'senderNotJoined'
  | 'thirdPartyInvitePower'
  | 'requiredPower'
  | 'stateKeyOfOtherUser'
  | 'levelsNotIntegers'
  | 'levelMapsNotIntegers'
  | 'levelsOfUsers'
  | 'levelsListCreator'
  | 'levelAboveSender'
  | 'levelRaisedAboveSender'
  | 'entryAboveSender'
  | 'entryRaisedAboveSender'
  | 'userNotBelowSender'
  | 'userRaisedAboveSender'
  | 'redactionOtherServer';

/** Rule → its number in a room version's "Authorisation rules"; empty where the room version has no such rule. */
export type AuthRuleNumbers = Readonly<Record<AuthRule, string>>;

/** Where a room version has no such rule. */
const NONE = '';

/** Room versions 1 and 2. */
export const RULE_NUMBERS_V1: AuthRuleNumbers = {
  createHasPrevEvents: '1.1',
  createRoomId: '1.2',
  createRoomVersion: '1.3',
  createCreator: '1.4',
  createAdditionalCreators: NONE,
  authEventsUnknown: '2',
  authEventsDuplicate: '2.1',
  authEventsNotSelected: '2.2',
  authEventsRejected: '2.3',
  createEventMissing: '2.4',
  authEventsOfOtherRoom: '2.5',
  notFederated: '3',
  aliasesStateKey: '4.1',
  aliasesOtherServer: '4.2',
  memberIncomplete: '5.1',
  voucherSignature: NONE,
  joinOfOtherUser: '5.2.2',
  joinBanned: '5.2.3',
  joinVoucherPower: NONE,
  joinRule: '5.2.6',
  thirdPartyTargetBanned: '5.3.1.1',
  thirdPartyNotSigned: '5.3.1.2',
  thirdPartySignedIncomplete: '5.3.1.3',
  thirdPartyOtherUser: '5.3.1.4',
  thirdPartyUnknownToken: '5.3.1.5',
  thirdPartyOtherSender: '5.3.1.6',
  thirdPartySignature: '5.3.1.8',
  inviteSenderNotJoined: '5.3.2',
  inviteTargetMembership: '5.3.3',
  invitePower: '5.3.5',
  leaveNotMember: '5.4.1',
  kickSenderNotJoined: '5.4.2',
  unbanPower: '5.4.3',
  kickPower: '5.4.5',
  banSenderNotJoined: '5.5.1',
  banPower: '5.5.3',
  knockJoinRule: NONE,
  knockOfOtherUser: NONE,
  knockMembership: NONE,
  membershipUnknown: '5.6',
  senderNotJoined: '6',
  thirdPartyInvitePower: '7.1',
  requiredPower: '8',
  stateKeyOfOtherUser: '9',
  levelsNotIntegers: NONE,
  levelMapsNotIntegers: NONE,
  levelsOfUsers: '10.1',
  levelsListCreator: NONE,
  levelAboveSender: '10.3.1',
  levelRaisedAboveSender: '10.3.2',
  entryAboveSender: '10.4.1',
  entryRaisedAboveSender: '10.5.1',
  userNotBelowSender: '10.6.1',
  userRaisedAboveSender: '10.7.1',
  redactionOtherServer: '11.3',
};

/** Room versions 3 to 5: redactions are no longer looked at. */
export const RULE_NUMBERS_V3: AuthRuleNumbers = { ...RULE_NUMBERS_V1, redactionOtherServer: NONE };

/** Room version 6: the rule about aliases is gone. */
export const RULE_NUMBERS_V6: AuthRuleNumbers = {
  ...renumbered(RULE_NUMBERS_V3, { 5: '4', 6: '5', 7: '6', 8: '7', 9: '8', 10: '9' }),
  aliasesStateKey: NONE,
  aliasesOtherServer: NONE,
};

/** Room version 7: knocking. */
export const RULE_NUMBERS_V7: AuthRuleNumbers = {
  ...RULE_NUMBERS_V6,
  knockJoinRule: '4.6.1',
  knockOfOtherUser: '4.6.2',
  knockMembership: '4.6.4',
  membershipUnknown: '4.7',
};

/** Room versions 8 and 9: restricted joins, and the signature of who vouches for one as a rule of its own. */
export const RULE_NUMBERS_V8: AuthRuleNumbers = {
  ...renumbered(RULE_NUMBERS_V7, {
    '4.2': '4.3',
    '4.3': '4.4',
    '4.4': '4.5',
    '4.5': '4.6',
    '4.6': '4.7',
    '4.7': '4.8',
  }),
  voucherSignature: '4.2.1',
  joinVoucherPower: '4.3.5.2',
  joinRule: '4.3.7',
};

/** Room version 10: levels have to be integers. */
export const RULE_NUMBERS_V10: AuthRuleNumbers = {
  ...renumbered(RULE_NUMBERS_V8, {
    '9.1': '9.3',
    '9.3': '9.5',
    '9.4': '9.6',
    '9.5': '9.7',
    '9.6': '9.8',
    '9.7': '9.9',
  }),
  levelsNotIntegers: '9.1',
  levelMapsNotIntegers: '9.2',
};

/** Room version 11: the create event names no creator. */
export const RULE_NUMBERS_V11: AuthRuleNumbers = { ...RULE_NUMBERS_V10, createCreator: NONE };

/** Room version 12: rule 2 is new and moves all behind it, 10.4 moves the rest of rule 10. */
export const RULE_NUMBERS_V12: AuthRuleNumbers = {
  ...renumbered(RULE_NUMBERS_V11, {
    2: '3',
    '2.5': '3.4',
    3: '4',
    4: '5',
    5: '6',
    6: '7',
    7: '8',
    8: '9',
    9: '10',
    '9.5': '10.6',
    '9.6': '10.7',
    '9.7': '10.8',
    '9.8': '10.9',
    '9.9': '10.10',
  }),
  createAdditionalCreators: '1.4',
  createEventMissing: '2',
  levelsListCreator: '10.4',
};

/** A numbering whose rules have moved: of the sections that hold a rule, the innermost that is named says where to. */
function renumbered(numbers: AuthRuleNumbers, moves: Readonly<Record<string, string>>): AuthRuleNumbers {
  const entries = Object.entries(numbers).map(([rule, number]) => [rule, moved(number, moves)]);
  return Object.fromEntries(entries) as AuthRuleNumbers;
}

function moved(number: string, moves: Readonly<Record<string, string>>): string {
  const parts = number.split('.');
  for (let length = parts.length; length > 0; length -= 1) {
    const target = moves[parts.slice(0, length).join('.')];
    if (target !== undefined) return [target, ...parts.slice(length)].join('.');
  }
  return number;
}
