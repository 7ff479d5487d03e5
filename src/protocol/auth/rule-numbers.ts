/** A rule that can reject an event, by what it is about. The membership rules come in the specification's order. */
export type AuthRule =
  | 'createHasPrevEvents'
  | 'createRoomId'
  | 'createRoomVersion'
  | 'createAdditionalCreators'
  | 'createEventMissing'
  | 'authEventsDuplicate'
  | 'authEventsNotSelected'
  | 'authEventsRejected'
  | 'authEventsOfOtherRoom'
  | 'notFederated'
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
  | 'userRaisedAboveSender';

/** Rule → its number in a room version's "Authorisation rules". */
export type AuthRuleNumbers = Readonly<Record<AuthRule, string>>;

/** Where a room version has no such rule. */
const NONE = '';

/** Room version 11. */
export const RULE_NUMBERS_V11: AuthRuleNumbers = {
  createHasPrevEvents: '1.1',
  createRoomId: '1.2',
  createRoomVersion: '1.3',
  createAdditionalCreators: NONE,
  authEventsDuplicate: '2.1',
  authEventsNotSelected: '2.2',
  authEventsRejected: '2.3',
  createEventMissing: '2.4',
  authEventsOfOtherRoom: '2.5',
  notFederated: '3',
  memberIncomplete: '4.1',
  voucherSignature: '4.2.1',
  joinOfOtherUser: '4.3.2',
  joinBanned: '4.3.3',
  joinVoucherPower: '4.3.5.2',
  joinRule: '4.3.7',
  thirdPartyTargetBanned: '4.4.1.1',
  thirdPartyNotSigned: '4.4.1.2',
  thirdPartySignedIncomplete: '4.4.1.3',
  thirdPartyOtherUser: '4.4.1.4',
  thirdPartyUnknownToken: '4.4.1.5',
  thirdPartyOtherSender: '4.4.1.6',
  thirdPartySignature: '4.4.1.8',
  inviteSenderNotJoined: '4.4.2',
  inviteTargetMembership: '4.4.3',
  invitePower: '4.4.5',
  leaveNotMember: '4.5.1',
  kickSenderNotJoined: '4.5.2',
  unbanPower: '4.5.3',
  kickPower: '4.5.5',
  banSenderNotJoined: '4.6.1',
  banPower: '4.6.3',
  knockJoinRule: '4.7.1',
  knockOfOtherUser: '4.7.2',
  knockMembership: '4.7.4',
  membershipUnknown: '4.8',
  senderNotJoined: '5',
  thirdPartyInvitePower: '6.1',
  requiredPower: '7',
  stateKeyOfOtherUser: '8',
  levelsNotIntegers: '9.1',
  levelMapsNotIntegers: '9.2',
  levelsOfUsers: '9.3',
  levelsListCreator: NONE,
  levelAboveSender: '9.5.1',
  levelRaisedAboveSender: '9.5.2',
  entryAboveSender: '9.6.1',
  entryRaisedAboveSender: '9.7.1',
  userNotBelowSender: '9.8.1',
  userRaisedAboveSender: '9.9.1',
};

/** Room version 12: rule 2 is new and moves all behind it, 10.4 moves the rest of rule 10. */
export const RULE_NUMBERS_V12: AuthRuleNumbers = {
  createHasPrevEvents: '1.1',
  createRoomId: '1.2',
  createRoomVersion: '1.3',
  createAdditionalCreators: '1.4',
  createEventMissing: '2',
  authEventsDuplicate: '3.1',
  authEventsNotSelected: '3.2',
  authEventsRejected: '3.3',
  authEventsOfOtherRoom: '3.4',
  notFederated: '4',
  memberIncomplete: '5.1',
  voucherSignature: '5.2.1',
  joinOfOtherUser: '5.3.2',
  joinBanned: '5.3.3',
  joinVoucherPower: '5.3.5.2',
  joinRule: '5.3.7',
  thirdPartyTargetBanned: '5.4.1.1',
  thirdPartyNotSigned: '5.4.1.2',
  thirdPartySignedIncomplete: '5.4.1.3',
  thirdPartyOtherUser: '5.4.1.4',
  thirdPartyUnknownToken: '5.4.1.5',
  thirdPartyOtherSender: '5.4.1.6',
  thirdPartySignature: '5.4.1.8',
  inviteSenderNotJoined: '5.4.2',
  inviteTargetMembership: '5.4.3',
  invitePower: '5.4.5',
  leaveNotMember: '5.5.1',
  kickSenderNotJoined: '5.5.2',
  unbanPower: '5.5.3',
  kickPower: '5.5.5',
  banSenderNotJoined: '5.6.1',
  banPower: '5.6.3',
  knockJoinRule: '5.7.1',
  knockOfOtherUser: '5.7.2',
  knockMembership: '5.7.4',
  membershipUnknown: '5.8',
  senderNotJoined: '6',
  thirdPartyInvitePower: '7.1',
  requiredPower: '8',
  stateKeyOfOtherUser: '9',
  levelsNotIntegers: '10.1',
  levelMapsNotIntegers: '10.2',
  levelsOfUsers: '10.3',
  levelsListCreator: '10.4',
  levelAboveSender: '10.6.1',
  levelRaisedAboveSender: '10.6.2',
  entryAboveSender: '10.7.1',
  entryRaisedAboveSender: '10.8.1',
  userNotBelowSender: '10.9.1',
  userRaisedAboveSender: '10.10.1',
};
